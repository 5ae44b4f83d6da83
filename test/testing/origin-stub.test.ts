import { describe, expect, it } from "vitest";
import { fetchCache } from "../../src/adapters/fetch/index.ts";
import { createCache } from "../../src/cache.ts";
import { originStub, type Hold } from "../../src/testing.ts";

const request = (path = "/"): Request => new Request(`http://origin.test${path}`);

describe("originStub", () => {
  it("answers ok until it is told what to answer, then that, any number of times", async () => {
    const origin = originStub();
    expect(await (await origin.handler(request())).text()).toBe("ok");
    origin.replies("v1", { "content-language": "en" });
    for (let round = 0; round < 2; round++) {
      const response = await origin.handler(request());
      expect([response.status, await response.text(), response.headers.get("content-language")]).toEqual([
        200,
        "v1",
        "en",
      ]);
    }
  });

  it("takes a status, and a field that is called status", async () => {
    const origin = originStub();
    origin.replies(null, { status: 404, headers: { "x-a": "1" } });
    const missing = await origin.handler(request());
    expect([missing.status, missing.headers.get("x-a"), missing.body]).toEqual([404, "1", null]);
    origin.replies("named", { status: "fine" });
    const named = await origin.handler(request());
    expect([named.status, named.headers.get("status")]).toEqual([200, "fine"]);
  });

  it("takes bytes, streams and functions of the request", async () => {
    const origin = originStub();
    origin.replies(new Uint8Array([104, 105]));
    expect(await (await origin.handler(request())).text()).toBe("hi");
    origin.replies(new Blob(["streamed"]).stream());
    expect(await (await origin.handler(request())).text()).toBe("streamed");
    origin.replies(({ url }) => Response.json({ path: new URL(url).pathname }));
    expect(await (await origin.handler(request("/a"))).json()).toEqual({ path: "/a" });
  });

  it("fails until it is told to reply", async () => {
    const origin = originStub();
    origin.fails(new TypeError("no route"));
    await expect(origin.handler(request())).rejects.toThrow(TypeError);
    origin.fails();
    await expect(origin.handler(request())).rejects.toThrow("the origin failed");
    origin.replies("back");
    expect((await origin.handler(request())).status).toBe(200);
  });

  it("remembers every request, failed and waiting ones too", async () => {
    const origin = originStub();
    await origin.handler(request("/a"));
    origin.fails();
    await origin.handler(request("/b")).catch(() => {});
    origin.holds();
    void origin.handler(request("/c"));
    expect(origin.requests.map(({ url }) => new URL(url).pathname)).toEqual(["/a", "/b", "/c"]);
  });

  it("holds requests back and lets them go one by one or all at once, with what it replies by then", async () => {
    const origin = originStub();
    const hold: Hold = origin.holds();
    const ended: string[] = [];
    const run = async (path: string): Promise<void> =>
      void ended.push(`${path} ${await (await origin.handler(request(path))).text()}`);
    const runs = ["/a", "/b", "/c"].map(run);
    expect(hold.waiting).toBe(3);
    origin.replies("v1");
    hold.releaseOne();
    await runs[0];
    expect(ended).toEqual(["/a v1"]);
    expect(hold.waiting).toBe(2);
    origin.replies("v2");
    hold.release();
    await Promise.all(runs);
    expect(ended).toEqual(["/a v1", "/b v2", "/c v2"]);
    await run("/d");
    expect(ended.at(-1)).toBe("/d v2");
  });

  it("can be held again; the end of an older hold does not end the newer one", async () => {
    const origin = originStub();
    const older = origin.holds();
    const first = origin.handler(request());
    const newer = origin.holds();
    older.release();
    await first;
    const second = origin.handler(request());
    expect(newer.waiting).toBe(1);
    newer.release();
    expect((await second).status).toBe(200);
  });

  it("is a handler for fetchCache", async () => {
    const origin = originStub();
    const handler = fetchCache(createCache())("5m", origin.handler);
    await handler(request());
    expect((await handler(request())).headers.get("x-reprise-cache")).toBe("Hit");
    expect(origin.requests).toHaveLength(1);
  });
});
