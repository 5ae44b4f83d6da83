/** Many deadlines of one length on one timer: they fall due in the order they were set. */
export class Deadlines {
  readonly lengthMs: number;
  #queue: Deadline[] = [];
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(lengthMs: number) {
    this.lengthMs = lengthMs;
  }

  /** Calls `onMissed` once after `lengthMs`, unless the deadline is met before. */
  start(onMissed: () => void): Deadline {
    const deadline = new Deadline(performance.now() + this.lengthMs, onMissed);
    this.#queue.push(deadline);
    if (this.#timer === undefined) this.#wake(this.lengthMs);
    return deadline;
  }

  #wake(inMs: number): void {
    this.#timer = setTimeout(() => {
      // Replies that arrived while the event loop was busy are read before setImmediate runs: they are in time.
      setImmediate(() => this.#expire());
    }, inMs);
    this.#timer.unref?.();
  }

  #expire(): void {
    this.#timer = undefined;
    const nowMs = performance.now();
    let due = 0;
    for (const deadline of this.#queue) {
      if (deadline.isOpen && deadline.atMs > nowMs) break;
      due += 1;
    }
    const missed = this.#queue.splice(0, due);
    const next = this.#queue[0];
    if (next !== undefined) this.#wake(Math.max(1, Math.ceil(next.atMs - nowMs)));
    for (const deadline of missed) deadline.miss();
  }
}

export class Deadline {
  readonly atMs: number;
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
