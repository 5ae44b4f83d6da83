/** WebSockets of an application whose requests all come through cached(). */

import express from "express4";
import expressWs from "express-ws";
import { expect, it } from "vitest";
import { WebSocket } from "ws";

import { expressCache } from "../../src/adapters/express/index.ts";
import { memoryKind } from "./contract/stores.ts";
import { startWorld } from "./contract/world.ts";

it("express-ws behind cached(): each connection to one URL is opened", async () => {
  const world = await startWorld(memoryKind, {}, async (cache) => {
    const { app } = expressWs(express());
    app.use(expressCache(cache)("1m"));
    app.ws(
      "/echo",
      (socket) => void socket.on("message", (text) => socket.send(`echo ${(text as Buffer).toString()}`)),
    );
    const server = app.listen(0, "127.0.0.1");
    await new Promise((resolve) => server.once("listening", resolve));
    const { port } = server.address() as { port: number };
    return {
      url: `http://127.0.0.1:${port}`,
      close: () => new Promise<void>((resolve) => server.close(() => resolve())),
    };
  });

  for (let round = 0; round < 3; round++)
    expect(await echoOf(`${world.url.replace("http", "ws")}/echo`)).toBe("echo hi");
});

function echoOf(url: string): Promise<string> {
  const socket = new WebSocket(url);
  return new Promise((resolve, reject) => {
    socket.on("open", () => socket.send("hi"));
    socket.on("message", (text) => {
      socket.close();
      resolve((text as Buffer).toString());
    });
    socket.on("error", reject);
  });
}
