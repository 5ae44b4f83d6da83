/** A wall clock that stands still until a test moves it. */

/** How far a clock moves: the sum of the parts. */
export interface ClockStep {
  readonly ms?: number;
  readonly seconds?: number;
  readonly minutes?: number;
  readonly hours?: number;
  readonly days?: number;
}

/** A clock in the hands of a test. */
export interface FakeClock {
  /** Milliseconds since 1970, as `Date.now()` gives them. Works without its object: `createCache({ now: clock.now })`. */
  readonly now: () => number;
  /** Moves the clock, at once. A negative step moves it back. */
  advance(step: ClockStep): void;
}

const START_MS = Date.UTC(2026, 0, 1);

/**
 * A clock that starts at `startMs` (2026-01-01 UTC unless told) and moves only by `advance`.
 *
 * Timers do not follow it: what waits for `setTimeout` goes on waiting in real time. The cache's store reads the same clock.
 *
 * @example
 * const clock = fakeClock();
 * const cache = createCache({ now: clock.now });
 * clock.advance({ minutes: 5, seconds: 1 });
 */
export function fakeClock(startMs: number = START_MS): FakeClock {
  let nowMs = startMs;
  return {
    now: () => nowMs,
    advance({ ms = 0, seconds = 0, minutes = 0, hours = 0, days = 0 }) {
      nowMs += ms + 1_000 * (seconds + 60 * (minutes + 60 * (hours + 24 * days)));
    },
  };
}
