/**
 * One guard around every command to a remote store.
 *
 * No Redis client answers while its server is frozen, so the deadline, the bound on waiting commands and the circuit
 * breaker are ours. A command that fails, or is left out, resolves with `undefined`; a late answer is dropped.
 */

import { asError, storeOperationFailed, storeOverloaded, storeSuspended, storeTimeout } from "../../../errors.ts";
import { clearTimeout, performance, setTimeout } from "../../../real-time.ts";
import { Breaker } from "./breaker.ts";
import { Deadlines } from "./deadlines.ts";
import { type Trouble, troubleOf } from "../client/error-replies.ts";
import { Unanswered } from "./unanswered.ts";

export interface GuardOptions {
  /**
   * Longest wait for a read. A write may take ten times as long: no response waits for one but that to an unsafe request,
   * which waits for its purge.
   */
  readonly deadlineMs: number;
  /** Most bytes of writes that wait for an answer. */
  readonly maxWritingBytes: number;
  /** False while there is no connection: what fails then is the connection's doing, which reports on itself. */
  readonly isConnected: () => boolean;
  /** A cheap read that tells whether the store answers; undefined while there is no connection. */
  readonly probe: () => Promise<unknown> | undefined;
  /** A command failed. Called at most once in ten seconds, and each time the store is left out. */
  readonly onFailure: (operation: string, error: Error) => void;
  /** The store answers again after it was left out. */
  readonly onResumed: () => void;
  /** The connection is up, and over it, or to a part of the store, nothing has come back for seconds. */
  readonly onStuck: () => void;
  /** Shared by guards whose bounds are to hold for all of them together. */
  readonly tally?: GuardTally;
}

/** Look-ups are left out first: no burst of them takes the place of a purge, a write or the end of a lease. */
export type Place = "lookUps" | "others";

/** The commands that wait for an answer, abandoned ones included: an abandoned command still costs the client memory. */
export interface GuardTally extends Record<Place, number> {
  writingBytes: number;
}

/** Others have ten times as long, and come one by one, so they have ten times as many places. */
const MOST_WAITING: Readonly<Record<Place, number>> = { lookUps: 1024, others: 10_240 };
/** A client that drops commands when a socket breaks never answers them; after this they count no longer. */
const FORGET_MS = 60_000;
const PROBE_EVERY_MS = 500;
/** Nobody changes a password twice a second, and servers log each refusal. */
const PROBE_FORBIDDEN_EVERY_MS = 5000;
const STUCK_MS = 3000;
const REPORT_EVERY_MS = 10_000;

type Counts = (trouble: Trouble) => boolean;

export class Guard {
  readonly #options: GuardOptions;
  readonly #reads: Deadlines;
  readonly #writes: Deadlines;
  readonly #abandoned = new Deadlines(FORGET_MS);
  readonly #breaker = new Breaker();
  readonly #unanswered = new Unanswered();
  /** Counts connections, so that answers over an old one do not count for the present one. */
  #connection = 0;
  readonly #tally: GuardTally;
  #isSuspended = false;
  #lastTrouble: Trouble = "no-answer";
  /** Since when no probe has been answered, not even with an error. */
  #silentSinceMs = 0;
  #probeTimer: ReturnType<typeof setTimeout> | undefined;
  #quietUntilMs = 0;

  constructor(options: GuardOptions) {
    this.#options = options;
    this.#tally = options.tally ?? { lookUps: 0, others: 0, writingBytes: 0 };
    this.#reads = new Deadlines(options.deadlineMs);
    this.#writes = new Deadlines(options.deadlineMs * 10);
  }

  /** True while the store is left out because it did not answer. */
  get isSuspended(): boolean {
    return this.#isSuspended;
  }

  /** True when what was asked last failed: a request that has waited for it should not wait for more. */
  get isDoubtful(): boolean {
    return this.#breaker.isDoubtful;
  }

  /** The answer of `command`, or undefined when there is none in time. Never rejects. */
  read<T>(operation: string, command: () => Promise<T>, place: Place = "lookUps"): Promise<T | undefined> {
    if (this.#isSuspended) return Promise.resolve(undefined);
    return this.#run(operation, place, this.#reads, 0, command, isFailedRead);
  }

  /** Runs `command`, which sends `bytes` bytes; false when it failed or was left out. Never rejects. */
  async write(operation: string, bytes: number, command: () => Promise<unknown>): Promise<boolean> {
    if (this.#isSuspended) return false;
    if (this.#tally.writingBytes > 0 && this.#tally.writingBytes + bytes > this.#options.maxWritingBytes) {
      this.report(operation, storeOverloaded(operation, `${this.#tally.writingBytes} bytes`));
      return false;
    }
    const done = async (): Promise<boolean> => {
      await command();
      return true;
    };
    return (await this.#run(operation, "others", this.#writes, bytes, done, isFailedWrite)) === true;
  }

  /** A new connection: what waits for an answer over the old one counts no longer, and the store is used again. */
  reset(): void {
    this.#connection += 1;
    this.#tally.lookUps = 0;
    this.#tally.others = 0;
    this.#tally.writingBytes = 0;
    this.#unanswered.clear();
    this.#resume();
  }

  close(): void {
    this.reset();
  }

  #run<T>(
    operation: string,
    place: Place,
    deadlines: Deadlines,
    bytes: number,
    command: () => Promise<T>,
    counts: Counts,
  ): Promise<T | undefined> {
    // A burst on a healthy store is no reason to leave the store out: this does not count for the breaker.
    if (this.#tally[place] >= MOST_WAITING[place]) {
      const what = place === "lookUps" ? "look-ups" : "commands";
      this.report(operation, storeOverloaded(operation, `${this.#tally[place]} ${what}`));
      return Promise.resolve(undefined);
    }
    const connection = this.#connection;
    const landed = this.#takeOff(place, bytes);
    const startMs = performance.now();
    return new Promise((resolve) => {
      let answeredLate = (): void => {};
      const deadline = deadlines.start(() => {
        resolve(undefined);
        const forgotten = this.#abandoned.start(landed);
        const answered = this.#unanswered.add(performance.now());
        answeredLate = () => {
          forgotten.meet();
          answered();
          // It is slow, and not silent: a new connection would not be faster.
          if (connection === this.#connection) this.#silentSinceMs = performance.now();
        };
        if (connection !== this.#connection) return;
        this.#failed(operation, storeTimeout(operation, deadlines.lengthMs), "no-answer", startMs);
        this.#lookForSilence();
      });
      started(command).then(
        (answer) => {
          landed();
          if (!deadline.meet()) return answeredLate();
          this.#breaker.succeeded(performance.now());
          resolve(answer);
        },
        (reason: unknown) => {
          landed();
          const error = asError(reason);
          const trouble = troubleOf(error);
          if (!deadline.meet()) {
            // A client that gives up by itself has heard nothing either.
            if (trouble !== "no-answer") answeredLate();
            return;
          }
          resolve(undefined);
          if (connection !== this.#connection) return;
          const failed = storeOperationFailed(operation, error.message || error.name);
          if (counts(trouble)) this.#failed(operation, failed, trouble, startMs);
          else this.report(operation, failed);
          if (trouble !== "no-answer" && trouble !== "demoted") return;
          this.#unanswered.add(performance.now());
          this.#lookForSilence();
        },
      );
    });
  }

  /** Counts a command until the returned function is called, or until it was abandoned for long. */
  #takeOff(place: Place, bytes: number): () => void {
    const connection = this.#connection;
    let isInFlight = true;
    this.#tally[place] += 1;
    this.#tally.writingBytes += bytes;
    return () => {
      if (!isInFlight || connection !== this.#connection) return;
      isInFlight = false;
      this.#tally[place] -= 1;
      this.#tally.writingBytes -= bytes;
    };
  }

  #failed(operation: string, error: Error, trouble: Trouble, startMs: number): void {
    this.#lastTrouble = trouble;
    if (this.#isSuspended || !this.#options.isConnected()) return;
    const tooMany = this.#breaker.failed(startMs, performance.now());
    if (tooMany === undefined) {
      this.report(operation, error);
      return;
    }
    this.#isSuspended = true;
    this.#silentSinceMs = performance.now();
    this.#options.onFailure(operation, storeSuspended(tooMany, error));
    this.#probeLater();
  }

  #lookForSilence(): void {
    if (this.#isSuspended || !this.#options.isConnected()) return;
    if (this.#unanswered.isTimeForANewClient(performance.now())) this.#options.onStuck();
  }

  /** Tells what went wrong, unless something was told in the last ten seconds. */
  report(operation: string, error: Error): void {
    const nowMs = performance.now();
    if (nowMs < this.#quietUntilMs) return;
    this.#quietUntilMs = nowMs + REPORT_EVERY_MS;
    this.#options.onFailure(operation, error);
  }

  #probeLater(): void {
    const everyMs = this.#lastTrouble === "forbidden" ? PROBE_FORBIDDEN_EVERY_MS : PROBE_EVERY_MS;
    // Processes that lost the store together do not come back to it together.
    this.#probeTimer = setTimeout(() => void this.#probe(), everyMs * (0.8 + Math.random() * 0.4));
    this.#probeTimer.unref?.();
  }

  async #probe(): Promise<void> {
    const connection = this.#connection;
    const answered = await this.#run("probe", "others", this.#reads, 0, this.#probeCommand, isFailedRead);
    if (connection !== this.#connection || !this.#isSuspended) return;
    if (answered === true) {
      this.#resume();
      this.#options.onResumed();
      return;
    }
    const nowMs = performance.now();
    // An error reply is an answer: a new connection would hear the same.
    if (this.#lastTrouble !== "no-answer") this.#silentSinceMs = nowMs;
    this.#probeLater();
    if (nowMs - this.#silentSinceMs < STUCK_MS) return;
    this.#silentSinceMs = nowMs;
    this.#options.onStuck();
  }

  readonly #probeCommand = async (): Promise<boolean> => {
    const answer = this.#options.probe();
    if (answer === undefined) return false;
    await answer;
    return true;
  };

  #resume(): void {
    this.#isSuspended = false;
    this.#lastTrouble = "no-answer";
    this.#breaker.clear();
    this.#quietUntilMs = 0;
    clearTimeout(this.#probeTimer);
    this.#probeTimer = undefined;
  }
}

async function started<T>(command: () => Promise<T>): Promise<T> {
  return command();
}

/** The server is of no use for reading. One key that holds another type is only a miss. */
function isFailedRead(trouble: Trouble): boolean {
  return trouble !== "refused" && trouble !== "demoted";
}

/** Refused writes (out of memory, a replica, no permission) do not stop the reads. */
function isFailedWrite(trouble: Trouble): boolean {
  return trouble === "no-answer";
}
