import { gzipSync } from "node:zlib";
import { setTimeout as pause } from "node:timers/promises";

import { expect, it, vi } from "vitest";

import type { Given } from "./driver.ts";
import { firstPiece, open, send } from "./http-client.ts";
import { gate, hitOrMiss, type Setup, until } from "./world.ts";

const HALVES = ["first half, ", "second half"] as const;
const WHOLE = HALVES.join("");
const GZIPPED = gzipSync(WHOLE);

const FORMS: readonly { form: string; headers: Record<string, string>; pieces: readonly Uint8Array[] }[] = [
  { form: "without Content-Length", headers: {}, pieces: HALVES.map((half) => Buffer.from(half)) },
  {
    form: "with Content-Length",
    headers: { "Content-Length": String(WHOLE.length) },
    pieces: HALVES.map((half) => Buffer.from(half)),
  },
  {
    form: "compressed",
    headers: { "Content-Encoding": "gzip" },
    pieces: [GZIPPED.subarray(0, 12), GZIPPED.subarray(12)],
  },
];

/** Bodies that do not come to their end. */
export function brokenOff(setup: Setup): void {
  it.each(FORMS)("a source that fails in the middle, $form: not stored", async ({ headers, pieces }) => {
    let isBroken = true;
    async function* source(): AsyncGenerator<Uint8Array> {
      for (const piece of pieces) {
        yield piece;
        await pause(5);
        if (isBroken) throw new Error("the disk is gone");
      }
    }
    const { url, get } = await setup.serve(() => ({ stream: source, headers }));

    // Servers of web handlers write such an error to the console.
    vi.spyOn(console, "error").mockImplementation(() => {});
    const broken = await send(`${url}/`).catch(() => undefined);
    vi.restoreAllMocks();
    // Cut off, or an error where nothing had been sent yet.
    expect(broken?.status ?? 500).toBe(500);
    isBroken = false;
    const next = await get("/");

    expect(hitOrMiss(next)).toBe("Miss");
    expect(next.body.equals(Buffer.concat(pieces))).toBe(true);
  });

  it.each(FORMS)(
    "a client that leaves in the middle, $form: nothing incomplete is stored",
    async ({ headers, pieces }) => {
      const second = gate();
      async function* source(): AsyncGenerator<Uint8Array> {
        yield pieces[0] ?? Buffer.alloc(0);
        await second.opened;
        yield pieces[1] ?? Buffer.alloc(0);
      }
      const { url, get, events } = await setup.serve(() => ({ stream: source, headers }));

      const leaving = await open(`${url}/`);
      await firstPiece(leaving);
      leaving.on("error", () => {});
      leaving.destroy();
      await until(() => events.some((event) => event.type === "not-stored" && event.because === "incomplete"));
      second.open();
      const next = await get("/");

      expect(hitOrMiss(next)).toBe("Miss");
      expect(next.body.equals(Buffer.concat(pieces))).toBe(true);
      const hit = await get("/");
      expect([hitOrMiss(hit), hit.body.equals(next.body)]).toEqual(["Hit", true]);
    },
  );

  it.each([
    { form: "more than it has", declared: WHOLE.length + 5 },
    { form: "less than it has", declared: WHOLE.length - 5 },
  ])("a Content-Length that says $form: not stored", async ({ declared }) => {
    let given: Given = { stream: whole, headers: { "Content-Length": String(declared) } };
    const { url, get, events } = await setup.serve(() => given);

    await send(`${url}/`).catch(() => undefined);
    await until(() => events.some(({ type }) => type === "not-stored"));
    given = { stream: whole };
    const next = await get("/");

    expect([next.text, hitOrMiss(next)]).toEqual([WHOLE, "Miss"]);
  });

  it("a client that leaves before the handler has answered: the response is not lost for others", async () => {
    const answer = gate();
    let runs = 0;
    const { url, get } = await setup.serve(async () => {
      runs++;
      await answer.opened;
      return { text: WHOLE };
    });

    const leaving = open(`${url}/`);
    leaving.catch(() => {});
    await until(() => runs === 1);
    const waiting = get("/");
    answer.open();

    expect((await waiting).text).toBe(WHOLE);
    (await leaving).destroy();
    expect((await get("/")).text).toBe(WHOLE);
  });
}

async function* whole(): AsyncGenerator<Uint8Array> {
  for (const half of HALVES) {
    await pause(5);
    yield Buffer.from(half);
  }
}
