import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";

import { routingPart } from "../../../src/engine/request/routing-fields.ts";

const root = join(import.meta.dirname, "../../..");

/** The names in the lists of the module, and the beginnings of names. */
function listed(): readonly string[] {
  const source = readFileSync(join(root, "src/engine/request/routing-fields.ts"), "utf8");
  return [...source.matchAll(/^ {2}"([a-z-]+)",$/gm)].map(([, name]) => name ?? "");
}

describe("the routing fields of a request", () => {
  it.each(listed())("%s is in the key", (name) => {
    expect(routingPart({ [name]: "a" })).not.toBe("");
    expect(routingPart({ [name]: "a" })).not.toBe(routingPart({ [name]: "b" }));
  });

  it("are listed in docs/security.md, all and no others", () => {
    const guide = readFileSync(join(root, "docs/security.md"), "utf8");
    const section = /### Routing fields\n([^]*?)\nNot among them/.exec(guide)?.[1] ?? "";
    const named = [...section.matchAll(/`([a-z-]+)\*?`/g)].map(([, name]) => name ?? "");
    const members = ["host", "proto"];
    expect(named.filter((name) => !members.includes(name)).toSorted()).toEqual([...listed(), "forwarded"].toSorted());
  });

  it.each([
    "hx-request",
    "hx-current-url",
    "hx-history-restore-request",
    "next-url",
    "next-router-segment-prefetch",
    "next-a-field-that-is-longer-than-thirty-one-letters",
    "x-middleware-subrequest",
    "x-invoke-query",
    "x-nextjs-data",
    "x-inertia",
    "x-inertia-partial-component",
    "x-pjax",
    "x-pjax-container",
    "x-livewire-navigate",
    "x-up-target",
    "x-sveltekit-pathname",
    "x-react-router-prerender-data",
    "x-react-router-spa-mode",
  ])("%s is in the key by how it begins", (name) => {
    expect(routingPart({ [name]: "1" })).not.toBe("");
  });

  it.each([
    "accept",
    "accept-encoding",
    "accept-language",
    "authorization",
    "cf-connecting-ip",
    "cf-ipcountry",
    "cf-ray",
    "cloudfront-is-mobile-viewer",
    "connection",
    "cookie",
    "fastly-client-ip",
    "host",
    "nel",
    "priority",
    "save-data",
    "sec-ch-ua",
    "sec-fetch-mode",
    "traceparent",
    "true-client-ip",
    "user-agent",
    "x-amzn-trace-id",
    "x-arr-log-id",
    "x-forwarded-for",
    "x-real-ip",
    "x-request-id",
    "x-turbo-request-id",
    "x-vercel-id",
  ])("%s is not: each client has its own", (name) => {
    expect(routingPart({ [name]: "a" })).toBe("");
  });

  it("takes host and scheme of Forwarded and no more", () => {
    const part = routingPart({ forwarded: 'for=1.2.3.4;host="a.example";proto=https;by=x' });
    expect(part).toContain("a.example");
    expect(part).toBe(routingPart({ forwarded: 'for=5.6.7.8;host="a.example";proto=https;by=y' }));
    expect(routingPart({ forwarded: "for=1.2.3.4" })).toBe("");
  });

  it("keeps fields apart whatever their values, and does not mind their order", () => {
    const one = routingPart({ "x-host": "a;x-scheme=1:b;" });
    const two = routingPart({ "x-host": "a", "x-scheme": "b" });
    expect(one).not.toBe(two);
    expect(two).toBe(routingPart({ "x-scheme": "b", "x-host": "a" }));
    expect(routingPart({ "x-host": ["a", "b"] })).not.toBe(routingPart({ "x-host": "a, b" }));
  });

  it("judges names alike when a client has sent more of them than are remembered", () => {
    for (let at = 0; at < 1_000; at += 1) routingPart({ [`x-made-up-${at}`]: "1", [`hx-made-up-${at}`]: "1" });
    expect(routingPart({ "x-up-validate": "a" })).not.toBe("");
    expect(routingPart({ "hx-another": "a" })).not.toBe("");
    expect(routingPart({ "x-another": "a" })).toBe("");
  });
});
