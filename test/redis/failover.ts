/** A server is lost under load: how, what each member must go on to do, and what is said about it. */

import { setTimeout as pause } from "node:timers/promises";

import { expect } from "vitest";

import { type Answer, type Load, type Member, missedForMs } from "./fleet.ts";
import type { RedisServer } from "./server.ts";

/**
 * Most wait for the store's deadline of 100 ms at most. A lease whose end was lost with its server is waited for until it
 * expires, 2 s; the rest is for a busy machine.
 */
const ANSWERED_WITHIN_MS = 3500;
/** An item that loads of at least eight items ask for. */
const PURGED_ITEM = 7;

export interface Fault {
  /** How the tests are named. */
  readonly fault: string;
  readonly strike: (server: RedisServer) => Promise<void>;
  readonly mend: (server: RedisServer) => Promise<void>;
}

export const FAULTS: readonly Fault[] = [
  { fault: "killed", strike: (server) => server.kill(), mend: (server) => server.start() },
  { fault: "frozen", strike: async (server) => server.freeze(), mend: async (server) => server.thaw() },
];

export interface LogLoss {
  /** How it is reported. */
  readonly what: string;
  /** The server that has the purge logs of all members. */
  readonly server: RedisServer;
  readonly members: readonly Member[];
  /** On all members, with hits only so far. */
  readonly load: Load;
  readonly foundAgainWithinMs: number;
}

/** The purge log is lost under load: misses only, and a purge made meanwhile is told as failed, and holds afterwards. */
export async function loseWithPurge({ strike, mend }: Fault, loss: LogLoss): Promise<void> {
  const { what, server, members, load, foundAgainWithinMs } = loss;
  const faultAtMs = performance.now();
  await strike(server);
  await pause(200);
  const purges = await Promise.allSettled(
    members.map(({ cache, versions }) => {
      versions.set(PURGED_ITEM, (versions.get(PURGED_ITEM) ?? 0) + 1);
      return cache.purge({ tag: `item:${PURGED_ITEM}` });
    }),
  );
  const purgedAtMs = performance.now();
  await pause(1000);
  await load.untilAllHit(foundAgainWithinMs);
  const answers = await load.stop();
  await mend(server);

  report(what, members, answers, faultAtMs);
  expectNoTrouble(answers);
  for (const purge of purges) {
    expect(purge).toMatchObject({ status: "rejected", reason: { code: "ERR_PURGE_NOT_ACKNOWLEDGED" } });
  }
  expect(outdated(members, answers, purgedAtMs)).toEqual([]);
}

export function expectNoTrouble(answers: readonly Answer[]): void {
  expect(answers.filter(({ failure }) => failure !== undefined)).toEqual([]);
  expect(Math.max(...answers.map(({ tookMs }) => tookMs))).toBeLessThan(ANSWERED_WITHIN_MS);
}

export function report(what: string, members: readonly Member[], answers: readonly Answer[], faultAtMs: number): void {
  const figures = members.map(({ name }) => `${name} ${missedForMs(answers, name, faultAtMs)} ms`);
  const slowestMs = Math.round(Math.max(...answers.map(({ tookMs }) => tookMs)));
  console.info(`${what}: last miss after ${figures.join(", ")}; slowest of ${answers.length} answers ${slowestMs} ms`);
}

/** The answers with a version of the purged item from before its purge. */
function outdated(members: readonly Member[], answers: readonly Answer[], purgedAtMs: number): readonly Answer[] {
  const versions = new Map(members.map(({ name, versions }) => [name, versions.get(PURGED_ITEM) ?? 0]));
  return answers.filter(
    ({ name, item, version, dueAtMs }) => item === PURGED_ITEM && dueAtMs > purgedAtMs && version < versions.get(name)!,
  );
}
