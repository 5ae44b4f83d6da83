import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { liveEntry, liveResponse, responseEntry, varySpecEntry } from "../../../src/engine/lookup/stored-entry.ts";
import { isHopByHop } from "../../../src/rfc9111/fields.ts";
import type { Fields, StoredResponse, StoreEntry, VaryField } from "../../../src/http.ts";

const URI = "https://origin.test/users/7";
const TOKEN = "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz";
/** Hop-by-hop fields are never stored, and refused when they are read. */
const fieldName = fc
  .oneof(
    fc.string({ unit: fc.constantFrom(...TOKEN.split("")), minLength: 1, maxLength: 12 }),
    fc.constantFrom("__proto__", "constructor", "tostring", "etag", "content-type"),
  )
  .filter((name) => !isHopByHop(name));
const valueCode = fc.oneof(fc.constant(9), fc.integer({ min: 0x20, max: 0x7e }), fc.integer({ min: 0x80, max: 0xff }));
const fieldValue = fc.array(valueCode, { maxLength: 20 }).map((codes) => String.fromCharCode(...codes));
const fields: fc.Arbitrary<Fields> = fc
  .array(fc.tuple(fieldName, fc.oneof(fieldValue, fc.array(fieldValue, { maxLength: 3 }))), { maxLength: 8 })
  .map((pairs) => {
    const made = Object.create(null) as Record<string, string | readonly string[]>;
    for (const [name, value] of pairs) made[name] = value;
    return made;
  });
const timeMs = fc.integer({ min: 0, max: 2 ** 41 });
const seconds = fc.integer({ min: 0, max: 2 ** 31 });
/** Those that may have content and are no part of anything. */
const status = fc.integer({ min: 200, max: 599 }).filter((code) => ![204, 205, 206, 304].includes(code));
const varyField: fc.Arbitrary<VaryField> = fc.tuple(fieldName, fc.option(fieldValue, { nil: null }));

const stored: fc.Arbitrary<StoredResponse> = fc.record({
  status,
  fields,
  body: fc.uint8Array({ maxLength: 300 }),
  varyFields: fc.array(varyField, { maxLength: 4 }),
  requestedAtMs: timeMs,
  receivedAtMs: timeMs,
  correctedInitialAgeSeconds: seconds,
  freshnessLifetimeSeconds: seconds,
  lifetimeFrom: fc.constantFrom("route" as const, "fields" as const),
  staleWhileRevalidateSeconds: seconds,
  staleIfErrorSeconds: seconds,
  mayServeStale: fc.boolean(),
  requiresRevalidation: fc.boolean(),
  hasOriginValidator: fc.boolean(),
  names: fc.array(fc.string(), { maxLength: 4 }),
  generation: fc.string(),
});

/** What a store that keeps text and bytes gives back. */
function throughText({ meta, body, names, uri, generation }: StoreEntry): StoreEntry {
  const known = { ...(names && { names }), ...(uri && { uri }), ...(generation !== undefined && { generation }) };
  return { ...known, meta: JSON.parse(JSON.stringify(meta)) as StoreEntry["meta"], body: body.slice() };
}

describe("an entry", () => {
  it("read back from text and bytes is the response that was stored, byte for byte", () => {
    fc.assert(
      fc.property(stored, (response) => {
        const live = liveEntry(throughText(responseEntry(liveResponse(response), URI)));
        if (live?.kind !== "response") throw new Error("not read back");
        const { fields: readFields, ...read } = live.stored;
        const { fields: writtenFields, ...written } = response;
        expect(read).toStrictEqual(written);
        expect(Object.entries(readFields)).toStrictEqual(Object.entries(writtenFields));
        expect(live.prepared).toBeUndefined();
      }),
      { numRuns: 500 },
    );
  });

  it("is made stale by a soft purge, at that moment and not for longer than its lifetime", () => {
    const response = { ...fc.sample(stored, 1)[0]!, receivedAtMs: 10_000, correctedInitialAgeSeconds: 5 };
    const lifetimeAfter = (freshnessLifetimeSeconds: number, outdatedAtMs: number): number | undefined => {
      const entry = responseEntry(liveResponse({ ...response, freshnessLifetimeSeconds }), URI);
      const live = liveEntry({ ...entry, outdatedAtMs });
      return live?.kind === "response" ? live.stored.freshnessLifetimeSeconds : undefined;
    };
    expect(lifetimeAfter(60, 17_000)).toBe(12);
    expect(lifetimeAfter(10, 17_000)).toBe(10);
    expect(lifetimeAfter(60, 0)).toBe(5);
  });

  it("is read in the clock of the reader, once", () => {
    const response = { ...fc.sample(stored, 1)[0]!, requestedAtMs: 10_000, receivedAtMs: 11_000 };
    const entry = { ...throughText(responseEntry(liveResponse(response), URI)), clockShiftMs: 300_000 };
    for (const _ of [1, 2]) {
      expect(liveEntry(entry)).toMatchObject({ stored: { requestedAtMs: 310_000, receivedAtMs: 311_000 } });
    }
  });

  it("of names read back has the same names and epoch", () => {
    const spec = fc.record({
      kind: fc.constant("vary" as const),
      names: fc.array(fieldName, { minLength: 1, maxLength: 5 }),
      epoch: fc.string(),
    });
    fc.assert(
      fc.property(spec, (written) => {
        expect(liveEntry(throughText(varySpecEntry(written)))).toEqual(written);
      }),
    );
  });

  it("is decoded once where the store gives a place for the decoded form, and is not written to", () => {
    const response = fc.sample(stored, 1)[0]!;
    const entry = Object.freeze({
      ...throughText(responseEntry(liveResponse(response), URI)),
      live: { value: undefined },
    });
    const live = liveEntry(entry);
    expect(live).toBeDefined();
    expect(liveEntry(entry)).toBe(live);
  });

  it("of anything whatever is a response, names, or nothing; never a throw", () => {
    fc.assert(
      fc.property(fc.anything({ withNullPrototype: true, withTypedArray: true }), fc.anything(), (meta, body) => {
        const live = liveEntry({ meta, body } as unknown as StoreEntry);
        expect(["response", "vary", undefined]).toContain(live?.kind);
      }),
      { numRuns: 500 },
    );
  });

  it("with one part replaced by anything is still safe to use, or nothing", () => {
    const replaced = fc.tuple(stored, fc.nat(), fc.anything());
    fc.assert(
      fc.property(replaced, ([response, which, value]) => {
        const entry = throughText(responseEntry(liveResponse(response), URI));
        const names = Object.keys(entry.meta);
        const name = names[which % names.length]!;
        const live = liveEntry({ meta: { ...entry.meta, [name]: value }, body: entry.body });
        if (live?.kind !== "response") return;
        expect(live.stored.status).toBeGreaterThanOrEqual(200);
        expect(live.stored.freshnessLifetimeSeconds).toBeGreaterThanOrEqual(0);
        for (const text of Object.values(live.stored.fields).flat()) expect(text).not.toMatch(/[\r\n\0]/);
      }),
      { numRuns: 500 },
    );
  });
});
