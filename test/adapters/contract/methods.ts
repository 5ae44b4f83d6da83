import { expect, it } from "vitest";

import { cacheStatusOf, counter, hitOrMiss, type Setup } from "./world.ts";

/** GET is cached, HEAD is answered from it, and nothing else is touched. */
export function methods(setup: Setup): void {
  it("5.5 other methods pass: each runs the handler, without a field of the cache", async () => {
    const runs = counter();
    const { get, send } = await setup.serve(runs.handler);

    expect((await get("/")).text).toBe('{"run":1}');
    let run = 1;
    for (const method of ["POST", "PUT", "PATCH", "DELETE", "POST"]) {
      const received = await send("/", { method, body: method === "DELETE" ? "" : "body" });
      expect(received.text).toBe(`{"run":${++run}}`);
      expect(hitOrMiss(received)).toBeUndefined();
      expect(cacheStatusOf(received)).toBeUndefined();
      expect(received.headers["cache-control"]).toBeUndefined();
      expect(received.headers.expires).toBeUndefined();
    }
  });

  it("an unsafe method that succeeds invalidates what is stored of its target (RFC 9111 §4.4)", async () => {
    const runs = counter();
    const { get, send } = await setup.serve((call) =>
      call.method === "PATCH" ? { status: 500, text: "no" } : runs.handler(call),
    );

    expect((await get("/")).text).toBe('{"run":1}');
    await send("/", { method: "PATCH" });
    expect(hitOrMiss(await get("/"))).toBe("Hit");
    await send("/", { method: "PUT" });
    const anew = await get("/");
    expect(hitOrMiss(anew)).toBe("Miss");
    expect(anew.text).toBe('{"run":3}');
    expect((await get("/")).text).toBe('{"run":3}');
  });

  it("5.5 HEAD is answered from the stored GET: its fields, no body", async () => {
    const { get, send } = await setup.serve(() => ({ text: "a body", headers: { "X-Custom": "kept" } }));

    const stored = await get("/");
    const head = await send("/", { method: "HEAD" });

    expect(hitOrMiss(head)).toBe("Hit");
    expect(head.body).toHaveLength(0);
    // Hono answers a HEAD without a length.
    if (setup.driver.name !== "Hono") expect(head.headers["content-length"]).toBe("6");
    expect(head.headers.etag).toBe(stored.headers.etag);
    expect(head.headers["x-custom"]).toBe("kept");
  });

  it("5.5 T34 HEAD first does not poison GET", async () => {
    const { get, send } = await setup.serve((seen) =>
      seen.method === "HEAD" ? { empty: true } : { text: "the body" },
    );

    expect((await send("/", { method: "HEAD" })).body).toHaveLength(0);
    const first = await get("/");
    expect(first.text).toBe("the body");
    expect(hitOrMiss(first)).toBe("Miss");
    await send("/", { method: "HEAD" });
    const hit = await get("/");
    expect(hit.text).toBe("the body");
    expect(hitOrMiss(hit)).toBe("Hit");
  });

  it("5.5 HEAD with a matching If-None-Match is a 304", async () => {
    const { get, send } = await setup.serve(counter().handler);

    const etag = (await get("/")).headers.etag ?? "none";
    const head = await send("/", { method: "HEAD", headers: { "If-None-Match": etag } });

    expect(head.status).toBe(304);
    expect(head.headers.etag).toBe(etag);
  });

  it("a body on GET cannot change what others get", async () => {
    const { get, send } = await setup.serve(counter().handler);

    const fat = await send("/", { body: "q=evil", headers: { "Content-Length": "6" } });
    expect(cacheStatusOf(fat)).toBe("reprise; fwd=bypass; detail=request-body");
    expect((await get("/")).text).toBe('{"run":2}');
    const chunked = await send("/", { body: "q=evil", headers: { "Transfer-Encoding": "chunked" } });
    expect(chunked.text).toBe('{"run":3}');
    expect((await get("/")).text).toBe('{"run":2}');
  });

  it.each(["X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override"])(
    "%s cannot change what others get",
    async (name) => {
      const { get } = await setup.serve((seen) => ({ text: `as ${seen.header(name.toLowerCase()) ?? "GET"}` }));

      await get("/", { [name]: "DELETE" });

      expect((await get("/")).text).toBe("as GET");
      expect((await get("/", { [name]: "DELETE" })).text).toBe("as DELETE");
    },
  );

  it("a request to change the protocol passes untouched", async () => {
    let run = 0;
    const { get, events } = await setup.serve((seen) => ({ text: `${++run} ${seen.header("if-none-match")}` }));
    await get("/");

    for (const expected of ['2 "a"', '3 "a"']) {
      const received = await get("/", { Connection: "Upgrade", Upgrade: "example/1", "If-None-Match": '"a"' });
      expect(received.text).toBe(expected);
      expect(received.headers["cache-status"]).toBeUndefined();
      expect(received.headers["x-reprise-cache"]).toBeUndefined();
    }
    expect(events.filter(({ type }) => type === "outcome")).toHaveLength(1);
    expect((await get("/")).text).toBe("1 undefined");
  });
}
