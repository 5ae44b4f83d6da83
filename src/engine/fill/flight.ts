import { performance } from "../../real-time.ts";
import { startTimer } from "../../timer.ts";
import type { LiveResponse } from "../lookup/stored-entry.ts";

/** How a forwarded request ended, for the requests that waited for it. */
export type FlightEnd =
  /** Complete and storable: it may be shared. */
  | { readonly type: "stored"; readonly live: LiveResponse }
  /** Not storable: everybody asks the origin on their own, at once. */
  | { readonly type: "unshareable" }
  /** The origin failed: a waiting request serves a stale response where it may, and asks on its own where not. */
  | { readonly type: "origin-error"; readonly originStatus: number | undefined }
  /** Its client left: one waiting request goes next, and the rest wait for that one. */
  | { readonly type: "aborted" };

type Waiter = (end: FlightEnd) => void;

/**
 * One forwarded request that others wait for instead of asking the origin as well.
 *
 * A flight past its deadline stops collecting: its waiters go their own way and the key is free, whatever becomes of it.
 */
export class Flight {
  /** On the clock of `performance.now()`; the origin is asked after it. */
  readonly beganAtMs: number = performance.now();
  /** Its client has the whole response already; it is stored once outer layers have had their say. */
  isAnswered = false;
  readonly #flights: Map<string, Flight>;
  readonly #key: string;
  #waiters: Waiter[] = [];
  /** Undefined once the flight has ended. */
  #stopTimer: (() => void) | undefined;

  constructor(flights: Map<string, Flight>, key: string, deadlineMs: number) {
    this.#flights = flights;
    this.#key = key;
    flights.set(key, this);
    this.#stopTimer = startTimer(deadlineMs, () => this.settle({ type: "unshareable" }));
  }

  join(waiter: Waiter): void {
    if (this.#stopTimer === undefined) return waiter({ type: "unshareable" });
    this.#waiters.push(waiter);
  }

  /** Ends the flight for all who wait; only the first call counts. */
  settle(end: FlightEnd): void {
    if (this.#stopTimer === undefined) return;
    this.#stopTimer();
    this.#stopTimer = undefined;
    if (this.#flights.get(this.#key) === this) this.#flights.delete(this.#key);
    const waiters = this.#waiters;
    this.#waiters = [];
    const thrown: unknown[] = [];
    for (const waiter of waiters) {
      try {
        waiter(end);
      } catch (error) {
        thrown.push(error);
      }
    }
    // A waiter that throws must not stop the rest from being told.
    if (thrown.length > 0) throw thrown[0];
  }
}
