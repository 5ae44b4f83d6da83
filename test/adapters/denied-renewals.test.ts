/** Code in front of `cached()` that gives another answer in place of a renewal, as the renewal leaves. */

import { describe, expect, it } from "vitest";

import { isRenewal } from "../../src/index.ts";
import { until } from "../redis/store.ts";
import { ADAPTERS, startPage, type Page } from "./in-front.ts";
import { hitOrMiss } from "./contract/world.ts";

/** The ways code in front can deny what comes from behind. */
const DENIALS: Readonly<Record<string, Page["inFront"]>> = {
  "a hook on writeHead": (_request, response) => {
    const writeHead = response.writeHead.bind(response);
    response.writeHead = (): typeof response => writeHead(403);
  },
  "a write and an end of its own": (_request, response) => {
    for (const method of ["write", "end"] as const) {
      const send = response[method].bind(response) as (...rest: unknown[]) => never;
      response[method] = (): never => {
        if (response.headersSent) return send();
        response.statusCode = 403;
        response.removeHeader("Content-Length");
        return send("denied");
      };
    }
  },
};

/** The ways a handler can answer a renewal. */
const ANSWERS: Readonly<Record<string, Page["handler"]>> = {
  "a whole body": (_request, response) => void response.end("page"),
  "pieces of a body": (_request, response) => {
    response.write("pa");
    setTimeout(() => response.end("ge"), 1);
  },
  "304": (request, response) => {
    response.setHeader("ETag", '"1"');
    if (request.headers["if-none-match"] !== undefined) response.statusCode = 304;
    response.end(response.statusCode === 304 ? undefined : "page");
  },
};

const combinations = Object.keys(DENIALS).flatMap((denial) =>
  Object.keys(ANSWERS).map((answer) => ({ denial, answer })),
);

describe.each(Object.entries(ADAPTERS))("%s", (_, serve) => {
  it.each(combinations)("$denial denies $answer: the stale response stays", async ({ denial, answer }) => {
    const { get, advance, events } = await startPage(serve, {
      options: { expire: 10, staleWhileRevalidate: "1h", audience: "public" },
      inFront(request, response) {
        if (isRenewal(request)) DENIALS[denial]?.(request, response);
      },
      handler: ANSWERS[answer]!,
    });
    await get("/");
    await until(() => events.some(({ type }) => type === "stored"));
    advance(11);

    const failures = () => events.filter((event) => event.type === "revalidation-failed");
    for (const count of [1, 2]) {
      const stale = await get("/");
      expect([stale.text, hitOrMiss(stale)]).toEqual(["page", "Hit"]);
      await until(() => failures().length >= count);
    }
    expect(failures().map(({ error }) => error.message)).toEqual(
      Array(2).fill("the renewal was answered with 403 by middleware in front of cached()"),
    );
  });
});
