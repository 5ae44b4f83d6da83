/**
 * The purge log of one prefix as one process knows it, and the conclusions from each reading. Pure.
 *
 * Three rules make a purge hold. A position counts only once every record up to it has arrived. A log that cannot be
 * followed without a gap is replaced by a new one under a new epoch, and entries of another epoch are purged. An epoch that
 * was left is never entered again.
 */

import type { Purgeable } from "../../../http.ts";
import { positionAt, positionIn, positionText } from "../../purging/position.ts";
import { NOT_PURGED, PURGED, PurgeTable } from "../../purging/table.ts";

/** The end of the log: `<epoch>:<id>:<count>`, and `:<run>` of the server where that is known. */
export interface LogEnd {
  readonly text: string;
  readonly epoch: string;
  /** Of the last record, as Redis writes it: `<milliseconds>-<number>`. */
  readonly id: string;
  readonly position: number;
  /** Records ever written in this epoch. */
  readonly count: number;
}

export interface LogRecord {
  readonly position: number;
  readonly count: number;
  readonly soft: boolean;
  readonly targets: readonly string[];
}

/** End and records, read in one step. */
export interface LogView {
  /** Undefined when there is none, or none that can be read. */
  readonly end: LogEnd | undefined;
  /** From the last record that was known, if the epoch is that one, or else from the first. Undefined when unreadable. */
  readonly records: readonly LogRecord[] | undefined;
  /** False when more records follow. */
  readonly isWhole: boolean;
}

/** The last record that was known when a reading began. */
export interface Cursor {
  readonly epoch: string;
  readonly id: string;
  readonly count: number;
}

/** `arrived`: the position is proven. `again`: read on. `restart`: the log is lost or cut, begin a new one. */
export type Conclusion = "arrived" | "again" | "restart";

const END = /^([0-9a-z]{1,32}):((\d{1,13})-(\d{1,4})):(\d{1,15})(?::[0-9a-z]{1,8})?$/;
const RECORD_ID = /^(\d{1,13})-(\d{1,4})$/;
const KNOWN_EPOCHS = 100;

/** The parsed text under the position key; undefined when it is malformed. */
export function parseLogEnd(text: string): LogEnd | undefined {
  const [, epoch = "", id = "", ms, sequence, count] = END.exec(text) ?? [];
  const position = positionAt(Number(ms), Number(sequence));
  return Number.isNaN(position) ? undefined : { text, epoch, id, position, count: Number(count) };
}

/** Position of a record; NaN when `id` is not one of ours. */
export function recordPosition(id: string): number {
  const [, ms, sequence] = RECORD_ID.exec(id) ?? [];
  return positionAt(Number(ms), Number(sequence));
}

export class Timeline {
  /** The last proven end; undefined before the first, and while a new epoch is read. */
  #proven: LogEnd | undefined;
  #generation = "";
  #table = new PurgeTable();
  #epoch = "";
  /** The last record that was read, which may be ahead of the proven end. */
  #readId = "0-0";
  #readCount = 0;
  /** Of the last purge of our own; ahead of the proven end while purges of others before it are not read yet. */
  #ownPosition = 0;
  readonly #leftEpochs: string[] = [];

  get proven(): LogEnd | undefined {
    return this.#proven;
  }

  /** `<epoch>:<id>` of the proven end; empty while there is none. */
  get generation(): string {
    return this.#generation;
  }

  /** Where to read on. */
  get cursor(): Cursor {
    return { epoch: this.#epoch, id: this.#readId, count: this.#readCount };
  }

  /** True once an epoch was left: an entry without a generation may be of that epoch. */
  get hasLeftEpochs(): boolean {
    return this.#leftEpochs.length > 0;
  }

  /**
   * True when all purges up to the end `text` are known, so that what was read along with it can be judged.
   * `hasMovedOn`: the proven end has changed since the reading began, so an earlier end is no surprise.
   */
  covers(text: string, hasMovedOn: boolean): boolean {
    if (this.#proven === undefined) return false;
    if (text === this.#proven.text) return true;
    const end = hasMovedOn ? parseLogEnd(text) : undefined;
    if (end === undefined) return false;
    const { epoch, position, count } = this.#proven;
    return end.epoch === epoch && end.position <= position && end.count <= count;
  }

  /** Draws the conclusion from a reading that began at the cursor `asked`, after the one before was taken. */
  take(view: LogView, asked: Cursor = this.cursor): Conclusion {
    const { end, records } = view;
    if (end === undefined || records === undefined) return "restart";
    if (end.epoch !== this.#epoch) {
      if (this.#leftEpochs.includes(end.epoch)) return "restart";
      this.enter(end.epoch);
    }
    const news = this.#afterOwn(records, asked);
    if (news === "behind") return "again";
    const progress = this.#read(news);
    if (progress === "broken") return "restart";
    if (this.hasArrived(end)) {
      this.prove(end);
      return "arrived";
    }
    return view.isWhole || progress === "nothing" ? "restart" : "again";
  }

  /** Takes in a purge of this process between two ends; false when the log must be read for it. */
  takeOwn(before: LogEnd, after: LogEnd, soft: boolean, targets: readonly string[]): boolean {
    if (this.#proven === undefined || after.epoch !== this.#epoch) return false;
    this.#table.apply(after.position, soft, targets);
    this.#ownPosition = Math.max(this.#ownPosition, after.position);
    if (before.text !== this.#proven.text) return true;
    if (after.count > this.#readCount) {
      this.#readCount = after.count;
      this.#readId = after.id;
    }
    this.prove(after);
    return true;
  }

  /** Nothing counts as proven until the log is read again. */
  doubt(): void {
    this.#proven = undefined;
    this.#generation = "";
  }

  /** The verdict of the table on an entry of this epoch, PURGED on all others. */
  judge(key: string, entry: Purgeable): number {
    if (this.#proven === undefined) return PURGED;
    const { generation } = entry;
    if (generation === this.#generation && this.#ownPosition <= this.#proven.position) return NOT_PURGED;
    // An entry without a generation counts as older than any purge.
    if (generation === undefined) return this.hasLeftEpochs ? PURGED : this.#table.judge(0, key, entry);
    const position = positionIn(generation, this.#epoch);
    // A position after the proven end is from a log that was lost.
    return position <= this.#proven.position ? this.#table.judge(position, key, entry) : PURGED;
  }

  /** True when every record up to `end` was read. */
  protected hasArrived(end: LogEnd): boolean {
    return this.#readId === end.id && this.#readCount === end.count;
  }

  /** Starts to follow another epoch, of which nothing is known. */
  protected enter(epoch: string): void {
    if (this.#epoch !== "") this.#leftEpochs.push(this.#epoch);
    if (this.#leftEpochs.length > KNOWN_EPOCHS) this.#leftEpochs.shift();
    this.#epoch = epoch;
    this.#readId = "0-0";
    this.#readCount = 0;
    this.#ownPosition = 0;
    this.#table = new PurgeTable();
    this.doubt();
  }

  protected prove(end: LogEnd): void {
    this.#proven = end;
    this.#generation = `${end.epoch}:${end.id}`;
  }

  /**
   * A purge of our own may have been taken in while the log was read: records up to it are known then, and are no sign of
   * another log. `behind`: the log was read before that purge.
   */
  #afterOwn(records: readonly LogRecord[], asked: Cursor): readonly LogRecord[] | "behind" {
    const [first] = records;
    if (first === undefined || asked.epoch !== this.#epoch || asked.count >= this.#readCount) return records;
    if (first.count === asked.count && first.position !== recordPosition(asked.id)) return records;
    if (first.count < asked.count || first.count > this.#readCount) return records;
    const own = records.findIndex(({ count }) => count === this.#readCount);
    return own === -1 ? "behind" : records.slice(own);
  }

  #read(records: readonly LogRecord[]): "progress" | "nothing" | "broken" {
    const [first] = records;
    if (first === undefined) return "nothing";
    const isKnown = first.count === this.#readCount && first.position === recordPosition(this.#readId);
    // Fewer records than are known, or other ones: a server took over that had not received the last records.
    if (!isKnown && first.count <= this.#readCount) return "broken";
    const isFirstOfAll = this.#readCount === 0 && first.count === 1;
    // The last known record was trimmed away, and unknown ones with it.
    if (!isKnown && !isFirstOfAll) this.#table.forgetBefore(first.position);
    let count = first.count - 1;
    for (const record of records) {
      count += 1;
      if (record.count !== count) return "broken";
      if (record.targets.length > 0) this.#table.apply(record.position, record.soft, record.targets);
    }
    const last = records.at(-1);
    if (last === undefined || last.count === this.#readCount) return "nothing";
    this.#readId = positionText(last.position);
    this.#readCount = last.count;
    return "progress";
  }
}
