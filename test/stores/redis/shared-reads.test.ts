/** Look-ups of one key in one turn of the event loop share what is sent. */

import { expect, it } from "vitest";

import { LookUps } from "../../../src/stores/redis/shared-reads.ts";

const turn = (): Promise<void> =>
  new Promise((resolve) => {
    setImmediate(resolve);
  });

function counting(): { readonly sent: string[]; readonly ask: (key: string) => Promise<string> } {
  const lookUps = new LookUps<string>();
  const sent: string[] = [];
  const send = (key: string) => async (): Promise<string> => `${key} ${sent.push(key)}`;
  return { sent, ask: (key) => lookUps.join(key, send(key)) };
}

it("sends two for a thousand: the first at once, and one for all others", async () => {
  const { sent, ask } = counting();
  const answers = Array.from({ length: 1000 }, () => ask("a"));
  expect(sent).toEqual(["a"]);
  const [first, ...others] = await Promise.all(answers);
  expect(first).toBe("a 1");
  expect(new Set(others)).toEqual(new Set(["a 2"]));
  expect(sent).toEqual(["a", "a"]);
});

it("gives nobody an answer that was asked for before they came", async () => {
  const { sent, ask } = counting();
  const first = ask("a");
  const second = ask("a");
  await Promise.resolve();
  const third = ask("a");
  expect(sent).toHaveLength(1);
  await turn();
  expect(sent).toHaveLength(2);
  const late = ask("a");
  expect(sent).toHaveLength(3);
  expect(await Promise.all([first, second, third, late])).toEqual(["a 1", "a 2", "a 2", "a 3"]);
});

it("keeps keys apart", async () => {
  const { sent, ask } = counting();
  expect(await Promise.all(["a", "b", "a", "b"].map(ask))).toEqual(["a 1", "b 2", "a 3", "b 4"]);
  expect(sent).toEqual(["a", "b", "a", "b"]);
});

it("tells all who share it of a failure, and the next one asks anew", async () => {
  const lookUps = new LookUps<string>();
  const fail = (): Promise<string> => Promise.reject(new Error("gone"));
  const settled = await Promise.allSettled([1, 2, 3].map(() => lookUps.join("a", fail)));
  expect(settled.map(({ status }) => status)).toEqual(["rejected", "rejected", "rejected"]);
  await turn();
  expect(await lookUps.join("a", async () => "back")).toBe("back");
});
