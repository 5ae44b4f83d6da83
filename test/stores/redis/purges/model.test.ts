/**
 * All interleavings of two writers, a purger and a reader, over a model of Redis and the real conclusions. What a read
 * serves may be no older than the last purge that was acknowledged when it began.
 *
 * Designs known to be wrong run through the same model: it must be able to fail.
 */

import { describe, expect, it } from "vitest";

import { NOT_PURGED } from "../../../../src/stores/purging/table.ts";
import { type LogRecord, parseLogEnd, Timeline } from "../../../../src/stores/redis/purges/timeline.ts";
import type { StoreEntry } from "../../../../src/http.ts";

const KEY = "p key";
const TAG = "#a";
const TARGETS = ["n#a"];
const BODY = new Uint8Array(0);

/** A version of the origin's content under one key, with whatever the design keeps beside it. */
interface Kept {
  readonly version: number;
  readonly mark: unknown;
}

/** How a cache finds out that an entry was purged. Process 0 reads, 3 purges, the others write. */
interface Design {
  /** What a writer remembers of its look-up, before it asks the origin. */
  lookUp(process: number): unknown;
  /** What is kept with an entry. */
  mark(process: number, remembered: unknown): unknown;
  /** The step in the store. */
  purge(): void;
  /** What the purger does with the answer, before it tells anybody. */
  acknowledge(): void;
  /** Read along with the entry. */
  read(): unknown;
  /** Whether an entry may be served, given what was read along with it. */
  isValid(kept: Kept, along: unknown): boolean;
  /** Something happens in the store. */
  befall?(what: Event): void;
}

/** Which of the two keys of the log is lost, or that another process purges another tag. */
type Event = "end" | "log" | "both" | "other purge";

/** The two keys of a purge log, and the scripts as single steps. */
class ModelRedis {
  end: string | undefined;
  log: LogRecord[] = [];
  #ms = 0;
  #epochs = 0;

  view(epoch: string, id: string): { end: string; records: readonly LogRecord[] } {
    const end = this.end ?? "";
    const from = end.startsWith(`${epoch}:`) ? (parseLogEnd(`e:${id}:1`)?.position ?? 0) : 0;
    return { end, records: this.log.filter(({ position }) => position >= from) };
  }

  purge(targets: readonly string[]): { before: string; after: string } {
    if (this.end === undefined || this.log.length === 0) this.#begin();
    const before = this.end ?? "";
    this.#append(targets);
    return { before, after: this.end ?? "" };
  }

  restart(seen: string): void {
    if ((this.end ?? "") === seen) this.#begin();
  }

  #begin(): void {
    this.log = [];
    this.end = `epoch${(this.#epochs += 1)}:0-0:0`;
    this.#append([]);
  }

  #append(targets: readonly string[]): void {
    const end = parseLogEnd(this.end ?? "");
    if (end === undefined) throw new Error("no end");
    this.#ms += 1;
    const count = end.count + 1;
    this.log.push({ position: this.#ms * 2048, count, soft: false, targets });
    this.end = `${end.epoch}:${this.#ms}-0:${count}`;
  }
}

interface LogVariant {
  readonly timeline?: () => Timeline;
  readonly generationAtStore?: boolean;
  /** All is in the process of the purger, and hits are judged without reading the end of the log. Default false. */
  readonly inMemory?: boolean;
}

function purgeLog({
  timeline = () => new Timeline(),
  generationAtStore = false,
  inMemory = false,
}: LogVariant = {}): Design {
  const redis = new ModelRedis();
  const timelines = [0, 1, 2, 3].map(() => timeline());
  const of = (process: number): Timeline => timelines[inMemory ? PURGER : process]!;
  const follow = (process: number): void => {
    for (let round = 0; round < 10; round += 1) {
      const { epoch, id } = of(process).cursor;
      const { end, records } = redis.view(epoch, id);
      const conclusion = of(process).take({ end: parseLogEnd(end), records, isWhole: true });
      if (conclusion === "arrived") return;
      if (conclusion === "restart") redis.restart(end);
    }
    throw new Error("did not arrive");
  };
  const generation = (process: number): string => {
    follow(process);
    return of(process).generation;
  };
  for (const process of [0, 1, 2, 3]) follow(process);
  let receipt = { before: "", after: "" };

  return {
    lookUp: (process) => (generationAtStore ? undefined : generation(process)),
    mark: (process, remembered) => (generationAtStore ? generation(process) : remembered),
    purge: () => {
      receipt = redis.purge(TARGETS);
    },
    acknowledge: () => {
      const [before, after] = [parseLogEnd(receipt.before), parseLogEnd(receipt.after)];
      if (before === undefined || after === undefined) throw new Error("no receipt");
      if (!of(3).takeOwn(before, after, false, TARGETS)) {
        of(3).doubt();
        follow(3);
      }
    },
    read: () => redis.end ?? "",
    isValid: ({ mark }, along) => {
      if (!inMemory && !of(0).covers(String(along), false)) follow(0);
      const entry: StoreEntry = { meta: {}, body: BODY, names: [TAG], generation: String(mark) };
      return of(0).judge(KEY, entry) === NOT_PURGED;
    },
    befall: (what) => {
      if (what === "other purge") {
        redis.purge(["n#b"]);
        return;
      }
      if (what !== "log") redis.end = undefined;
      if (what !== "end") redis.log = [];
    },
  };
}

/** A time kept with the entry, and the time of the last purge. */
function timestamps({
  taken,
  purgerBehindMs = 0,
}: {
  taken: "before fetch" | "at store";
  purgerBehindMs?: number;
}): Design {
  let nowMs = 1000;
  let purgedAtMs = 0;
  const tick = (): number => (nowMs += 1);
  return {
    lookUp: () => tick(),
    mark: (_, remembered) => (taken === "at store" ? tick() : remembered),
    purge: () => {
      purgedAtMs = tick() - purgerBehindMs;
    },
    acknowledge: () => {},
    read: () => purgedAtMs,
    isValid: ({ mark }, along) => Number(mark) > Number(along),
  };
}

/** An index of the keys of each tag, which a purge deletes. */
function keySet(): Design & { readonly drops: true } {
  const none = (): void => {};
  return { drops: true, lookUp: none, mark: none, purge: none, acknowledge: none, read: none, isValid: () => true };
}

const READER = 0;
const PURGER = 3;
const FATE = 4;

/** Runs one interleaving; true when a read served what a purge had ended. */
function servesStale(design: Design, schedule: readonly number[], event: Event): boolean {
  let version = 1;
  let acknowledged = 1;
  let kept: Kept | undefined;
  const steps = [0, 0, 0, 0, 0];
  const remembered: unknown[] = [];
  const fetched: number[] = [];
  let started: { floor: number; kept: Kept | undefined; along: unknown } | undefined;
  let isStale = false;

  const startRead = (): void => {
    started = { floor: acknowledged, kept, along: design.read() };
  };
  const endRead = (): void => {
    if (started?.kept === undefined || !design.isValid(started.kept, started.along)) return;
    if (started.kept.version < started.floor) isStale = true;
  };
  const write = (process: number, step: number): void => {
    if (step === 0) remembered[process] = design.lookUp(process);
    if (step === 1) fetched[process] = version;
    if (step === 2) kept = { version: fetched[process] ?? 0, mark: design.mark(process, remembered[process]) };
  };
  const purge = (step: number): void => {
    if (step === 0) version += 1;
    if (step === 1) {
      design.purge();
      if ("drops" in design) kept = undefined;
    }
    if (step === 2) {
      design.acknowledge();
      acknowledged = version;
    }
  };

  for (const actor of schedule) {
    const step = steps[actor] ?? 0;
    steps[actor] = step + 1;
    if (actor === READER) [startRead, endRead][step]?.();
    else if (actor === PURGER) purge(step);
    else if (actor === FATE) design.befall?.(event);
    else write(actor, step);
  }
  startRead();
  endRead();
  return isStale;
}

/** All orders in which actors can do their steps: `[2, 1]` is two steps of the first and one of the second. */
function* interleavings(steps: readonly number[], done: readonly number[] = []): Generator<readonly number[]> {
  if (steps.every((left) => left === 0)) yield done;
  for (const [actor, left] of steps.entries()) {
    if (left === 0) continue;
    yield* interleavings(steps.with(actor, left - 1), [...done, actor]);
  }
}

function staleSchedules(
  design: () => Design,
  steps: readonly number[],
  event: Event = "both",
): { schedules: number; stale: number } {
  let schedules = 0;
  let stale = 0;
  for (const schedule of interleavings(steps)) {
    schedules += 1;
    if (servesStale(design(), schedule, event)) stale += 1;
  }
  return { schedules, stale };
}

/** Reader, two writers, purger. */
const ALL_FOUR = [2, 3, 3, 3];
const SCHEDULES = 92_400;
/** Reader, a writer, purger, what befalls the store. */
const WITH_EVENT = [2, 3, 0, 3, 1];
const SCHEDULES_WITH_EVENT = 5040;

/** Takes what it has read for all there is. */
class WithoutProof extends Timeline {
  protected override hasArrived(): boolean {
    return true;
  }
}

/** Never reads the log for a change of its end. */
class WithoutReading extends Timeline {
  override covers(): boolean {
    return this.proven !== undefined;
  }
}

/** Takes an entry of the proven generation for valid also when its own purges are ahead of it. */
class WithoutOwnPurges extends Timeline {
  override judge(key: string, entry: StoreEntry): number {
    return entry.generation === this.generation ? NOT_PURGED : super.judge(key, entry);
  }
}

describe("every interleaving of two writers, a purger and a reader", () => {
  it("the purge log serves nothing that was purged before the read began", () => {
    expect(staleSchedules(() => purgeLog(), ALL_FOUR)).toEqual({ schedules: SCHEDULES, stale: 0 });
  });

  it.each<{ design: string; make: () => Design }>([
    { design: "an index of keys", make: keySet },
    { design: "a time taken when storing", make: () => timestamps({ taken: "at store" }) },
    {
      design: "a time taken before the fetch, with clocks that differ",
      make: () => timestamps({ taken: "before fetch", purgerBehindMs: 5 }),
    },
    {
      design: "the purge log with the generation taken when storing",
      make: () => purgeLog({ generationAtStore: true }),
    },
    { design: "the purge log without reading on", make: () => purgeLog({ timeline: () => new WithoutReading() }) },
  ])("$design serves what was purged", ({ make }) => {
    const { stale } = staleSchedules(make, ALL_FOUR);
    expect(stale).toBeGreaterThan(1000);
  });

  it("a time taken before the fetch would do if all clocks agreed", () => {
    const { stale } = staleSchedules(() => timestamps({ taken: "before fetch" }), ALL_FOUR);
    expect(stale).toBe(0);
  });
});

describe("every interleaving with a loss of data", () => {
  it.each<Event>(["end", "log", "both"])("the purge log serves nothing that was purged when %s is lost", (event) => {
    const result = staleSchedules(() => purgeLog(), WITH_EVENT, event);
    expect(result).toEqual({ schedules: SCHEDULES_WITH_EVENT, stale: 0 });
  });

  it("without proof of arrival it would", () => {
    const { stale } = staleSchedules(() => purgeLog({ timeline: () => new WithoutProof() }), WITH_EVENT, "log");
    expect(stale).toBeGreaterThan(0);
  });
});

describe("every interleaving with a purge of another tag by another process", () => {
  it("a hit in memory is no older than the last purge of its own process", () => {
    const result = staleSchedules(() => purgeLog({ inMemory: true }), WITH_EVENT, "other purge");
    expect(result).toEqual({ schedules: SCHEDULES_WITH_EVENT, stale: 0 });
  });

  it("if only purges before the proven end counted, it would be", () => {
    const timeline = (): Timeline => new WithoutOwnPurges();
    const { stale } = staleSchedules(() => purgeLog({ inMemory: true, timeline }), WITH_EVENT, "other purge");
    expect(stale).toBeGreaterThan(0);
  });
});
