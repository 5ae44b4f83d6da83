import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { setTimeout as pause } from "node:timers/promises";

import { expect, it, onTestFinished } from "vitest";

import { nodeCache } from "../../src/adapters/node/index.ts";
import { createCache } from "../../src/cache.ts";
import { watchUnhandled } from "../redis/unhandled.ts";
import { send } from "./contract/http-client.ts";

it("a request that the application answered while it waited for another one is left alone", async () => {
  const expectNoneUnhandled = watchUnhandled();
  let nowMs = 1_000_000;
  const cache = createCache({ now: () => nowMs });
  let runs = 0;
  const handle = nodeCache(cache)({ expire: 1, staleIfError: "1h" }, async (_, response) => {
    runs += 1;
    if (runs === 1) return void response.end("v1");
    await pause(200);
    throw new Error("down");
  });
  const server = createServer((request, response) => {
    if (request.headers["x-limited"] !== undefined) setTimeout(() => response.writeHead(503).end("too slow"), 50);
    void handle(request, response);
  });
  await new Promise<void>((resolve) => {
    server.listen(0, "127.0.0.1", resolve);
  });
  onTestFinished(() => {
    server.close();
    server.closeAllConnections();
  });
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
  await send(url);
  nowMs += 2000;
  const first = send(url);
  await pause(20);
  const limited = send(url, { headers: { "x-limited": "1" } });
  expect(await limited).toMatchObject({ status: 503, text: "too slow" });
  expect(await first).toMatchObject({ status: 200, text: "v1" });
  await expectNoneUnhandled();
});
