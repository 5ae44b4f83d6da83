/**
 * A guard for each part of Redis: one for all of a single server, and one for each range of slots of a Cluster, so that a
 * master that is down suspends its own keys and no others.
 *
 * Parts are ranges of slots and not nodes, because nodes change while they fail, and not every client tells its nodes.
 */

import { performance } from "../../../real-time.ts";
import { CLUSTER_SLOTS, clusterSlot } from "../client/cluster-slot.ts";
import { Guard, type GuardOptions } from "./command-guard.ts";
import { InFlight } from "./in-flight.ts";
import { CLUSTER_PARTS, ONE_CLIENT_IN_MS, REPORT_EVERY_MS } from "./limits.ts";

export interface GuardsOptions extends Omit<GuardOptions, "probe" | "inFlight"> {
  /** Most bytes of writes that wait for an answer. */
  readonly maxWritingBytes: number;
  /** A cheap read on the server that `key` is on; undefined while there is no connection. */
  readonly probe: (key: string) => Promise<unknown> | undefined;
  /** True while the keys are spread over the servers of a Cluster. */
  readonly isCluster: () => boolean;
}

/** The part that stands for all of a single server. */
const WHOLE = -1;

export class Guards {
  readonly #options: GuardsOptions;
  readonly #parts = new Map<number, Part>();
  /** Commands that wait for an answer, in all parts together. */
  readonly #inFlight: InFlight;
  #quietUntilMs = 0;
  #stuckAtMs = -Infinity;

  constructor(options: GuardsOptions) {
    this.#options = options;
    this.#inFlight = new InFlight(options.maxWritingBytes);
  }

  /** The guard around every command on `key`, a key in Redis. */
  of(key: string): Guard {
    const at = this.#options.isCluster() ? Math.floor((clusterSlot(key) * CLUSTER_PARTS) / CLUSTER_SLOTS) : WHOLE;
    const known = this.#parts.get(at);
    if (known !== undefined) {
      known.lastKey = key;
      return known.guard;
    }
    const made = this.#make(key);
    this.#parts.set(at, made);
    return made.guard;
  }

  /** True while all parts that were asked are suspended; nothing is known of parts that were not asked. */
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

  /** A new connection: answers over the old one no longer count, and all parts are in use. */
  reset(): void {
    this.#quietUntilMs = 0;
    this.#inFlight.reset();
    for (const { guard } of this.#parts.values()) guard.reset();
  }

  close(): void {
    for (const { guard } of this.#parts.values()) guard.close();
    this.#parts.clear();
  }

  #make(key: string): Part {
    const guard: Guard = new Guard({
      ...this.#options,
      inFlight: this.#inFlight,
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

  /** Reports the first part that is suspended; the parts on the same server mostly follow it. */
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
  /** The last key that was asked for: its server is probed. */
  lastKey: string;
}
