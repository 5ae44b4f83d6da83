/** A purge log in memory: it holds in this process. */

import type { Purgeable, PurgeLog, PurgeReceipt, PurgeTarget, PurgeVerdict } from "../../http.ts";
import { POSITIONS_PER_MS, positionIn, positionMs, positionText } from "./position.ts";
import { NOT_PURGED, PURGED, PurgeTable } from "./table.ts";
import { targetText } from "./targets.ts";

/** A log in memory answers at once. */
export interface InProcessLog extends PurgeLog {
  /** False until the first purge: no entry needs to be judged before it. */
  readonly hasPurges: boolean;
  purge(prefix: string, targets: readonly PurgeTarget[], options: { readonly soft: boolean }): PurgeReceipt;
  verify(prefix: string): boolean;
}

/** A log that is empty. `now`: wall clock in milliseconds. */
export function inProcessLog(now: () => number): InProcessLog {
  return new LogInMemory(now);
}

interface PrefixState {
  readonly table: PurgeTable;
  position: number;
  generation: string;
}

class LogInMemory implements InProcessLog {
  readonly #now: () => number;
  /** Identifies this log. An entry with a generation of another log, such as one of an earlier process, is older than all purges. */
  #knownEpoch: string | undefined;
  #knownUnpurged: string | undefined;
  readonly #prefixes = new Map<string, PrefixState>();
  hasPurges = false;

  constructor(now: () => number) {
    this.#now = now;
  }

  /** Made when it is first needed: Workers have no random values while they load their modules. */
  get #epoch(): string {
    this.#knownEpoch ??= crypto.randomUUID().replaceAll("-", "");
    return this.#knownEpoch;
  }

  generation(prefix: string): string {
    return this.#prefixes.get(prefix)?.generation ?? this.#unpurged;
  }

  get #unpurged(): string {
    this.#knownUnpurged ??= `${this.#epoch}:0-0`;
    return this.#knownUnpurged;
  }

  judge(prefix: string, key: string, entry: Purgeable): PurgeVerdict {
    const state = this.#prefixes.get(prefix);
    if (state === undefined || entry.generation === state.generation) return "valid";
    const position = positionIn(entry.generation ?? "", this.#epoch);
    const judged = state.table.judge(Number.isNaN(position) ? 0 : position, key, entry);
    if (judged === NOT_PURGED) return "valid";
    return judged === PURGED ? "purged" : { outdatedAtMs: Math.min(this.#now(), positionMs(judged)) };
  }

  purge(prefix: string, targets: readonly PurgeTarget[], { soft }: { readonly soft: boolean }): PurgeReceipt {
    const state = this.#stateOf(prefix);
    const before = state.generation;
    if (targets.length === 0) return { before, after: before };
    this.hasPurges = true;
    state.position = Math.max(state.position + 1, Math.floor(this.#now()) * POSITIONS_PER_MS);
    state.generation = `${this.#epoch}:${positionText(state.position)}`;
    state.table.apply(state.position, soft, targets.map(targetText));
    return { before, after: state.generation };
  }

  verifiedAtMs(): number {
    return Infinity;
  }

  verify(): boolean {
    return true;
  }

  #stateOf(prefix: string): PrefixState {
    const known = this.#prefixes.get(prefix);
    if (known !== undefined) return known;
    const made: PrefixState = { table: new PurgeTable(), position: 0, generation: this.#unpurged };
    this.#prefixes.set(prefix, made);
    return made;
  }
}
