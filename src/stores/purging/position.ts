/**
 * Positions in a purge log: numbers that grow, milliseconds × 2048 plus a count within the millisecond.
 *
 * As text a position is `<milliseconds>-<count>`, the form of a record id in Redis. With the epoch of its log in front it is
 * a generation, `<epoch>:<milliseconds>-<count>`.
 */

/** Positions there are in a millisecond. */
export const POSITIONS_PER_MS = 2048;

/** The position that is number `count` of a millisecond; NaN when there is no such position. */
export function positionAt(ms: number, count: number): number {
  const position = ms * POSITIONS_PER_MS + count;
  return count < POSITIONS_PER_MS && Number.isSafeInteger(position) ? position : Number.NaN;
}

/** The time of a position. */
export function positionMs(position: number): number {
  return Math.floor(position / POSITIONS_PER_MS);
}

/** `<milliseconds>-<count>`. */
export function positionText(position: number): string {
  return `${positionMs(position)}-${position % POSITIONS_PER_MS}`;
}

const COLON = 58;
const DASH = 45;

/** The position in a generation of this epoch; NaN for any other text. Compares in place: every hit is judged by it. */
export function positionIn(generation: string, epoch: string): number {
  if (epoch === "" || !generation.startsWith(epoch) || generation.charCodeAt(epoch.length) !== COLON) return Number.NaN;
  let ms = 0;
  let number = 0;
  for (let index = epoch.length + 1; index < generation.length; index += 1) {
    const code = generation.charCodeAt(index);
    if (code === DASH) {
      ms = number;
      number = 0;
    } else if (code >= 48 && code <= 57) {
      number = number * 10 + code - 48;
    } else {
      return Number.NaN;
    }
  }
  return positionAt(ms, number);
}
