import { createServer, type AddressInfo } from "node:net";

import { describe, expect, it, onTestFinished } from "vitest";

import type { ProfileName } from "../../src/options/profiles.ts";
import { profileRoute } from "../../src/proxy/profile.ts";
import { mustAskAgain } from "./fuzz/oracle.ts";
import { fuzz, fuzzPlan } from "./fuzz/plan.ts";
import { endsConnection, responseBytes, responseCase, type ResponseCase } from "./fuzz/responses.ts";
import { converse, type Answer } from "./fuzz/wire.ts";
import { proxyFor } from "./world.ts";

const BATCH = 500;
const CONNECTIONS = 25;

/** An upstream that answers `/<id>` with the bytes of a case. Every answer has a body of its own. */
async function upstreamOfCases() {
  const cases = new Map<string, ResponseCase>();
  let count = 0;
  const server = createServer({ noDelay: true }, (socket) => {
    let text = "";
    socket.setEncoding("latin1");
    socket.on("error", () => {});
    socket.on("data", (data: string) => {
      text += data;
      for (let end = text.indexOf("\r\n\r\n"); end !== -1; end = text.indexOf("\r\n\r\n")) {
        const [, id = ""] = /^GET \/([^ ]*) HTTP\/1\.1\r\n/.exec(text) ?? [];
        text = text.slice(end + 4);
        const known = cases.get(id);
        if (known === undefined) return void socket.destroy();
        count += 1;
        socket.write(responseBytes(known, bodyOf(id, count)), "latin1");
        if (endsConnection(known)) return void socket.end();
      }
    });
  });
  await new Promise<void>((resolve) => {
    server.listen(0, "127.0.0.1", resolve);
  });
  onTestFinished(() => void server.close());
  return { cases, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` };
}

function bodyOf(id: string, count: number): string {
  return `[${id}:${String(count).padStart(8, "0")}]`;
}

/** Asks for every id; an answer that was cut off is `undefined`, and what was to follow it is asked for again. */
async function askAll(port: number, ids: readonly string[]): Promise<(Answer | undefined)[]> {
  const answers: (Answer | undefined)[] = [];
  while (answers.length < ids.length) {
    const asked = ids.slice(answers.length).map((id) => ({ bytes: `GET /${id} HTTP/1.1\r\nHost: a\r\n\r\n` }));
    const conversation = await converse(port, asked);
    answers.push(...conversation.answers);
    if (conversation.answers.length < asked.length) answers.push(undefined);
  }
  return answers;
}

async function askInParts(port: number, ids: readonly string[]): Promise<(Answer | undefined)[]> {
  const size = Math.ceil(ids.length / CONNECTIONS);
  const parts = Array.from({ length: CONNECTIONS }, (_, at) => ids.slice(at * size, (at + 1) * size));
  return (await Promise.all(parts.map((part) => askAll(port, part)))).flat();
}

describe.each<{ profile: ProfileName; cases: number }>([
  { profile: "proxy", cases: 30_000 },
  { profile: "rfc9111-shared", cases: 20_000 },
])("responses of an upstream gone mad, profile $profile", ({ profile, cases }) => {
  it(
    "are answered within a bound, reach nobody else, and are stored only by the rules",
    { timeout: 600_000 },
    async () => {
      const plan = fuzzPlan(cases);
      const upstream = await upstreamOfCases();
      const { port } = await proxyFor(upstream.url, {
        route: profileRoute(profile),
        headTimeoutMs: 3_000,
        idleTimeoutMs: 3_000,
      });
      const seen = { reused: 0, asked: 0, refused: 0, cut: 0 };
      const done = await fuzz(plan, responseCase, BATCH, async (batch, number) => {
        const ids = batch.map((_, at) => `${number}-${at}`);
        upstream.cases.clear();
        ids.forEach((id, at) => upstream.cases.set(id, batch[at]!));
        const first = await askInParts(port, ids);
        const isRefused = (at: number): boolean =>
          first[at]?.status === 502 && !first[at].body.includes(`[${ids[at]}:`);
        const kept = ids.filter((_, at) => !isRefused(at));
        const again = await askInParts(port, kept);
        const second = new Map(kept.map((id, at) => [id, again[at]]));
        seen.refused += ids.length - kept.length;
        batch.forEach((response, at) => {
          const id = ids[at]!;
          if (!second.has(id)) return;
          const answer = second.get(id);
          const fault = faultOf(id, response, first[at], answer, profile);
          if (fault !== undefined) throw new Error(`${fault}\n${JSON.stringify(response)}\n${JSON.stringify(answer)}`);
          if (answer === undefined) seen.cut += 1;
          else if (answer.body !== "" && answer.body === first[at]?.body) seen.reused += 1;
          else seen.asked += 1;
        });
      });
      console.log(`${done} responses from seed ${plan.seed}, ${profile}:`, seen);
      expect(done).toBeGreaterThanOrEqual(plan.cases);
      // All four happen, or nothing is tried.
      expect(Math.min(...Object.values(seen))).toBeGreaterThan(done / 500);
    },
  );
});

function faultOf(
  id: string,
  response: ResponseCase,
  first: Answer | undefined,
  second: Answer | undefined,
  profile: ProfileName,
): string | undefined {
  for (const answer of [first, second]) {
    for (const [, marked] of answer?.body.matchAll(/\[(\d+-\d+):/g) ?? []) {
      if (marked !== id) return "somebody else's response";
    }
  }
  if (first === undefined || second === undefined || second.body === "" || second.body !== first.body) return undefined;
  if (!/\[\d+-\d+:\d{8}/.test(second.body)) return undefined;
  const bytes = responseBytes(response, bodyOf(id, 0));
  const end = bytes.indexOf("\r\n\r\n");
  const why = mustAskAgain(bytes.slice(0, end), bytes.length - end - 4, profile);
  return why === undefined ? undefined : `reused in spite of ${why}`;
}
