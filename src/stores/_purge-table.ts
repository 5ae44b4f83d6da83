/**
 * What is known of purges: for each target the position of the latest purge of it. Pure, and bounded however much is purged.
 *
 * A position is a number that grows: milliseconds × 2048 plus a count within the millisecond.
 */

import type { StoreEntry } from "../types.ts";
import { EVERYTHING, hash32, pathStart, shortName, someAncestor } from "./_purge-targets.ts";

/** Positions there are in a millisecond. */
export const POSITIONS_PER_MS = 2048;

/** Most targets of one kind that are known exactly. */
const MAX_EXACT_TARGETS = 50_000;
/** Most paths that were purged with all below them. */
const MAX_PATHS = 1000;
/** Slots of the targets that are known no longer exactly, per kind: 512 KiB. */
const BLURRED_SLOTS = 2 ** 16;

export const NOT_PURGED = 0;
export const PURGED = -1;

/** The time a position stands for. */
export function positionMs(position: number): number {
  return Math.floor(position / POSITIONS_PER_MS);
}

export interface TableBounds {
  readonly exactTargets: number;
  readonly paths: number;
}

export class PurgeTable {
  readonly #bounds: TableBounds;
  readonly #hard: Targets;
  #soft: Targets | undefined;
  /** Entries from before it are purged: it is not known any more what was purged then. */
  #horizon = 0;
  #latest = 0;

  constructor(bounds: TableBounds = { exactTargets: MAX_EXACT_TARGETS, paths: MAX_PATHS }) {
    this.#bounds = bounds;
    this.#hard = new Targets(bounds, (position) => this.forgetBefore(position));
  }

  /** Position of the latest purge; 0 when there was none. */
  get latest(): number {
    return this.#latest;
  }

  /** Takes in a purge of these targets. The order in which purges come does not matter. */
  apply(position: number, soft: boolean, targets: readonly string[]): void {
    if (position > this.#latest) this.#latest = position;
    if (soft) this.#soft ??= new Targets(this.#bounds, (each) => this.forgetBefore(each));
    const purged = soft && this.#soft !== undefined ? this.#soft : this.#hard;
    for (const target of targets) {
      // Not knowing what a target means, it can mean anything.
      if (!purged.add(target, position)) this.#hard.add(EVERYTHING, position);
    }
  }

  /** Purges all entries from before `position`. */
  forgetBefore(position: number): void {
    if (position > this.#horizon) this.#horizon = position;
    if (position > this.#latest) this.#latest = position;
  }

  /** What became of an entry whose content was asked for at `position`: PURGED, NOT_PURGED or where it was purged softly. */
  judge(position: number, key: string, entry: StoreEntry): number {
    if (position >= this.#latest) return NOT_PURGED;
    if (position < this.#horizon) return PURGED;
    if (this.#hard.firstAfter(position, key, entry) !== NOT_PURGED) return PURGED;
    return this.#soft === undefined ? NOT_PURGED : this.#soft.firstAfter(position, key, entry);
  }
}

/** The purges of one sort, by kind of target. */
class Targets {
  readonly #names: Positions;
  readonly #keys: Positions;
  readonly #uris: Positions;
  readonly #paths = new Map<string, number>();
  readonly #maxPaths: number;
  readonly #forgetBefore: (position: number) => void;
  #all = 0;

  constructor({ exactTargets, paths }: TableBounds, forgetBefore: (position: number) => void) {
    this.#names = new Positions(exactTargets);
    this.#keys = new Positions(exactTargets);
    this.#uris = new Positions(exactTargets);
    this.#maxPaths = paths;
    this.#forgetBefore = forgetBefore;
  }

  /** False for a text that is no target. */
  add(target: string, position: number): boolean {
    switch (target.charAt(0)) {
      case EVERYTHING:
        this.#all = Math.max(this.#all, position);
        return target.length === 1;
      case "n":
        this.#names.add(target.slice(1), position);
        return true;
      case "k":
        this.#keys.add(target.slice(1), position);
        return true;
      case "u":
        this.#uris.add(target.slice(1), position);
        return true;
      case "b":
        this.#addPath(target.slice(1), position);
        return true;
      default:
        return false;
    }
  }

  /** The earliest position after `position` that is known for something the entry is named by. */
  firstAfter(position: number, key: string, entry: StoreEntry): number {
    let first = this.#all > position ? this.#all : NOT_PURGED;
    if (this.#keys.latest > position) first = earlier(first, position, this.#keys.of(key));
    if (entry.names !== undefined && this.#names.latest > position) {
      for (const name of entry.names) first = earlier(first, position, this.#names.of(name));
    }
    if (entry.uri === undefined) return first;
    if (this.#uris.latest > position) {
      first = earlier(first, position, this.#uris.of(entry.uri));
      first = earlier(first, position, this.#uris.of(entry.uri.slice(pathStart(entry.uri))));
    }
    if (this.#paths.size === 0) return first;
    someAncestor(entry.uri, (ancestor) => {
      first = earlier(first, position, this.#paths.get(shortName(ancestor)) ?? 0);
      return false;
    });
    return first;
  }

  #addPath(path: string, position: number): void {
    const known = this.#paths.get(path) ?? 0;
    this.#paths.delete(path);
    this.#paths.set(path, Math.max(known, position));
    if (this.#paths.size <= this.#maxPaths) return;
    for (const [oldest, purgedAt] of this.#paths) {
      this.#paths.delete(oldest);
      this.#forgetBefore(purgedAt);
      return;
    }
  }
}

function earlier(first: number, position: number, found: number): number {
  if (found <= position) return first;
  return first === NOT_PURGED || found < first ? found : first;
}

/**
 * The latest position of each text: exact for the texts added last, and for those pushed out never too early. A text that
 * was pushed out shares two slots with others; the earlier of the two is at or after its own position.
 */
class Positions {
  readonly #exact = new Map<string, number>();
  readonly #maxExact: number;
  #blurred: Float64Array | undefined;
  /** The latest of all. */
  latest = 0;

  constructor(maxExact: number) {
    this.#maxExact = maxExact;
  }

  add(text: string, position: number): void {
    if (position > this.latest) this.latest = position;
    const known = this.#exact.get(text) ?? 0;
    this.#exact.delete(text);
    this.#exact.set(text, Math.max(known, position));
    if (this.#exact.size <= this.#maxExact) return;
    for (const [oldest, oldestPosition] of this.#exact) {
      this.#exact.delete(oldest);
      this.#blur(oldest, oldestPosition);
      return;
    }
  }

  of(text: string): number {
    const name = shortName(text);
    const exact = this.#exact.get(name) ?? 0;
    const slots = this.#blurred;
    if (slots === undefined) return exact;
    return Math.max(exact, Math.min(slots[firstSlot(name)] ?? 0, slots[secondSlot(name)] ?? 0));
  }

  #blur(text: string, position: number): void {
    const slots = (this.#blurred ??= new Float64Array(BLURRED_SLOTS));
    for (const slot of [firstSlot(text), secondSlot(text)]) slots[slot] = Math.max(slots[slot] ?? 0, position);
  }
}

function firstSlot(text: string): number {
  return hash32(text, 0x1b87_3593) % BLURRED_SLOTS;
}

function secondSlot(text: string): number {
  return hash32(text, 0xcc9e_2d51 | 0) % BLURRED_SLOTS;
}
