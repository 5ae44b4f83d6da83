import * as fc from "fast-check";
import { describe, expect, it } from "vitest";

import { cacheStatus, isFieldValue, listMembers } from "../../src/rfc9111/index.ts";
import type { Outcome } from "../../src/rfc9111/index.ts";

const NOTHING: Outcome = { hit: false, stored: false, collapsed: false };

describe("Cache-Status (RFC 9211)", () => {
  it.each<{ outcome: Partial<Outcome>; member: string; because: string }>([
    { outcome: { hit: true, ttlSeconds: 299 }, member: "reprise; hit; ttl=299", because: "a hit" },
    { outcome: { hit: true, ttlSeconds: -5 }, member: "reprise; hit; ttl=-5", because: "a stale one" },
    { outcome: { hit: true, ttlSeconds: 0 }, member: "reprise; hit; ttl=0", because: "0 is said" },
    {
      outcome: { forwarded: "uri-miss", originStatus: 200, stored: true, collapsed: true, detail: "set-cookie" },
      member: "reprise; fwd=uri-miss; fwd-status=200; stored; collapsed; detail=set-cookie",
      because: "everything, in order",
    },
    {
      outcome: { forwarded: "bypass", detail: "authorization" },
      member: "reprise; fwd=bypass; detail=authorization",
      because: "a bypass",
    },
    {
      outcome: { forwarded: "stale", originStatus: 304, stored: true, ttlSeconds: 60 },
      member: "reprise; fwd=stale; fwd-status=304; ttl=60; stored",
      because: "a validated one",
    },
    {
      outcome: { hit: true, forwarded: "stale", originStatus: 503 },
      member: "reprise; hit",
      because: "a hit was not forwarded",
    },
    { outcome: { detail: "only-if-cached" }, member: "reprise; detail=only-if-cached", because: "neither" },
    { outcome: { hit: true, detail: "a b" }, member: 'reprise; hit; detail="a b"', because: "not a token" },
    { outcome: { hit: true, detail: '"\\' }, member: 'reprise; hit; detail="\\"\\\\"', because: "escaped" },
    { outcome: { hit: true, detail: "é\r\n" }, member: 'reprise; hit; detail="???"', because: "only printable ASCII" },
    { outcome: { hit: true, detail: "" }, member: 'reprise; hit; detail=""', because: "empty" },
    {
      outcome: { hit: true, detail: "1st" },
      member: 'reprise; hit; detail="1st"',
      because: "a token begins with a letter",
    },
  ])("$member: $because", ({ outcome, member }) => {
    expect(cacheStatus("reprise", { ...NOTHING, ...outcome })).toBe(member);
  });

  it.each([
    { name: "my-cache/1", item: "my-cache/1" },
    { name: "*a:b", item: "*a:b" },
    { name: "my cache", item: '"my cache"' },
  ])("the name $name is sent as $item", ({ name, item }) => {
    expect(cacheStatus(name, { ...NOTHING, hit: true })).toBe(`${item}; hit`);
  });

  it("is one member and a valid field value, whatever the detail", () => {
    fc.assert(
      fc.property(fc.string(), fc.string(), (name, detail) => {
        const member = cacheStatus(name, { ...NOTHING, hit: true, detail });
        expect(isFieldValue(member)).toBe(true);
        expect(listMembers([member])).toEqual([member]);
      }),
    );
  });
});
