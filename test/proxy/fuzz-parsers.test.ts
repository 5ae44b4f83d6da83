import * as fc from "fast-check";
import type { Arbitrary } from "fast-check";
import { describe, expect, it } from "vitest";

import { profileRules, type ProfileName } from "../../src/options/profiles.ts";
import {
  asksToBypass,
  cacheGroups,
  correctedInitialAgeSeconds,
  decideReuse,
  effectiveDirectives,
  evaluatePreconditions,
  freshnessLifetimeSeconds,
  groupInvalidations,
  HEURISTIC_STATUSES,
  invalidatedUris,
  isFieldName,
  noVarySearchQuery,
  parseContentRange,
  parseEntityTagList,
  parseHttpDate,
  parseNoVarySearch,
  parseRangeField,
  primaryKey,
  rangeReply,
  requestDirectives,
  responseDirectives,
  varyNames,
  whyNotStored,
  type CacheRequest,
  type Fields,
  type StoringRules,
} from "../../src/rfc9111/index.ts";
import { byteChanges, changed, plainText } from "./fuzz/bytes.ts";
import { mustAskAgain } from "./fuzz/oracle.ts";
import { fuzz, fuzzPlan } from "./fuzz/plan.ts";
import { requestBytes, requestCase } from "./fuzz/requests.ts";
import { responseCase, responseHead } from "./fuzz/responses.ts";

const NOW_MS = Date.UTC(2026, 0, 1);

/** Fields as lines of text give them, with no reading of their values. */
function fieldsOf(head: string): Fields {
  const fields = Object.create(null) as Record<string, string | string[]>;
  for (const line of head.split("\r\n").slice(1)) {
    const colon = line.indexOf(":");
    const name = line.slice(0, Math.max(colon, 0)).toLowerCase();
    if (!isFieldName(name)) continue;
    const value = line.slice(colon + 1).trim();
    const known = fields[name];
    if (known === undefined) fields[name] = value;
    else if (typeof known === "string") fields[name] = [known, value];
    else known.push(value);
  }
  return fields;
}

function storing(profile: ProfileName): StoringRules {
  const { heuristic, allowAnyFinalStatus, allowSetCookie, allowVaryIdentity, allowPartial } = profileRules(profile);
  return {
    lifetimeFrom: "fields",
    statuses: HEURISTIC_STATUSES,
    sharedByDeclaration: false,
    keyedFields: new Set(),
    heuristic,
    allowAnyFinalStatus,
    allowSetCookie,
    allowVaryIdentity,
    allowPartial,
  };
}

const GET: CacheRequest = { method: "GET", scheme: "http", authority: "a", path: "/", fields: {} };

// How long so many cases take is not what is tested.
describe("the functions of RFC 9111, given anything", { timeout: 120_000 }, () => {
  it.each<ProfileName>(["proxy", "rfc9111-shared"])(
    "store only what a second opinion allows, profile %s",
    async (profile) => {
      const plan = fuzzPlan(150_000);
      const rules = storing(profile);
      const { targets } = profileRules(profile);
      let stored = 0;
      const done = await fuzz(plan, responseCase, 2_000, (batch) => {
        for (const response of batch) {
          const bytes = responseHead(response, 10);
          const text = bytes.slice(0, Math.max(0, bytes.indexOf("\r\n\r\n")));
          const status = Number(text.split(/[ \r]/)[1]);
          if (!(status >= 200 && status <= 999)) continue;
          const head = { status, fields: fieldsOf(text) };
          const { directives } = effectiveDirectives(head.fields, targets);
          if (whyNotStored(GET, head, directives, rules) !== undefined) continue;
          stored += 1;
          const lifetimeSeconds = freshnessLifetimeSeconds(head, directives, {
            heuristic: rules.heuristic,
            nowMs: NOW_MS,
          });
          const why = mustAskAgain(text, Number.MAX_SAFE_INTEGER, profile);
          const isFresh = directives.noCache === false && (lifetimeSeconds ?? 0) > 0;
          if (why !== undefined && isFresh) throw new Error(`stored in spite of ${why}: ${JSON.stringify(text)}`);
        }
      });
      console.log(`${done} heads from seed ${plan.seed}, ${profile}: ${stored} may be stored`);
      expect(done).toBeGreaterThanOrEqual(plan.cases);
      expect(stored).toBeGreaterThan(done / 20);
    },
  );

  it("answer every request head without throwing, within their own bounds", async () => {
    const plan = fuzzPlan(150_000);
    const body = new Uint8Array(10);
    const stored = { status: 200, fields: { etag: '"v"' }, body, receivedAtMs: NOW_MS };
    const seen = { whole: 0, part: 0, unsatisfied: 0, unmodified: 0 };
    const done = await fuzz(plan, requestCase, 2_000, (batch) => {
      for (const request of batch) {
        const fields = fieldsOf(requestBytes(request, "/"));
        const asked: CacheRequest = { ...GET, path: `/${request.suffix}`, fields };
        requestDirectives(fields);
        asksToBypass(fields);
        decideReuse(asked, { stored: undefined, varyMiss: false }, "rfc9111", NOW_MS);
        if (evaluatePreconditions(fields, stored, NOW_MS) === "not-modified") seen.unmodified += 1;
        const reply = rangeReply(fields, stored, NOW_MS, "b");
        if (reply === undefined) seen.whole += 1;
        else if (reply.status === 416) seen.unsatisfied += 1;
        else seen.part += 1;
        // However many ranges are asked for: the parts of ten bytes, with a head each, stay small.
        if (reply !== undefined && reply.body.byteLength > 10_000) throw new Error(JSON.stringify(fields["range"]));
        const key = primaryKey({ prefix: "p", query: "all" }, asked);
        if (key === primaryKey({ prefix: "p", query: "all" }, { ...asked, path: `/x${request.suffix}` }))
          throw new Error(key);
      }
    });
    expect(done).toBeGreaterThanOrEqual(plan.cases);
    expect(Math.min(...Object.values(seen))).toBeGreaterThan(0);
  });

  it("make numbers that are numbers and names that are names for any text", async () => {
    const plan = fuzzPlan(100_000);
    const text: Arbitrary<string> = fc
      .tuple(
        fc.oneof(plainText, fc.constantFrom("max-age=60, s-maxage=1", 'bytes=0-1,2-', 'W/"a", "b"', "Thu, 01 Jan 2026 00:00:00 GMT", 'params=("a"), key-order', '"g1", "g2"', "bytes 0-1/2")),
        byteChanges,
      )
      .map(([base, changes]) => changed(base, changes)); // prettier-ignore
    const done = await fuzz(plan, text, 5_000, (batch) => {
      for (const value of batch) {
        const isSound = soundness(value);
        if (isSound !== undefined) throw new Error(`${isSound}: ${JSON.stringify(value)}`);
      }
    });
    console.log(`${done} texts from seed ${plan.seed}`);
    expect(done).toBeGreaterThanOrEqual(plan.cases);
  });
});

/** What a function made of `value` that it must not, if anything. */
function soundness(value: string): string | undefined {
  const fields: Fields = {
    "cache-control": [value, value], "cdn-cache-control": value, age: value, date: value, expires: value, vary: value,
    "last-modified": value, "no-vary-search": value, "cache-groups": value, "cache-group-invalidation": value, location: value,
  }; // prettier-ignore
  const head = { status: 200, fields };
  for (const directives of [
    responseDirectives(fields),
    effectiveDirectives(fields, ["cdn-cache-control"]).directives,
  ]) {
    for (const number of [
      freshnessLifetimeSeconds(head, directives, { heuristic: true, nowMs: NOW_MS }) ?? 0,
      directives.staleIfErrorSeconds ?? 0,
      directives.staleWhileRevalidateSeconds ?? 0,
    ]) {
      if (!(Number.isInteger(number) && number >= 0 && number <= 2 ** 31)) return `lifetime ${number}`;
    }
  }
  const age = correctedInitialAgeSeconds(head, NOW_MS, NOW_MS);
  if (!(Number.isInteger(age) && age >= 0 && age <= 2 ** 31)) return `age ${age}`;
  const dateMs = parseHttpDate(value, NOW_MS);
  if (dateMs !== undefined && !Number.isFinite(dateMs)) return `date ${dateMs}`;
  if (!varyNames(fields).every((name) => name === "*" || name === name.toLowerCase())) return "names of Vary";
  const ranges = parseRangeField(value, 10);
  if (ranges.kind === "ranges" && !ranges.ranges.every(({ start, end }) => start >= 0 && start <= end && end < 10))
    return "range";
  const part = parseContentRange(value);
  if (part !== undefined && part.start > part.end) return "content range";
  const tags = parseEntityTagList([value]);
  if (tags !== "*" && tags.some(({ opaque }) => opaque.includes('"'))) return "entity tag";
  if (
    ![...cacheGroups(fields), ...groupInvalidations({ ...GET, method: "POST" }, head)].every(
      (group) => typeof group === "string",
    )
  )
    return "group";
  const search = parseNoVarySearch(fields);
  if (search !== undefined && typeof noVarySearchQuery("a=1&b=2", search) !== "string") return "search";
  const uris = invalidatedUris({ ...GET, method: "POST" }, head);
  return uris.every((uri) => uri.startsWith("http://a/")) ? undefined : "another origin";
}
