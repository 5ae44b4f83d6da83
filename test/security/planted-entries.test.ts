/** what is in Redis is an input. Whatever somebody plants there, a client gets the handler's response. */

import { afterAll, beforeAll, describe, expect, inject, it } from "vitest";

import { redisStore } from "../../src/stores/redis/index.ts";
import { type FrameHead, frameOf, frameParts, type Intruder, intruder, reframed, startWorld } from "./world.ts";

const url = inject("redisUrl");
let redis: Intruder;
beforeAll(async () => {
  redis = await intruder(inject("redisAdminUrl"));
});
afterAll(() => redis.end());

const PLANTED = "planted";
const MIB = 1024 * 1024;

/** Everything hung onto `Object.prototype`, names and values. */
function prototypeSnapshot(): unknown {
  return Object.getOwnPropertyDescriptors(Object.prototype);
}

type Plant = (key: string, frame: Buffer) => Promise<unknown> | Buffer | string;

/** A frame that is right in every way, with the fields the client would be sent. */
function withFields(...fields: readonly unknown[]): Plant {
  return (_, frame) => reframed(frame, ({ m }) => (m["fields"] = fields), PLANTED);
}

function withMeta(meta: Readonly<Record<string, unknown>>, body: string | Buffer = PLANTED): Plant {
  return (_, frame) => reframed(frame, (head) => Object.assign(head.m, meta), body);
}

function withHead(change: (head: FrameHead) => void): Plant {
  return (_, frame) => reframed(frame, change, PLANTED);
}

/** The head as text: what JSON can say and an object cannot. */
function withHeadText(change: (text: string) => string): Plant {
  return (_, frame) => frameOf(change(JSON.stringify(frameParts(frame).head)), PLANTED);
}

function changedAt(at: number, hex: string): Plant {
  return (_, frame) => {
    const changed = Buffer.from(frame);
    changed.write(hex, at, "hex");
    return changed;
  };
}

function nested(depth: number): string {
  return `${"[".repeat(depth)}${"]".repeat(depth)}`;
}

const otherTypes: readonly (readonly [string, Plant])[] = [
  ["a list", (key) => redis.client.multi().del(key).rPush(key, PLANTED).exec()],
  ["a hash", (key) => redis.client.multi().del(key).hSet(key, "status", "200").exec()],
  ["a set", (key) => redis.client.multi().del(key).sAdd(key, PLANTED).exec()],
  ["a stream", (key) => redis.client.multi().del(key).xAdd(key, "*", { body: PLANTED }).exec()],
];

const damaged: readonly (readonly [string, Plant])[] = [
  ["nothing", () => Buffer.alloc(0)],
  ["text", () => PLANTED],
  ["JSON", () => JSON.stringify({ status: 200, fields: [["x-planted", PLANTED]], body: PLANTED })],
  ["16 bytes of a frame", (_, frame) => frame.subarray(0, 16)],
  ["a frame without its last byte", (_, frame) => frame.subarray(0, -1)],
  ["a frame and a byte more", (_, frame) => Buffer.concat([frame, Buffer.of(0)])],
  ["a frame with another body", (_, frame) => Buffer.concat([frame.subarray(0, -7), Buffer.from(PLANTED)])],
  ["a frame twice", (_, frame) => Buffer.concat([frame, frame])],
  ["a head of 4 GiB, as it says", changedAt(4, "ffffffff")],
  ["a body of 4 GiB, as it says", changedAt(8, "ffffffff")],
  ["lengths whose sum is right only in 32 bits", changedAt(4, "ffffffff00000001")],
  ["64 MiB of zeros", () => Buffer.alloc(64 * MIB)],
  [
    "a whole frame with a body of 64 MiB",
    (_, frame) => frameOf(JSON.stringify(frameParts(frame).head), Buffer.alloc(64 * MIB)),
  ],
];

const lies: readonly (readonly [string, Plant])[] = [
  ["another key", withHead((head) => (head.k += "x"))],
  ["a key that is no text", withHead((head) => Object.assign(head, { k: [head.k] }))],
  ["no meta", withHead((head) => Reflect.deleteProperty(head, "m"))],
  ["meta that is a list", withHead((head) => Object.assign(head, { m: [head.m] }))],
  ["an unknown kind", withMeta({ kind: "redirect" })],
  ["a kind of the prototype", withMeta({ kind: "constructor" })],
  ["names that are no list", withHead((head) => (head["n"] = { length: 1e9 }))],
  ["a generation that is no text", withHead((head) => (head["g"] = { toString: 1 }))],
  ["meta nested 30,000 deep", withHeadText((text) => text.replace('"m":{', `"m":{"deep":${nested(30_000)},`))],
  [
    "fields nested 30,000 deep",
    withHeadText((text) => text.replace(/"fields":\[.*?\]\]/, `"fields":${nested(30_000)}`)),
  ],
  ["a property __proto__", withHeadText((text) => text.replace('"m":{', '"m":{"__proto__":{"polluted":1},'))],
  ["a head that is a __proto__", withHeadText((text) => `{"__proto__":${text}}`)],
  [
    "an escaped property __proto__",
    withHeadText((text) => text.replace('"m":{', '"m":{"\\u005f_proto__":{"polluted":1},')),
  ],
];

const fields: readonly (readonly [string, Plant])[] = [
  ["CR LF in a value", withFields(["x-a", `a\r\nSet-Cookie: sid=${PLANTED}`])],
  ["LF in a value", withFields(["x-a", `a\nSet-Cookie: sid=${PLANTED}`])],
  ["NUL in a value", withFields(["x-a", `a\0${PLANTED}`])],
  ["DEL in a value", withFields(["x-a", `a\x7f${PLANTED}`])],
  ["U+010D, whose low byte is CR, in a value", withFields(["x-a", `a\u010d\u010aSet-Cookie: sid=${PLANTED}`])],
  ["CR LF in the second line of a field", withFields(["x-a", ["a", `b\r\nx-planted: 1`]])],
  ["CR LF in a name", withFields([`x-a: a\r\nx-planted`, "1"])],
  ["a colon in a name", withFields(["x-planted: 1", "1"])],
  ["a space in a name", withFields(["x planted", "1"])],
  ["an empty name", withFields(["", PLANTED])],
  ["a name in upper case", withFields(["X-Planted", "1"])],
  ["a name beyond ASCII", withFields(["x-plantéd", "1"])],
  ["a value that is a number", withFields(["x-planted", 1])],
  ["a value that is an object", withFields(["x-planted", { toString: "1" }])],
  ["lines that are no texts", withFields(["x-planted", ["1", 2]])],
  ["a pair of three", withFields(["x-planted", "1", "2"])],
  ["an object in place of pairs", withMeta({ fields: { "x-planted": "1" } })],
  ["Transfer-Encoding", withFields(["transfer-encoding", "chunked"])],
  ["Connection", withFields(["connection", "x-planted"])],
  ["Upgrade", withFields(["upgrade", PLANTED])],
  ["Set-Cookie", withFields(["set-cookie", `sid=${PLANTED}`])],
  ["Set-Cookie in lines", withFields(["set-cookie", ["a=1", `sid=${PLANTED}`]])],
];

const numbers: readonly (readonly [string, Plant])[] = [
  ["status 99", withMeta({ status: 99 })],
  ["status 101", withMeta({ status: 101 })],
  ["status 600", withMeta({ status: 600 })],
  ["status 999", withMeta({ status: 999 })],
  ["status 200.5", withMeta({ status: 200.5 })],
  ['status "200"', withMeta({ status: "200" })],
  ["status 204 with a body", withMeta({ status: 204 })],
  ["status 205 with a body", withMeta({ status: 205 })],
  ["status 304", withMeta({ status: 304 }, "")],
  ["status 206 of no range", withMeta({ status: 206 })],
  ["a lifetime of 1e308 s", withMeta({ freshnessLifetimeSeconds: 1e308 })],
  ["a lifetime of 0.5 s more", withMeta({ freshnessLifetimeSeconds: 3600.5 })],
  ["a negative lifetime", withMeta({ freshnessLifetimeSeconds: -1 })],
  ["a lifetime as text", withMeta({ freshnessLifetimeSeconds: "3600" })],
  ["an age of 1e308 s", withMeta({ correctedInitialAgeSeconds: 1e308, lifetimeFrom: "fields" })],
  ["a time of 1e308", withMeta({ receivedAtMs: 1e308, requestedAtMs: 1e308 })],
  ["a lifetime from nowhere", withMeta({ lifetimeFrom: PLANTED })],
  ["a flag that is a number", withMeta({ mayServeStale: 1 })],
  ["varyFields that are no pairs", withMeta({ varyFields: ["accept"] })],
  ["a record of Vary with no name", withMeta({ kind: "vary", names: [], epoch: "1" })],
  ["a record of Vary with a bad name", withMeta({ kind: "vary", names: ["a\r\nb"], epoch: "1" })],
  ["a record of Vary that leads nowhere", withMeta({ kind: "vary", names: ["accept"], epoch: PLANTED })],
];

const plants = [...otherTypes, ...damaged, ...lies, ...fields, ...numbers].map(([what, plant]) => ({ what, plant }));

describe.each([{ adapter: "fetch" as const }, { adapter: "node" as const }])("over $adapter", ({ adapter }) => {
  it.each(plants)("$what: the handler answers, and caching goes on", async ({ plant }) => {
    const world = await startWorld({ store: redisStore({ url }), adapter });
    await world.untilHit("/page");
    const key = await redis.entryKey(world.prefix, "page");
    const before = prototypeSnapshot();
    const calls = world.calls;
    const planted = plant(key, await redis.read(key));
    if (planted instanceof Promise) await planted;
    else await redis.plant(key, planted);

    const answer = await world.get("/page");
    expect(answer).toMatchObject({ status: 200, body: `handler ${calls + 1}` });
    expect(answer.wire).not.toMatch(/plant/i);
    expect(prototypeSnapshot()).toEqual(before);
    const next = await world.untilHit("/page");
    expect(next.body).toMatch(/^handler /);
    expect(next.wire).not.toMatch(/plant/i);
  });
});
