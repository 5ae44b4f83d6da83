/** Known purges: for each target the positions of its latest purges. Pure, and bounded however much is purged. */

import type { Purgeable } from "../../http.ts";
import { digestedLength, EVERYTHING, hash32, isShortName, pathStart, shortName, someAncestor } from "./targets.ts";

/** Most targets of one kind that are known exactly. */
const MAX_EXACT_TARGETS = 50_000;
/** Most paths that were purged with all below them. */
const MAX_PATHS = 1000;
/** Soft purges of one target that are kept apart: a response is stale since the first soft purge after it. */
const MAX_SOFT_PURGES = 8;
/** Slots per kind for targets that are no longer known exactly: 512 KiB. */
const BLURRED_SLOTS = 2 ** 16;

export const NOT_PURGED = 0;
export const PURGED = -1;

export interface TableBounds {
  readonly exactTargets: number;
  readonly paths: number;
}

export class PurgeTable {
  readonly #bounds: TableBounds;
  readonly #hard: Targets;
  #soft: Targets | undefined;
  /** Entries from before this position are purged, because the purges from before it are forgotten. */
  #horizon = 0;
  #latest = 0;

  constructor(bounds: TableBounds = { exactTargets: MAX_EXACT_TARGETS, paths: MAX_PATHS }) {
    this.#bounds = bounds;
    this.#hard = new Targets(bounds, 1, (position) => this.forgetBefore(position));
  }

  /** Position of the latest purge; 0 when there was none. */
  get latest(): number {
    return this.#latest;
  }

  /** Takes in a purge of these targets. The order in which purges come does not matter. */
  apply(position: number, soft: boolean, targets: readonly string[]): void {
    if (position > this.#latest) this.#latest = position;
    if (soft) this.#soft ??= new Targets(this.#bounds, MAX_SOFT_PURGES, (each) => this.forgetBefore(each));
    const purged = soft && this.#soft !== undefined ? this.#soft : this.#hard;
    for (const target of targets) {
      // An unknown target can mean anything, so it purges everything.
      if (!purged.add(target, position)) this.#hard.add(EVERYTHING, position);
    }
  }

  /** Purges all entries from before `position`. */
  forgetBefore(position: number): void {
    if (position > this.#horizon) this.#horizon = position;
    if (position > this.#latest) this.#latest = position;
  }

  /** The verdict on an entry whose content was asked for at `position`: PURGED, NOT_PURGED or the position of its first soft purge. */
  judge(position: number, key: string, entry: Purgeable): number {
    if (position >= this.#latest) return NOT_PURGED;
    if (position < this.#horizon) return PURGED;
    if (this.#hard.firstAfter(position, key, entry) !== NOT_PURGED) return PURGED;
    return this.#soft === undefined ? NOT_PURGED : this.#soft.firstAfter(position, key, entry);
  }
}

/**
 * When one target was purged: the latest position or, where it matters which purge was the first after an entry, up to
 * eight in ascending order. The first is then 0 when there were more.
 */
type Marks = number | readonly number[];

function withMark(marks: Marks | undefined, position: number, mostMarks: number): Marks {
  if (marks === undefined) return position;
  if (mostMarks === 1) return Math.max(latestOf(marks), position);
  const list = typeof marks === "number" ? [marks] : marks;
  if (list.includes(position)) return marks;
  const sorted = [...list, position].toSorted((one, other) => one - other);
  return sorted.length <= mostMarks ? sorted : [0, ...sorted.slice(sorted.length - mostMarks + 1)];
}

function latestOf(marks: Marks): number {
  return typeof marks === "number" ? marks : (marks.at(-1) ?? 0);
}

/** The earliest mark after `position`; where an earlier one is not known any more, right after `position`. */
function markAfter(marks: Marks | undefined, position: number): number {
  if (marks === undefined || latestOf(marks) <= position) return NOT_PURGED;
  if (typeof marks === "number") return marks;
  const at = marks.findIndex((mark) => mark > position);
  return at === 1 && marks[0] === 0 ? position + 1 : (marks[at] ?? NOT_PURGED);
}

/** The hard or the soft purges, by kind of target. */
class Targets {
  readonly #names: Positions;
  readonly #keys: Positions;
  readonly #uris: Positions;
  readonly #paths: Paths;
  readonly #mostMarks: number;
  #all: Marks = NOT_PURGED;

  constructor({ exactTargets, paths }: TableBounds, mostMarks: number, forgetBefore: (position: number) => void) {
    this.#names = new Positions(exactTargets, mostMarks);
    this.#keys = new Positions(exactTargets, mostMarks);
    this.#uris = new Positions(exactTargets, mostMarks);
    this.#paths = new Paths(paths, mostMarks, forgetBefore);
    this.#mostMarks = mostMarks;
  }

  /** Returns false when the text is no target. */
  add(target: string, position: number): boolean {
    switch (target.charAt(0)) {
      case EVERYTHING:
        this.#all = withMark(this.#all === NOT_PURGED ? undefined : this.#all, position, this.#mostMarks);
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
        this.#paths.add(target.slice(1), position);
        return true;
      default:
        return false;
    }
  }

  /** The earliest position after `position` that is known for something the entry is named by. */
  firstAfter(position: number, key: string, entry: Purgeable): number {
    let first = markAfter(this.#all, position);
    if (this.#keys.latest > position) first = earlier(first, this.#keys.after(key, position));
    if (entry.names !== undefined && this.#names.latest > position) {
      for (const name of entry.names) first = earlier(first, this.#names.after(name, position));
    }
    const { uri } = entry;
    if (uri === undefined) return first;
    if (typeof uri === "string") return earlier(first, this.#firstOfUri(uri, position));
    for (const each of uri) first = earlier(first, this.#firstOfUri(each, position));
    return first;
  }

  #firstOfUri(uri: string, position: number): number {
    let first = NOT_PURGED;
    if (this.#uris.latest > position) {
      const path = uri.slice(pathStart(uri));
      first = earlier(this.#uris.after(uri, position), this.#uris.after(path, position));
    }
    return this.#paths.latest > position ? earlier(first, this.#paths.after(uri, position)) : first;
  }
}

function earlier(first: number, found: number): number {
  if (found === NOT_PURGED) return first;
  return first === NOT_PURGED || found < first ? found : first;
}

/** Marks by text; the texts that were added longest ago are taken out first. */
class RecentMarks {
  readonly #marks = new Map<string, Marks>();
  readonly #mostMarks: number;
  /** An iterator that is kept: a new one would pass all deleted places of the map first. */
  #oldest: MapIterator<string>;
  latest = 0;

  constructor(mostMarks: number) {
    this.#mostMarks = mostMarks;
    this.#oldest = this.#marks.keys();
  }

  get size(): number {
    return this.#marks.size;
  }

  get(text: string): Marks | undefined {
    return this.#marks.get(text);
  }

  add(text: string, position: number): void {
    if (position > this.latest) this.latest = position;
    const marks = withMark(this.#marks.get(text), position, this.#mostMarks);
    this.#marks.delete(text);
    this.#marks.set(text, marks);
  }

  takeOldest(): { readonly text: string; readonly latest: number } | undefined {
    let next = this.#oldest.next();
    if (next.done === true) {
      this.#oldest = this.#marks.keys();
      next = this.#oldest.next();
    }
    if (next.done === true) return undefined;
    const text = next.value;
    const latest = latestOf(this.#marks.get(text) ?? 0);
    this.#marks.delete(text);
    return { text, latest };
  }
}

/** The purged paths. When a path is forgotten, every entry from before its purge counts as purged. */
class Paths {
  readonly #recent: RecentMarks;
  readonly #maxPaths: number;
  readonly #forgetBefore: (position: number) => void;
  /** Lengths of the paths that were purged and are known by a digest: only an ancestor as long need be hashed. */
  readonly #digestedLengths = new Set<number>();

  constructor(maxPaths: number, mostMarks: number, forgetBefore: (position: number) => void) {
    this.#recent = new RecentMarks(mostMarks);
    this.#maxPaths = maxPaths;
    this.#forgetBefore = forgetBefore;
  }

  get latest(): number {
    return this.#recent.latest;
  }

  add(path: string, position: number): void {
    const length = digestedLength(path);
    if (length !== undefined) this.#digestedLengths.add(length);
    this.#recent.add(path, position);
    if (this.#recent.size <= this.#maxPaths) return;
    const oldest = this.#recent.takeOldest();
    if (oldest !== undefined) this.#forgetBefore(oldest.latest);
  }

  after(uri: string, position: number): number {
    let first = NOT_PURGED;
    someAncestor(uri, (ancestor) => {
      if (isShortName(ancestor) || this.#digestedLengths.has(ancestor.length)) {
        first = earlier(first, markAfter(this.#recent.get(shortName(ancestor)), position));
      }
      return false;
    });
    return first;
  }
}

/**
 * The positions of each text: exact for the texts added last, and for those pushed out never too early. A text that was
 * pushed out shares two slots with others; the earlier of the two is at or after its own latest position.
 */
class Positions {
  readonly #recent: RecentMarks;
  readonly #maxExact: number;
  #blurred: Float64Array | undefined;

  constructor(maxExact: number, mostMarks: number) {
    this.#recent = new RecentMarks(mostMarks);
    this.#maxExact = maxExact;
  }

  /** The latest of all. */
  get latest(): number {
    return this.#recent.latest;
  }

  add(text: string, position: number): void {
    this.#recent.add(text, position);
    if (this.#recent.size <= this.#maxExact) return;
    const oldest = this.#recent.takeOldest();
    if (oldest !== undefined) this.#blur(oldest.text, oldest.latest);
  }

  after(text: string, position: number): number {
    const name = shortName(text);
    const slots = this.#blurred;
    if (slots !== undefined && Math.min(slots[firstSlot(name)] ?? 0, slots[secondSlot(name)] ?? 0) > position) {
      // Only the latest purge of an evicted text is known; an earlier one may have been the first after `position`.
      return position + 1;
    }
    return markAfter(this.#recent.get(name), position);
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
