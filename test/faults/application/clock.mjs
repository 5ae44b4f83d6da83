/** A wall clock that is wrong on purpose. `performance.now()` and timers go on as they were. */
const RealDate = Date;
let skewMs = 0;

class SkewedDate extends RealDate {
  constructor(...words) {
    if (words.length === 0) super(RealDate.now() + skewMs);
    else super(...words);
  }
  static now() {
    return RealDate.now() + skewMs;
  }
}

/** From now on this process takes the time for `ms` milliseconds later than it is. */
export function skewClock(ms) {
  skewMs = ms;
  if (ms !== 0) globalThis.Date = SkewedDate;
}
