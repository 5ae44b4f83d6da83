import { expect, it } from "vitest";

import type { Logger } from "../../../src/index.ts";
import { until } from "../../redis/store.ts";
import { counter, type Setup } from "./world.ts";

interface Lines extends Logger {
  readonly lines: string[];
}

function logger(): Lines {
  const lines: string[] = [];
  const at = (level: string) => (message: string) => void lines.push(`${level} ${message}`);
  return { lines, debug: at("debug"), info: at("info"), warn: at("warn") };
}

/** Log lines. */
export function logging(setup: Setup): void {
  it("5.9 stored, found and not stored are logged, each with what and why", async () => {
    const log = logger();
    const { get } = await setup.start(
      [
        { path: "/", handler: () => ({ text: "seven b" }), options: { expire: 60 } },
        { path: "/cookie", handler: () => ({ text: "c", headers: { "Set-Cookie": "a=1" } }) },
        { path: "/error", handler: () => ({ status: 500, text: "e" }) },
        { path: "/mine", handler: () => ({ text: "m" }) },
      ],
      { logger: log },
    );

    await get("/?q=1");
    // A store in another process is not waited for: what it kept is told when it has answered.
    await until(() => log.lines.some((line) => line.startsWith("info stored")));
    await get("/?q=1");
    await get("/cookie");
    await get("/error");
    await get("/mine", { Authorization: "Bearer secret-token" });

    const own = log.lines.filter((line) => !/ (connecting|connected) to /.test(line));
    expect(own.slice(0, 2).toSorted()).toEqual([
      "debug forwarded GET /?q=1: uri-miss",
      "info stored GET /?q=1 for 60 s (7 bytes)",
    ]);
    expect(own.slice(2)).toEqual([
      "info found GET /?q=1 (60 s left)",
      "info not stored GET /cookie: set-cookie",
      "debug forwarded GET /cookie: uri-miss (set-cookie)",
      "info not stored GET /error: status",
      "debug forwarded GET /error: uri-miss (status)",
      "debug forwarded GET /mine: bypass (authorization)",
    ]);
    expect(log.lines.join("\n")).not.toContain("secret-token");
  });

  it("5.9 connecting and connected are logged by a store that connects", async () => {
    const log = logger();
    await setup.serve(counter().handler, {}, { logger: log });

    const connection = log.lines.filter((line) => line.includes("connect"));
    if (setup.kind.name === "memory") expect(connection).toEqual([]);
    else {
      expect(connection).toHaveLength(2);
      expect(connection[0]).toMatch(/^info connecting to redis at .*\d$/);
      expect(connection[1]).toMatch(/^info connected to redis at .*\d$/);
    }
  });

  it("5.9 nothing is written without a logger", async () => {
    const written: string[] = [];
    const originals = new Map(
      (["debug", "info", "log", "warn", "error"] as const).map((name) => [name, console[name]] as const),
    );
    const outs = [process.stdout, process.stderr].map((stream) => [stream, stream.write.bind(stream)] as const);
    for (const name of originals.keys()) console[name] = (text: unknown) => void written.push(String(text));
    for (const [stream] of outs) stream.write = (text: unknown) => written.push(String(text)) > 0;
    try {
      const { get } = await setup.serve(counter().handler);
      await get("/");
      await get("/");
      await get("/", { "Cache-Control": "no-store" });
    } finally {
      for (const [name, original] of originals) console[name] = original;
      for (const [stream, write] of outs) stream.write = write;
    }
    expect(written).toEqual([]);
  });

  it("5.9 events say the same, with the outcome as a value", async () => {
    const { get, events } = await setup.serve(counter().handler, { expire: 60 });
    await get("/");
    await get("/");

    expect(events.filter((event) => event.type === "stored")).toEqual([
      { type: "stored", subject: "GET /", status: 200, bodyBytes: 9, freshnessLifetimeSeconds: 60 },
    ]);
    expect(events.filter((event) => event.type === "outcome")).toEqual([
      {
        type: "outcome",
        method: "GET",
        url: "/",
        outcome: { hit: false, forwarded: "uri-miss", originStatus: 200, stored: true, collapsed: false },
      },
      {
        type: "outcome",
        method: "GET",
        url: "/",
        outcome: { hit: true, stored: false, collapsed: false, ttlSeconds: 60 },
      },
    ]);
  });

  it("5.9 a callback of the developer that throws is logged, and its request is answered uncached", async () => {
    const log = logger();
    const { get } = await setup.start(
      [
        {
          path: "/",
          ...counter(),
          options: {
            when: () => {
              throw new Error("broken when");
            },
          },
        },
        {
          path: "/tags",
          ...counter(),
          options: {
            tags: () => {
              throw new Error("broken tags");
            },
          },
        },
      ],
      { logger: log },
    );

    for (const path of ["/", "/", "/tags", "/tags"]) expect((await get(path)).status).toBe(200);
    expect(log.lines.filter((line) => line.includes("broken when"))).toHaveLength(2);
    expect(log.lines.find((line) => line.includes("broken tags"))).toBe(
      "warn tags threw for GET /tags, which is not cached: broken tags",
    );
  });

  it("5.9 a logger that throws does not hurt a request", async () => {
    const angry = (): never => {
      throw new Error("no disk");
    };
    const { get } = await setup.serve(counter().handler, {}, { logger: { debug: angry, info: angry, warn: angry } });

    expect((await get("/")).status).toBe(200);
    expect((await get("/")).text).toBe('{"run":1}');
  });
}
