import { performance, setImmediate, setTimeout } from "../../../real-time.ts";
import { IDLE_LATE_MS, LOOKS_PER_DEADLINE } from "./limits.ts";

/**
 * Many deadlines of one length on one timer.
 *
 * Time in which this process was too busy to read replies does not count: it says nothing about the server.
 */
export class Deadlines {
  readonly lengthMs: number;
  /** In the order they fall due. */
  #queue: Deadline[] = [];
  #isAwake = false;

  readonly #keepsAlive: boolean;

  /** `keepsAlive`: for waits that may be all that a process has left to do. */
  constructor(lengthMs: number, { keepsAlive = false }: { readonly keepsAlive?: boolean } = {}) {
    this.lengthMs = lengthMs;
    this.#keepsAlive = keepsAlive;
  }

  /** Calls `onMissed` once, `lengthMs` after `sinceMs`, unless the deadline is met before. */
  start(onMissed: () => void, sinceMs: number = performance.now()): Deadline {
    const deadline = new Deadline(sinceMs + this.lengthMs, onMissed);
    this.#insert(deadline);
    if (!this.#isAwake) {
      const nowMs = performance.now();
      this.#lookAfter(nowMs, deadline.atMs - nowMs);
    }
    return deadline;
  }

  #insert(deadline: Deadline): void {
    let place = this.#queue.length;
    while (place > 0 && (this.#queue[place - 1]?.atMs ?? 0) > deadline.atMs) place -= 1;
    if (place === this.#queue.length) this.#queue.push(deadline);
    else this.#queue.splice(place, 0, deadline);
  }

  #lookAfter(nowMs: number, dueInMs: number): void {
    this.#isAwake = true;
    const lookAtMs = nowMs + Math.max(1, Math.min(this.lengthMs / LOOKS_PER_DEADLINE, dueInMs));
    const timer = setTimeout(
      () => {
        const firedAtMs = performance.now();
        if (firedAtMs - lookAtMs > IDLE_LATE_MS) this.#postpone(lookAtMs, firedAtMs);
        // Replies that arrived while the event loop was busy are read before setImmediate runs: they are in time.
        setImmediate(() => this.#expire(firedAtMs));
      },
      Math.ceil(lookAtMs - performance.now()),
    );
    if (!this.#keepsAlive) timer.unref?.();
  }

  /** The process was busy from `fromMs` to `untilMs`; each deadline gets what it lost of it. */
  #postpone(fromMs: number, untilMs: number): void {
    for (const deadline of this.#queue) deadline.atMs += untilMs - Math.max(fromMs, deadline.atMs - this.lengthMs);
  }

  #expire(nowMs: number): void {
    let due = 0;
    for (const deadline of this.#queue) {
      if (deadline.isOpen && deadline.atMs > nowMs) break;
      due += 1;
    }
    const missed = this.#queue.splice(0, due);
    const next = this.#queue[0];
    if (next === undefined) this.#isAwake = false;
    else this.#lookAfter(nowMs, next.atMs - nowMs);
    for (const deadline of missed) deadline.miss();
  }
}

export class Deadline {
  /** On the clock of `performance.now()`. */
  atMs: number;
  #onMissed: (() => void) | undefined;

  constructor(atMs: number, onMissed: () => void) {
    this.atMs = atMs;
    this.#onMissed = onMissed;
  }

  get isOpen(): boolean {
    return this.#onMissed !== undefined;
  }

  /** True when the answer is in time; false when it comes too late and must not be used. */
  meet(): boolean {
    const inTime = this.isOpen;
    this.#onMissed = undefined;
    return inTime;
  }

  miss(): void {
    const onMissed = this.#onMissed;
    this.#onMissed = undefined;
    onMissed?.();
  }
}
