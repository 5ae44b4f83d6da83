/**
 * The guard around every command to one part of Redis: it is in use, or suspended until a probe is answered.
 *
 * No Redis client answers while its server is frozen, so the deadline, the bound on waiting commands and the circuit
 * breaker are ours. A command that fails, or is not sent, resolves with `undefined`; a late answer is dropped.
 */

import { asError, storeOperationFailed, storeOverloaded, storeSuspended, storeTimeout } from "../../../errors.ts";
import { clearTimeout, performance, setTimeout } from "../../../real-time.ts";
import { type Trouble, troubleOf } from "../client/error-replies.ts";
import { Breaker } from "./breaker.ts";
import { Deadlines } from "./deadlines.ts";
import type { InFlight, Place } from "./in-flight.ts";
import {
  FORGET_COMMAND_MS,
  PROBE_EVERY_MS,
  PROBE_FORBIDDEN_EVERY_MS,
  PROBE_SPREAD,
  REPORT_EVERY_MS,
  STUCK_MS,
  WRITE_DEADLINES,
} from "./limits.ts";
import { Unanswered } from "./unanswered.ts";

export interface GuardOptions {
  /** Longest wait for a read. A write may take ten times as long: only the response to an unsafe request waits for one. */
  readonly deadlineMs: number;
  /** Commands that wait for an answer, in all parts together. */
  readonly inFlight: InFlight;
  /** False while there is no connection: the connection reports that, and a command that fails then says nothing new. */
  readonly isConnected: () => boolean;
  /** A cheap read that tells whether Redis answers; undefined while there is no connection. */
  readonly probe: () => Promise<unknown> | undefined;
  /** A command failed. Called at most once in ten seconds, and each time the part is suspended. */
  readonly onFailure: (operation: string, error: Error) => void;
  /** A suspended part is in use again. */
  readonly onResumed: () => void;
  /** The connection is up, and nothing has come back from this part for seconds. */
  readonly onStuck: () => void;
}

/** Part of Redis that is not asked, and what is known of it since. */
interface Suspension {
  /** What the last failure says about the server. */
  trouble: Trouble;
  /** Time since which no probe was answered, not even with an error. */
  silentSinceMs: number;
  timer: ReturnType<typeof setTimeout> | undefined;
}

/** How long a command may take, and which of its failures say that the part is of no use. */
interface Kind {
  readonly deadlines: Deadlines;
  readonly counts: (trouble: Trouble) => boolean;
}

/** One command that was sent. */
interface Sent {
  readonly operation: string;
  readonly startMs: number;
  /** Number of the connection it went over. */
  readonly connection: number;
  /** Ends its place among the commands that wait. */
  readonly landed: () => void;
  /** Undoes what its missed deadline has counted; undefined before that. */
  answeredLate: (() => void) | undefined;
}

export class Guard {
  readonly #options: GuardOptions;
  readonly #reads: Kind;
  readonly #writes: Kind;
  readonly #forgotten = new Deadlines(FORGET_COMMAND_MS);
  readonly #breaker = new Breaker();
  readonly #unanswered = new Unanswered();
  /** Counts connections, so that answers over an old one do not count for the present one. */
  #connection = 0;
  /** Undefined while the part is in use. */
  #suspension: Suspension | undefined;
  #quietUntilMs = 0;

  constructor(options: GuardOptions) {
    this.#options = options;
    this.#reads = { deadlines: new Deadlines(options.deadlineMs), counts: isFailedRead };
    this.#writes = { deadlines: new Deadlines(options.deadlineMs * WRITE_DEADLINES), counts: isFailedWrite };
  }

  /** True while commands are not sent because too many of them failed. */
  get isSuspended(): boolean {
    return this.#suspension !== undefined;
  }

  /** True when the last command failed: a request that has waited for it should not wait for another one. */
  get isDoubtful(): boolean {
    return this.#breaker.isDoubtful;
  }

  /** The answer of `command`, or undefined when there is none in time. Never rejects. */
  read<T>(operation: string, command: () => Promise<T>, place: Place = "lookUps"): Promise<T | undefined> {
    if (this.isSuspended) return Promise.resolve(undefined);
    return this.#run(operation, place, this.#reads, 0, command);
  }

  /** Runs `command`, which sends `bytes` bytes; false when it failed or was not sent. Never rejects. */
  async write(operation: string, bytes: number, command: () => Promise<unknown>): Promise<boolean> {
    if (this.isSuspended) return false;
    const tooMuch = this.#options.inFlight.tooMuch(bytes);
    if (tooMuch !== undefined) {
      this.report(operation, storeOverloaded(operation, tooMuch));
      return false;
    }
    const done = async (): Promise<boolean> => {
      await command();
      return true;
    };
    return (await this.#run(operation, "others", this.#writes, bytes, done)) === true;
  }

  /** Reports a failure, unless one was reported in the last ten seconds. */
  report(operation: string, error: Error): void {
    const nowMs = performance.now();
    if (nowMs < this.#quietUntilMs) return;
    this.#quietUntilMs = nowMs + REPORT_EVERY_MS;
    this.#options.onFailure(operation, error);
  }

  /** A new connection: answers over the old one no longer count, and the part is in use. */
  reset(): void {
    this.#connection += 1;
    this.#options.inFlight.reset();
    this.#unanswered.clear();
    this.#resume();
  }

  close(): void {
    this.reset();
  }

  #run<T>(
    operation: string,
    place: Place,
    { deadlines, counts }: Kind,
    bytes: number,
    command: () => Promise<T>,
  ): Promise<T | undefined> {
    const { inFlight } = this.#options;
    // The breaker does not count it: a burst on a healthy Redis is no reason to suspend it.
    const tooMany = inFlight.tooMany(place);
    if (tooMany !== undefined) {
      this.report(operation, storeOverloaded(operation, tooMany));
      return Promise.resolve(undefined);
    }
    const landed = inFlight.begin(place, bytes);
    const connection = this.#connection;
    const sent: Sent = { operation, startMs: performance.now(), connection, landed, answeredLate: undefined };
    return new Promise((resolve) => {
      const deadline = deadlines.start(() => {
        resolve(undefined);
        this.#missed(sent, deadlines.lengthMs);
      });
      started(command).then(
        (answer) => {
          landed();
          if (!deadline.meet()) return sent.answeredLate?.();
          this.#breaker.succeeded(performance.now());
          resolve(answer);
        },
        (reason: unknown) => {
          landed();
          const error = asError(reason);
          const trouble = troubleOf(error);
          if (deadline.meet()) {
            resolve(undefined);
            this.#rejected(sent, error, trouble, counts(trouble));
          } else if (trouble !== "no-answer") {
            // A client that gives up by itself has heard nothing, but this is an answer.
            sent.answeredLate?.();
          }
        },
      );
    });
  }

  /** The deadline of a command has passed. */
  #missed(sent: Sent, deadlineMs: number): void {
    const forgotten = this.#forgotten.start(sent.landed);
    const answered = this.#unanswered.add(performance.now());
    sent.answeredLate = () => {
      forgotten.meet();
      answered();
      // A slow part is not silent: a new connection would not be faster.
      if (sent.connection === this.#connection && this.#suspension !== undefined) {
        this.#suspension.silentSinceMs = performance.now();
      }
    };
    if (sent.connection !== this.#connection) return;
    this.#failed(sent, storeTimeout(sent.operation, deadlineMs), "no-answer");
    this.#lookForSilence();
  }

  /** A command was rejected in time, by Redis or by the client. */
  #rejected(sent: Sent, error: Error, trouble: Trouble, counts: boolean): void {
    if (sent.connection !== this.#connection) return;
    const failed = storeOperationFailed(sent.operation, error.message || error.name);
    if (counts) this.#failed(sent, failed, trouble);
    else this.report(sent.operation, failed);
    if (trouble !== "no-answer" && trouble !== "demoted") return;
    this.#unanswered.add(performance.now());
    this.#lookForSilence();
  }

  #failed({ operation, startMs }: Sent, error: Error, trouble: Trouble): void {
    if (this.#suspension !== undefined) {
      this.#suspension.trouble = trouble;
      return;
    }
    if (!this.#options.isConnected()) return;
    const nowMs = performance.now();
    const tooMany = this.#breaker.failed(startMs, nowMs);
    if (tooMany === undefined) {
      this.report(operation, error);
      return;
    }
    this.#suspension = { trouble, silentSinceMs: nowMs, timer: undefined };
    this.#options.onFailure(operation, storeSuspended(tooMany, error));
    this.#probeLater(this.#suspension);
  }

  #lookForSilence(): void {
    if (this.isSuspended || !this.#options.isConnected()) return;
    if (this.#unanswered.isTimeForANewClient(performance.now())) this.#options.onStuck();
  }

  #probeLater(suspension: Suspension): void {
    const everyMs = suspension.trouble === "forbidden" ? PROBE_FORBIDDEN_EVERY_MS : PROBE_EVERY_MS;
    const restMs = everyMs * (1 - PROBE_SPREAD + Math.random() * 2 * PROBE_SPREAD);
    suspension.timer = setTimeout(() => void this.#probe(suspension), restMs);
    suspension.timer.unref?.();
  }

  async #probe(suspension: Suspension): Promise<void> {
    const answered = await this.#run("probe", "others", this.#reads, 0, this.#probeCommand);
    if (this.#suspension !== suspension) return;
    if (answered === true) {
      this.#resume();
      this.#options.onResumed();
      return;
    }
    const nowMs = performance.now();
    // An error reply is an answer: a new connection would hear the same.
    if (suspension.trouble !== "no-answer") suspension.silentSinceMs = nowMs;
    this.#probeLater(suspension);
    if (nowMs - suspension.silentSinceMs < STUCK_MS) return;
    suspension.silentSinceMs = nowMs;
    this.#options.onStuck();
  }

  readonly #probeCommand = async (): Promise<boolean> => {
    const answer = this.#options.probe();
    if (answer === undefined) return false;
    await answer;
    return true;
  };

  #resume(): void {
    clearTimeout(this.#suspension?.timer);
    this.#suspension = undefined;
    this.#breaker.clear();
    this.#quietUntilMs = 0;
  }
}

async function started<T>(command: () => Promise<T>): Promise<T> {
  return command();
}

/** Reading is of no use: one key that holds another type is only a miss. */
function isFailedRead(trouble: Trouble): boolean {
  return trouble !== "refused" && trouble !== "demoted";
}

/** Refused writes (out of memory, a replica, no permission) do not stop the reads. */
function isFailedWrite(trouble: Trouble): boolean {
  return trouble === "no-answer";
}
