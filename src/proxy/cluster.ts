/** Several worker processes that share one port: `--cluster N`. */

import cluster, { type Worker } from "node:cluster";
import type { AddressInfo } from "node:net";

import type { Logger } from "../http.ts";

/** Settings of {@link runCluster}. */
export interface ClusterOptions {
  readonly workers: number;
  /** How long a worker may take to finish; after two seconds more it is killed. Milliseconds. */
  readonly shutdownTimeoutMs: number;
  readonly logger: Logger;
  /** Called once, when every worker listens. */
  readonly onListening: (address: AddressInfo) => void;
  /** Called with the message of a worker that could not start. */
  readonly onFailure: (message: string) => void;
  /** Most workers restarted within a minute before all is given up. Default 5. */
  readonly maxRestartsPerMinute?: number;
}

/** A running cluster, as its primary process sees it. */
export interface ClusterRun {
  /** Lets every worker finish what is in flight. */
  stop(): void;
  /** Resolves when no worker is left: 0 after `stop()`, 1 when all was given up. */
  readonly ended: Promise<0 | 1>;
}

/** What a worker tells the primary process. */
export type WorkerMessage =
  | { readonly type: "listening"; readonly address: AddressInfo }
  | { readonly type: "failed"; readonly message: string };

const MINUTE_MS = 60_000;
const KILL_AFTER_MS = 2_000;

/** True in a process that `runCluster()` has started. */
export function isClusterWorker(): boolean {
  return cluster.isWorker;
}

/** Tells the primary process how a worker's start went. */
export function tellPrimary(message: WorkerMessage): Promise<void> {
  return new Promise((resolve) => {
    if (process.send === undefined) resolve();
    else process.send(message, undefined, undefined, () => resolve());
  });
}

/**
 * Starts the workers: each runs this same program with the same arguments. One that crashes is started again, as long as
 * that does not happen too often.
 */
export function runCluster(options: ClusterOptions): ClusterRun {
  return new Primary(options);
}

class Primary implements ClusterRun {
  readonly ended: Promise<0 | 1>;
  readonly #options: ClusterOptions;
  readonly #workers = new Set<Worker>();
  readonly #listening = new Set<Worker>();
  readonly #restartedAtMs: number[] = [];
  #announced = false;
  #stopping = false;
  #exitCode: 0 | 1 = 0;
  #resolve: (code: 0 | 1) => void = () => {};

  constructor(options: ClusterOptions) {
    this.#options = options;
    this.ended = new Promise((resolve) => {
      this.#resolve = resolve;
    });
    for (let count = 0; count < options.workers; count += 1) this.#fork();
  }

  stop(): void {
    if (this.#stopping) return;
    this.#stopping = true;
    const workers = [...this.#workers];
    for (const worker of workers) worker.process.kill("SIGTERM");
    setTimeout(() => {
      for (const worker of workers) worker.process.kill("SIGKILL");
    }, this.#options.shutdownTimeoutMs + KILL_AFTER_MS).unref();
  }

  #fork(): void {
    const worker = cluster.fork();
    this.#workers.add(worker);
    this.#options.logger.info(`worker ${worker.process.pid} started`);
    worker.on("message", (message: WorkerMessage) => this.#hear(worker, message));
    worker.on("error", () => {});
    worker.on("exit", (code, signal) => this.#exited(worker, signal ?? `code ${code}`));
  }

  #hear(worker: Worker, message: WorkerMessage): void {
    if (message.type === "failed") {
      if (this.#exitCode === 0) this.#options.onFailure(message.message);
      return this.#giveUp();
    }
    this.#listening.add(worker);
    if (this.#announced || this.#listening.size < this.#options.workers) return;
    this.#announced = true;
    this.#options.onListening(message.address);
  }

  #exited(worker: Worker, how: string): void {
    this.#workers.delete(worker);
    const { logger, maxRestartsPerMinute = 5 } = this.#options;
    if (!this.#stopping) {
      const nowMs = Date.now();
      const recent = this.#restartedAtMs.filter((atMs) => nowMs - atMs < MINUTE_MS);
      if (!this.#listening.has(worker)) {
        logger.warn(`a worker ended (${how}) before it listened`);
        this.#giveUp();
      } else if (recent.length >= maxRestartsPerMinute) {
        logger.warn(`a worker ended (${how}); ${recent.length} were restarted within a minute, which is enough`);
        this.#giveUp();
      } else {
        logger.warn(`a worker ended (${how}); starting another`);
        this.#restartedAtMs.splice(0, this.#restartedAtMs.length, ...recent, nowMs);
        this.#fork();
      }
    }
    this.#listening.delete(worker);
    if (this.#workers.size === 0) this.#resolve(this.#exitCode);
  }

  #giveUp(): void {
    this.#exitCode = 1;
    this.stop();
  }
}
