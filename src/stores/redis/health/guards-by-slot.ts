/**
 * A guard for each part of a store: one for all of a single server, and one for each range of slots of a Cluster, so that a
 * master that is down takes its own keys with it and no others.
 *
 * Ranges of slots, and not the nodes themselves: nodes change while they are in trouble, and not every client tells them.
 * Masters mostly have long ranges, so few of ours are on two of them.
 */

import { performance } from "../../../real-time.ts";
import { CLUSTER_SLOTS, clusterSlot } from "../client/cluster-slot.ts";
import { Guard, type GuardOptions, type GuardTally } from "./command-guard.ts";

export interface GuardsOptions extends Omit<GuardOptions, "probe" | "tally"> {
  /** A cheap read on the server that `key` is on; undefined while there is no connection. */
  readonly probe: (key: string) => Promise<unknown> | undefined;
  /** True while the keys are spread over the servers of a Cluster. */
  readonly isCluster: () => boolean;
}

const PARTS = 32;
const WHOLE = -1;
/** The ranges of one master find out one after the other; one new client is for all of them. */
const ONE_CLIENT_IN_MS = 3000;
const REPORT_EVERY_MS = 10_000;

export class Guards {
  readonly #options: GuardsOptions;
  readonly #parts = new Map<number, Part>();
  /** What waits for answers in all parts together. */
  readonly #tally: GuardTally = { lookUps: 0, others: 0, writingBytes: 0 };
  #quietUntilMs = 0;
  #stuckAtMs = -Infinity;

  constructor(options: GuardsOptions) {
    this.#options = options;
  }

  /** The guard around every command on `key`, a key in Redis. */
  of(key: string): Guard {
    const at = this.#options.isCluster() ? Math.floor((clusterSlot(key) * PARTS) / CLUSTER_SLOTS) : WHOLE;
    const known = this.#parts.get(at);
    if (known !== undefined) {
      known.lastKey = key;
      return known.guard;
    }
    const made = this.#make(key);
    this.#parts.set(at, made);
    return made.guard;
  }

  /** True while all parts that anything was asked of are left out: of the others nothing is known. */
  get isSuspended(): boolean {
    if (!this.#options.isCluster()) return this.#parts.get(WHOLE)?.guard.isSuspended === true;
    let parts = 0;
    for (const [at, { guard }] of this.#parts) {
      if (at === WHOLE) continue;
      if (!guard.isSuspended) return false;
      parts += 1;
    }
    return parts > 0;
  }

  /** A new connection: what waits for an answer over the old one counts no longer, and all parts are used again. */
  reset(): void {
    this.#quietUntilMs = 0;
    for (const { guard } of this.#parts.values()) guard.reset();
    this.#tally.lookUps = 0;
    this.#tally.others = 0;
    this.#tally.writingBytes = 0;
  }

  close(): void {
    for (const { guard } of this.#parts.values()) guard.close();
    this.#parts.clear();
  }

  #make(key: string): Part {
    const guard: Guard = new Guard({
      ...this.#options,
      tally: this.#tally,
      probe: () => this.#options.probe(part.lastKey),
      onFailure: (operation, error) => this.#failed(guard, operation, error),
      onResumed: () => {
        if (this.#isAnySuspended(guard)) return;
        this.#quietUntilMs = 0;
        this.#options.onResumed();
      },
      onStuck: () => this.#stuck(),
    });
    const part: Part = { guard, lastKey: key };
    return part;
  }

  /** Told for the first part that is left out; the others mostly follow it, being on the same server. */
  #failed(guard: Guard, operation: string, error: Error): void {
    const nowMs = performance.now();
    const isNews = guard.isSuspended && !this.#isAnySuspended(guard);
    if (!isNews && nowMs < this.#quietUntilMs) return;
    this.#quietUntilMs = nowMs + REPORT_EVERY_MS;
    this.#options.onFailure(operation, error);
  }

  #isAnySuspended(besides: Guard): boolean {
    for (const { guard } of this.#parts.values()) if (guard !== besides && guard.isSuspended) return true;
    return false;
  }

  #stuck(): void {
    const nowMs = performance.now();
    if (nowMs - this.#stuckAtMs < ONE_CLIENT_IN_MS) return;
    this.#stuckAtMs = nowMs;
    this.#options.onStuck();
  }
}

interface Part {
  readonly guard: Guard;
  /** The key last asked for: what is wrong is wrong with its server. */
  lastKey: string;
}
