import * as fc from "fast-check";
import { describe, expect, it } from "vitest";

import { parsePurged, parseView, recordArguments } from "../../../../src/stores/redis/purges/scripts.ts";
import { positionIn } from "../../../../src/stores/purging/position.ts";
import { NOT_PURGED, PURGED } from "../../../../src/stores/purging/table.ts";
import {
  type LogEnd,
  type LogRecord,
  type LogView,
  parseLogEnd,
  recordPosition,
  Timeline,
} from "../../../../src/stores/redis/purges/timeline.ts";
import type { StoreEntry } from "../../../../src/http.ts";

const EMPTY = new Uint8Array(0);

function end(text: string): LogEnd {
  const parsed = parseLogEnd(text);
  if (parsed === undefined) throw new Error(`no end: ${text}`);
  return parsed;
}

/** The record with this number, at as many milliseconds. */
function record(count: number, ...targets: readonly string[]): LogRecord {
  return { position: recordPosition(`${count}-0`), count, soft: false, targets };
}

function view(endText: string, records: readonly LogRecord[], isWhole = true): LogView {
  return { end: end(endText), records, isWhole };
}

function entry(generation: string): StoreEntry {
  return { meta: {}, body: EMPTY, names: ["#a"], generation };
}

/** One that has followed epoch `a` up to its third record, a purge of #a. */
function timelineAtThree(): Timeline {
  const timeline = new Timeline();
  const conclusion = timeline.take(view("a:3-0:3", [record(1), record(2, "n#b"), record(3, "n#a")]));
  expect(conclusion).toBe("arrived");
  return timeline;
}

describe("positions", () => {
  it.each([
    "",
    "a",
    "a:",
    "a:1-0",
    "a:1-0:",
    "A:1-0:1",
    "a:1-0:1 ",
    "a:1-2048:1",
    "a:9999999999999-0:1",
    "a:-1-0:1",
    "\u0000:1-0:1",
  ])("%j is no end of a log", (text) => {
    expect(parseLogEnd(text)).toBeUndefined();
  });

  it("are ordered as the ids are", () => {
    const id = fc.tuple(fc.integer({ min: 0, max: 4_000_000_000_000 }), fc.integer({ min: 0, max: 2047 }));
    fc.assert(
      fc.property(id, id, ([ms, number], [otherMs, otherNumber]) => {
        const [one, other] = [recordPosition(`${ms}-${number}`), recordPosition(`${otherMs}-${otherNumber}`)];
        expect(Math.sign(one - other)).toBe(Math.sign(ms - otherMs) || Math.sign(number - otherNumber));
        expect(positionIn(`epoch:${ms}-${number}`, "epoch")).toBe(one);
        expect(parseLogEnd(`epoch:${ms}-${number}:7`)?.position).toBe(one);
      }),
    );
  });
});

describe("conclusions", () => {
  it("a position counts when all records up to it have arrived", () => {
    const timeline = new Timeline();
    expect(timeline.take(view("a:3-0:3", [record(1), record(2)], false))).toBe("again");
    expect(timeline.proven).toBeUndefined();
    expect(timeline.generation).toBe("");
    expect(timeline.judge("k", entry("a:1-0"))).toBe(PURGED);
    expect(timeline.take(view("a:3-0:3", [record(2), record(3, "n#b")]))).toBe("arrived");
    expect(timeline.generation).toBe("a:3-0");
    expect(timeline.judge("k", entry("a:1-0"))).toBe(NOT_PURGED);
  });

  it.each<{ what: string; next: LogView }>([
    { what: "there is no end", next: { end: undefined, records: [], isWhole: true } },
    { what: "a record is unreadable", next: { end: end("a:4-0:4"), records: undefined, isWhole: true } },
    { what: "there are no records", next: view("a:4-0:4", []) },
    { what: "the last record is missing", next: view("a:4-0:4", [record(3)]) },
    { what: "a record in the middle is missing", next: view("a:5-0:5", [record(3), record(5)]) },
    { what: "the end is older than what is known", next: view("a:2-0:2", [record(2)]) },
    { what: "another record is in the place of the last known", next: view("a:4-0:3", [{ ...record(4), count: 3 }]) },
    {
      what: "other records are in the place of the last known",
      next: view("a:6-0:4", [
        { ...record(5), count: 3 },
        { ...record(6), count: 4 },
      ]),
    },
    { what: "fewer records are there than were known", next: view("a:4-0:2", [{ ...record(4), count: 2 }]) },
    { what: "records follow the end", next: view("a:4-0:4", [record(3), record(4), record(5)]) },
    { what: "a new epoch does not hold its end", next: view("b:9-0:9", []) },
  ])("the log begins anew when $what", ({ next }) => {
    const timeline = timelineAtThree();
    expect(timeline.take(next)).toBe("restart");
  });

  it("another epoch is followed from its beginning, and purges all that is of the one before", () => {
    const timeline = timelineAtThree();
    expect(timeline.judge("k", entry("a:3-0"))).toBe(NOT_PURGED);
    expect(timeline.take(view("b:9-0:2", [record(1), { ...record(9), count: 2 }]))).toBe("arrived");
    expect(timeline.generation).toBe("b:9-0");
    expect(timeline.judge("k", entry("a:3-0"))).toBe(PURGED);
    expect(timeline.judge("k", entry("b:1-0"))).toBe(NOT_PURGED);
  });

  it("an epoch that was left is never entered again", () => {
    const timeline = timelineAtThree();
    timeline.take(view("b:1-0:1", [record(1)]));
    expect(timeline.take(view("a:3-0:3", [record(1), record(2), record(3)]))).toBe("restart");
    expect(timeline.generation).toBe("b:1-0");
  });

  it("where records were trimmed, what is older is purged", () => {
    const timeline = timelineAtThree();
    expect(timeline.take(view("a:7-0:7", [record(6), record(7)]))).toBe("arrived");
    expect(timeline.judge("k", entry("a:5-0"))).toBe(PURGED);
    expect(timeline.judge("k", entry("a:6-0"))).toBe(NOT_PURGED);
  });

  it("an earlier end is covered only while the known one has moved on", () => {
    const timeline = timelineAtThree();
    expect(timeline.covers("a:3-0:3", false)).toBe(true);
    expect(timeline.covers("a:2-0:2", true)).toBe(true);
    expect(timeline.covers("a:2-0:2", false)).toBe(false);
    expect(timeline.covers("a:4-0:4", true)).toBe(false);
    expect(timeline.covers("b:1-0:1", true)).toBe(false);
    expect(timeline.covers("", true)).toBe(false);
  });

  it("an entry from after all that is known is from a log that was lost", () => {
    expect(timelineAtThree().judge("k", entry("a:4-0"))).toBe(PURGED);
  });

  it("a purge of one's own moves the position when nothing came between", () => {
    const timeline = timelineAtThree();
    expect(timeline.takeOwn(end("a:3-0:3"), end("a:4-0:4"), false, ["n#a"])).toBe(true);
    expect(timeline.generation).toBe("a:4-0");
    expect(timeline.judge("k", entry("a:3-0"))).toBe(PURGED);
  });

  it("and holds without moving it when something did", () => {
    const timeline = timelineAtThree();
    expect(timeline.takeOwn(end("a:5-0:5"), end("a:6-0:6"), false, ["n#a"])).toBe(true);
    expect(timeline.generation).toBe("a:3-0");
    for (const generation of ["a:2-0", "a:3-0"]) expect(timeline.judge("k", entry(generation))).toBe(PURGED);
    expect(timeline.takeOwn(end("b:1-0:1"), end("b:2-0:2"), false, ["n#a"])).toBe(false);

    // Read only as far as the purge of another before it.
    expect(timeline.take(view("a:5-0:5", [record(3, "n#a"), record(4, "n#b"), record(5, "n#b")]))).toBe("arrived");
    expect(timeline.judge("k", entry("a:5-0"))).toBe(PURGED);
    expect(timeline.take(view("a:6-0:6", [record(5, "n#b"), record(6, "n#a")]))).toBe("arrived");
    expect(timeline.judge("k", entry("a:6-0"))).toBe(NOT_PURGED);
  });
});

describe("a purge of one's own while the log is read", () => {
  it("is no loss, whatever else the reading brings", () => {
    const timeline = timelineAtThree();
    const asked = timeline.cursor;
    expect(timeline.takeOwn(end("a:3-0:3"), end("a:4-0:4"), false, ["n#a"])).toBe(true);
    const records = [record(3, "n#a"), record(4, "n#a"), record(5, "n#b")];
    expect(timeline.take(view("a:5-0:5", records), asked)).toBe("arrived");
    expect(timeline.generation).toBe("a:5-0");
    expect(timeline.judge("k", entry("a:3-0"))).toBe(PURGED);
    expect(timeline.judge("k", entry("a:4-0"))).toBe(NOT_PURGED);
  });

  it("of which the reading does not know yet makes it read again", () => {
    const timeline = timelineAtThree();
    const asked = timeline.cursor;
    timeline.takeOwn(end("a:3-0:3"), end("a:4-0:4"), false, ["n#a"]);
    expect(timeline.take(view("a:3-0:3", [record(3, "n#a")]), asked)).toBe("again");
    expect(timeline.generation).toBe("a:4-0");
  });

  it("hides no other log", () => {
    const timeline = timelineAtThree();
    const asked = timeline.cursor;
    timeline.takeOwn(end("a:3-0:3"), end("a:4-0:4"), false, ["n#a"]);
    const other = { ...record(4, "n#b"), position: recordPosition("9-0") };
    expect(timeline.take(view("a:9-0:4", [record(3, "n#a"), other]), asked)).toBe("restart");
    const another = { ...record(3, "n#a"), position: recordPosition("2-7") };
    expect(timeline.take(view("a:4-0:4", [another, record(4, "n#a")]), asked)).toBe("restart");
  });

  it("that is answered after a later one does not hide that", () => {
    const timeline = timelineAtThree();
    timeline.takeOwn(end("a:4-0:4"), end("a:5-0:5"), false, ["n#a"]);
    timeline.takeOwn(end("a:3-0:3"), end("a:4-0:4"), false, ["n#b"]);
    expect(timeline.generation).toBe("a:4-0");
    expect(timeline.judge("k", entry("a:4-0"))).toBe(PURGED);
  });
});

describe("what Redis answers is an input", () => {
  it("anything else than a view is nothing, and never throws", () => {
    fc.assert(
      fc.property(fc.anything({ withBigInt: false }), (reply) => {
        const found = parseView(reply);
        expect(found === undefined || typeof found.endText === "string").toBe(true);
        expect(parsePurged(reply)).toBeUndefined();
      }),
      { numRuns: 2000 },
    );
  });

  it("a record of any fields is none, or a purge of what it lists or of everything", () => {
    const field = fc.constantFrom("n", "m", "t", "g", "1", "h", "s", "[]", '["n#a"]', "{", "7", '[["*"]]', "x");
    fc.assert(
      fc.property(fc.array(field, { maxLength: 8 }), fc.constantFrom("1-0", "0-0", "x", "1-9999"), (fields, id) => {
        const parsed = parseView([Buffer.from("a:1-0:1"), [[id, fields]], ["1", "2"]]);
        for (const each of parsed?.view.records ?? []) {
          expect(each.targets.every((target) => typeof target === "string")).toBe(true);
          expect(each.count).toBeGreaterThan(0);
        }
      }),
      { numRuns: 2000 },
    );
  });

  it("no record has more than 200 targets, and none is lost", () => {
    const targets = Array.from({ length: 450 }, (_, index) => `n#${index}`);
    const args = recordArguments([
      { soft: true, targets },
      { soft: false, targets: ["*"] },
    ]);
    expect(args.filter((_, index) => index % 2 === 0)).toEqual(["s", "s", "s", "h"]);
    const lists = args.filter((_, index) => index % 2 === 1).map((text) => JSON.parse(text) as string[]);
    expect(lists.map(({ length }) => length)).toEqual([200, 200, 50, 1]);
    expect(lists.flat()).toEqual([...targets, "*"]);
  });
});
