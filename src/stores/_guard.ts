/**
 * One guard around every command to a remote store.
 *
 * No Redis client answers while its server is frozen, so the deadline, the bound on waiting commands and the circuit
 * breaker are ours. A command that fails, or is left out, resolves with `undefined`; a late answer is dropped.
 */

import { storeOperationFailed, storeOverloaded, storeSuspended, storeTimeout } from "../errors.ts";
import { Deadlines } from "./_deadlines.ts";

export interface GuardOptions {
  /** Longest wait for a read. A write, which no response waits for, may take ten times as long. */
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
  /** The connection is up and nothing has come back over it for seconds. */
  readonly onStuck: () => void;
}

/** The commands that wait for an answer, abandoned ones included: an abandoned command still costs the client memory. */
const MAX_IN_FLIGHT = 1024;
const FAILURES_TO_SUSPEND = 5;
const PROBE_EVERY_MS = 500;
const PROBES_TO_STUCK = 6;
const REPORT_EVERY_MS = 10_000;

export class Guard {
  readonly #options: GuardOptions;
  readonly #reads: Deadlines;
  readonly #writes: Deadlines;
  /** Counts connections, so that answers over an old one do not count for the present one. */
  #connection = 0;
  #inFlight = 0;
  #writingBytes = 0;
  #failures = 0;
  #failedProbes = 0;
  #isSuspended = false;
  #probeTimer: ReturnType<typeof setTimeout> | undefined;
  #quietUntilMs = 0;

  constructor(options: GuardOptions) {
    this.#options = options;
    this.#reads = new Deadlines(options.deadlineMs);
    this.#writes = new Deadlines(options.deadlineMs * 10);
  }

  /** True while the store is left out because it did not answer. */
  get isSuspended(): boolean {
    return this.#isSuspended;
  }

  /** The answer of `command`, or undefined when there is none in time. Never rejects. */
  read<T>(operation: string, command: () => Promise<T>): Promise<T | undefined> {
    if (this.#isSuspended) return Promise.resolve(undefined);
    return this.#run(operation, this.#reads, 0, command, isFailedRead);
  }

  /** Runs `command`, which sends `bytes` bytes. Never rejects. */
  async write(operation: string, bytes: number, command: () => Promise<unknown>): Promise<void> {
    if (this.#isSuspended) return;
    if (this.#writingBytes > 0 && this.#writingBytes + bytes > this.#options.maxWritingBytes) {
      this.#report(operation, storeOverloaded(operation, `${this.#writingBytes} bytes`));
      return;
    }
    await this.#run(operation, this.#writes, bytes, command, isFailedWrite);
  }

  /** A new connection: what waits for an answer over the old one counts no longer, and the store is used again. */
  reset(): void {
    this.#connection += 1;
    this.#inFlight = 0;
    this.#writingBytes = 0;
    this.#failures = 0;
    this.#resume();
  }

  close(): void {
    this.reset();
  }

  #run<T>(
    operation: string,
    deadlines: Deadlines,
    bytes: number,
    command: () => Promise<T>,
    isFailure: (error: Error) => boolean,
  ): Promise<T | undefined> {
    // A burst on a healthy store is no reason to leave the store out: this does not count for the breaker.
    if (this.#inFlight >= MAX_IN_FLIGHT) {
      this.#report(operation, storeOverloaded(operation, `${this.#inFlight} commands`));
      return Promise.resolve(undefined);
    }
    const landed = this.#takeOff(bytes);
    return new Promise((resolve) => {
      const deadline = deadlines.start(() => {
        this.#failed(operation, storeTimeout(operation, deadlines.lengthMs));
        resolve(undefined);
      });
      started(command).then(
        (answer) => {
          landed();
          if (!deadline.meet()) return;
          this.#failures = 0;
          resolve(answer);
        },
        (reason: unknown) => {
          landed();
          if (!deadline.meet()) return;
          const error = reason instanceof Error ? reason : new Error(String(reason));
          const failed = storeOperationFailed(operation, error.message);
          if (isFailure(error)) this.#failed(operation, failed);
          else this.#report(operation, failed);
          resolve(undefined);
        },
      );
    });
  }

  #takeOff(bytes: number): () => void {
    const connection = this.#connection;
    this.#inFlight += 1;
    this.#writingBytes += bytes;
    return () => {
      if (connection !== this.#connection) return;
      this.#inFlight -= 1;
      this.#writingBytes -= bytes;
    };
  }

  #failed(operation: string, error: Error): void {
    if (this.#isSuspended || !this.#options.isConnected()) return;
    this.#failures += 1;
    if (this.#failures < FAILURES_TO_SUSPEND) {
      this.#report(operation, error);
      return;
    }
    this.#isSuspended = true;
    this.#failedProbes = 0;
    this.#options.onFailure(operation, storeSuspended(this.#failures, error));
    this.#probeLater();
  }

  #report(operation: string, error: Error): void {
    const nowMs = performance.now();
    if (nowMs < this.#quietUntilMs) return;
    this.#quietUntilMs = nowMs + REPORT_EVERY_MS;
    this.#options.onFailure(operation, error);
  }

  #probeLater(): void {
    this.#probeTimer = setTimeout(() => void this.#probe(), PROBE_EVERY_MS);
    this.#probeTimer.unref?.();
  }

  async #probe(): Promise<void> {
    const connection = this.#connection;
    const answered = await this.#run("probe", this.#reads, 0, this.#probeCommand, isFailedRead);
    if (connection !== this.#connection || !this.#isSuspended) return;
    if (answered === true) {
      this.#failures = 0;
      this.#resume();
      this.#options.onResumed();
      return;
    }
    this.#failedProbes += 1;
    this.#probeLater();
    if (this.#failedProbes % PROBES_TO_STUCK === 0) this.#options.onStuck();
  }

  readonly #probeCommand = async (): Promise<boolean> => {
    const answer = this.#options.probe();
    if (answer === undefined) return false;
    await answer;
    return true;
  };

  #resume(): void {
    this.#isSuspended = false;
    this.#quietUntilMs = 0;
    clearTimeout(this.#probeTimer);
    this.#probeTimer = undefined;
  }
}

async function started<T>(command: () => Promise<T>): Promise<T> {
  return command();
}

/** `WRONGTYPE …`, `OOM …`: the server answered, so the connection works. Clients spell the class of such errors differently. */
const ERROR_REPLY = /^[A-Z][A-Z0-9]+ /;

/** The server is of no use for reading. One key that holds another type is only a miss. */
function isFailedRead(error: Error): boolean {
  return !error.message.startsWith("WRONGTYPE ");
}

/** Refused writes (out of memory, a replica, no permission) do not stop the reads. */
function isFailedWrite(error: Error): boolean {
  return !ERROR_REPLY.test(error.message);
}
