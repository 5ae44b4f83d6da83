import { performance } from "../real-time.ts";
import { startTimer } from "../timer.ts";
import type { StoreEntry } from "../http.ts";

/** How a flight ended for those who waited for it. */
export type FlightEnd =
  /** A value to make a copy of. `entry`: what it was found in, if it was, to be judged by the purges since. */
  | { readonly type: "value"; readonly copy: () => unknown; readonly entry?: StoreEntry }
  /** The function threw: so does every caller of this flight. */
  | { readonly type: "failed"; readonly error: unknown }
  /** Not shareable, or too late: everybody calls the function on their own, at once. */
  | { readonly type: "alone" };

/** One call that others wait for. Past its deadline it stops collecting, whatever becomes of it. */
export class Flight {
  /** On the clock of `performance.now()`; the function is called after it. */
  readonly beganAtMs: number = performance.now();
  readonly ended: Promise<FlightEnd>;
  /** What those who wait get at the deadline. */
  atDeadline: FlightEnd = { type: "alone" };
  readonly #settle: (end: FlightEnd) => void;
  readonly #whenEnded: () => void;
  readonly #stopTimer: () => void;
  #isOver = false;

  constructor(deadlineMs: number, whenEnded: () => void) {
    let settle: (end: FlightEnd) => void = () => {};
    this.ended = new Promise((resolve) => {
      settle = resolve;
    });
    this.#settle = settle;
    this.#whenEnded = whenEnded;
    this.#stopTimer = startTimer(deadlineMs, () => this.end(this.atDeadline));
  }

  /** Ends the flight for all who wait; only the first call counts. */
  end(end: FlightEnd): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#stopTimer();
    this.#whenEnded();
    this.#settle(end);
  }
}

/** One execution of the function. */
export interface Run {
  readonly key: string;
  /** Runs of a function count up, so the later of two is known whatever the clock does. */
  readonly number: number;
  readonly state: KeyState;
}

/** A run in the background. */
export interface Renewal {
  readonly run: Run;
  readonly stopTimer: () => void;
}

/** What is going on under one key. Exists only while something is. */
export interface KeyState {
  /** Flights, runs and writes that are not done yet. */
  users: number;
  /** The flight that callers may join. */
  flight: Flight | undefined;
  /** The run in the background that renews a stale value. */
  renewal: Renewal | undefined;
  /** Runs up to this number began before the last purge. */
  purgedUpTo: number;
  /** Number of the run whose result was stored last. */
  storedBy: number;
  /** Handed to a store that has not said yet that it is there. */
  beingStored: StoreEntry | undefined;
}

/** The calls of one wrapped function that are not done yet. Keeps nothing of a call once it is. */
export class InFlight {
  readonly #states = new Map<string, KeyState>();
  readonly #deadlineMs: number;
  #runs = 0;

  constructor(deadlineMs: number) {
    this.#deadlineMs = deadlineMs;
  }

  state(key: string): Readonly<KeyState> | undefined {
    return this.#states.get(key);
  }

  /** Starts a flight that later callers join until it ends, is purged or exceeds the deadline. */
  takeOff(key: string): Flight {
    const state = this.#use(key);
    const flight = new Flight(this.#deadlineMs, () => {
      if (state.flight === flight) state.flight = undefined;
      this.#leave(key, state);
    });
    state.flight = flight;
    return flight;
  }

  begin(key: string): Run {
    return { key, number: ++this.#runs, state: this.#use(key) };
  }

  end(run: Run): void {
    this.#leave(run.key, run.state);
  }

  /** A run that renews the stale value under this key, or `undefined` while another one does and is in time. */
  beginRenewal(key: string): Renewal | undefined {
    if (this.#states.get(key)?.renewal !== undefined) return undefined;
    const run = this.begin(key);
    const stopTimer = startTimer(this.#deadlineMs, () => this.#endRenewal(renewal));
    const renewal: Renewal = { run, stopTimer };
    run.state.renewal = renewal;
    return renewal;
  }

  /** Ends the run, and lets another renewal begin. */
  endRenewal(renewal: Renewal): void {
    renewal.stopTimer();
    this.#endRenewal(renewal);
    this.end(renewal.run);
  }

  #endRenewal({ run }: Renewal): void {
    if (run.state.renewal?.run === run) run.state.renewal = undefined;
  }

  /** Why the result of this run must not be stored, if so. */
  outdated(run: Run): "purged" | "superseded" | undefined {
    if (run.number <= run.state.purgedUpTo) return "purged";
    return run.number < run.state.storedBy ? "superseded" : undefined;
  }

  /** Takes note of a write that has begun, and keeps `entry` readable until it is done. */
  storing(run: Run, entry: StoreEntry, write: undefined | Promise<unknown>): void {
    run.state.storedBy = run.number;
    if (write === undefined) return;
    const state = this.#use(run.key);
    state.beingStored = entry;
    void write.then(() => {
      if (state.beingStored === entry) state.beingStored = undefined;
      this.#leave(run.key, state);
    });
  }

  /** Bars every run that has begun from storing, and every caller from now on from joining them. */
  purge(key: string): void {
    const state = this.#states.get(key);
    if (state !== undefined) this.#purge(state);
  }

  /** As `purge()`, for all keys that `isPurged` says yes to. */
  purgeWhere(isPurged: (key: string) => boolean): void {
    for (const [key, state] of this.#states) {
      if (isPurged(key)) this.#purge(state);
    }
  }

  #purge(state: KeyState): void {
    state.purgedUpTo = this.#runs;
    state.flight = undefined;
    state.renewal = undefined;
    state.beingStored = undefined;
  }

  #use(key: string): KeyState {
    const state = this.#states.get(key) ?? idleState();
    this.#states.set(key, state);
    state.users++;
    return state;
  }

  #leave(key: string, state: KeyState): void {
    state.users--;
    if (state.users === 0) this.#states.delete(key);
  }
}

function idleState(): KeyState {
  return {
    users: 0,
    flight: undefined,
    renewal: undefined,
    purgedUpTo: 0,
    storedBy: 0,
    beingStored: undefined,
  };
}
