/** What `explain()` says is what `respond()` does, for generated requests, stored states and heads. */

import * as fc from "fast-check";
import { describe, expect, it, vi } from "vitest";

import { fetchCache } from "../../src/adapters/fetch/index.ts";
import { createCache, type Explanation, type Route } from "../../src/cache.ts";
import type { CacheRequest, Outcome } from "../../src/http.ts";
import type { RouteOptions } from "../../src/options/route-options.ts";
import { memoryStore } from "../../src/stores/memory/index.ts";
import { fakeClock, originStub } from "../../src/testing.ts";

type Lines = Record<string, string>;

const present = (name: string, ...values: string[]): fc.Arbitrary<Lines> =>
  fc
    .option(fc.constantFrom(...values), { nil: undefined })
    .map((value) => (value === undefined ? {} : { [name]: value }));

const merged = (...parts: fc.Arbitrary<Lines>[]): fc.Arbitrary<Lines> =>
  fc.tuple(...parts).map((each) => Object.assign({}, ...each) as Lines);

const REQUEST_FIELDS = merged(
  present(
    "cache-control",
    "no-cache",
    "no-store",
    "max-age=5",
    "min-fresh=20",
    "max-stale",
    "only-if-cached",
    "max-age=0",
  ),
  present("accept-language", "de", "en"),
  present("cookie", "sid=1", "_ga=1"),
  present("authorization", "Bearer a"),
  present("range", "bytes=0-1", "items=0-1"),
  present("if-none-match", '"v1"', '"v9"'),
);

const RESPONSE_FIELDS = merged(
  present(
    "cache-control",
    "max-age=10",
    "s-maxage=30, stale-while-revalidate=5",
    "max-age=10, must-revalidate",
    "private",
    "no-store",
    "no-cache, max-age=10",
    "public, max-age=5, stale-if-error=50",
  ),
  present("vary", "accept-language", "*", "cookie"),
  present("etag", '"v1"', '"v2"'),
  present("set-cookie", "a=1"),
);

const HEADS = fc.record({ fields: RESPONSE_FIELDS, status: fc.constantFrom(200, 200, 200, 404, 503, 204) });

function replyOf({ status, fields }: { status: number; fields: Lines }): [string | null, object] {
  return [status === 204 ? null : "body", { status, headers: fields }];
}

const ROUTES: Readonly<Record<string, { readonly byHeaders: boolean; readonly options: RouteOptions<Request> }>> = {
  "by route": { byHeaders: false, options: { expire: 20, staleWhileRevalidate: 10, staleIfError: 60 } },
  "by route, public": { byHeaders: false, options: { expire: 20, audience: "public", requestDirectives: "rfc9111" } },
  "by headers": { byHeaders: true, options: {} },
  "by headers, as RFC 9111 says": { byHeaders: true, options: { profile: "rfc9111-shared" } },
};

const SILENT = { debug() {}, info() {}, warn() {} };

interface Happened {
  readonly outcome: Outcome | undefined;
  readonly status: number;
}

/** What the explanation says of the outcome. */
function agrees({ action, detail, decision, response }: Explanation, { outcome, status }: Happened): unknown {
  switch (action) {
    case "pass":
      return { said: undefined, happened: outcome };
    case "bypass":
      return { said: ["bypass", detail], happened: [outcome?.forwarded, outcome?.detail] };
    case "reuse":
    case "reuse-and-revalidate":
      return { said: true, happened: outcome?.hit };
    case "gateway-timeout":
      return { said: [504, "only-if-cached"], happened: [status, outcome?.detail] };
    case "revalidate":
      return { said: (decision as { because: string }).because, happened: outcome?.forwarded };
    case "forward": {
      const because = (decision as { because: string }).because;
      return { said: [because, response?.stored], happened: [outcome?.forwarded, outcome?.stored] };
    }
  }
}

describe.each(Object.entries(ROUTES))("explain() and respond() agree: %s", (_, { byHeaders, options }) => {
  it("on what is done with a request, and on whether its response is stored", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.option(fc.record({ head: HEADS, fields: REQUEST_FIELDS }), { nil: undefined }),
        fc.constantFrom(0, 3, 12, 25, 40),
        fc.constantFrom("GET", "GET", "GET", "HEAD", "POST"),
        REQUEST_FIELDS,
        HEADS,
        async (before, seconds, method, fields, head) => {
          const clock = fakeClock();
          const origin = originStub();
          const cache = createCache({ store: memoryStore({ now: clock.now }), now: clock.now, logger: SILENT });
          const outcomes: Outcome[] = [];
          cache.events.on("outcome", ({ outcome }) => outcomes.push(outcome));
          const family = fetchCache(cache);
          const handler = byHeaders ? family.byHeaders(options, origin.handler) : family(options, origin.handler);
          const route: Route = byHeaders ? cache.routeByHeaders(options) : cache.route(options);
          const ask = async (given: Lines, asked: string): Promise<Happened> => {
            outcomes.length = 0;
            const response = await handler(new Request("http://origin.test/x", { method: asked, headers: given }));
            await response.text();
            // A response without a body leaves a turn of the event loop later.
            if (asked !== "POST") await vi.waitFor(() => expect(outcomes).toHaveLength(1), { interval: 1 });
            return { outcome: outcomes[0], status: response.status };
          };
          if (before !== undefined) {
            origin.replies(...replyOf(before.head));
            await ask(before.fields, "GET");
          }
          clock.advance({ seconds });
          origin.replies(...replyOf(head));
          const request: CacheRequest = { method, scheme: "http", authority: "origin.test", path: "/x", fields };
          const explanation = await route.explain(request, { head });
          const { said, happened } = agrees(explanation, await ask(fields, method)) as Record<string, unknown>;
          await cache.close();
          expect(happened).toEqual(said);
        },
      ),
      { numRuns: 400 },
    );
  });
});
