/** HTTP servers with a cache each, over whatever Redis, and an open load on them while servers are broken. */

import { Agent, createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";

import { nodeCache } from "../../src/adapters/node/index.ts";
import { type Cache, createCache } from "../../src/cache.ts";
import type { CacheStore, StoreEvent } from "../../src/http.ts";
import { send } from "../adapters/contract/http-client.ts";
import { ownPrefix, until } from "./store.ts";

/** One process's worth: a server of `/item/<number>`, each of which is cached under the tag `item:<number>`. */
export interface Member {
  readonly name: string;
  readonly prefix: string;
  readonly url: string;
  readonly cache: Cache;
  readonly store: CacheStore;
  /** Of the store. */
  readonly events: readonly StoreEvent[];
  /** The version of an item that its handler answers with, counted up by tests. Default 0. */
  readonly versions: Map<number, number>;
  close(): Promise<void>;
}

export interface Answer {
  readonly name: string;
  readonly item: number;
  /** Of the item, as in the answer; -1 when there is none. */
  readonly version: number;
  /** When it should have been sent, and then was unless the machine was busy: on the clock of `performance.now()`. */
  readonly dueAtMs: number;
  readonly tookMs: number;
  readonly isHit: boolean;
  /** What was wrong with it: another status, another body, a broken connection. */
  readonly failure: string | undefined;
}

export interface Load {
  readonly answers: readonly Answer[];
  /** Waits until every server has answered each item with a hit in its latest round. */
  untilAllHit(withinMs: number): Promise<void>;
  /** Ends the load and waits for the last answers. */
  stop(): Promise<readonly Answer[]>;
}

export interface MemberOptions {
  readonly name: string;
  readonly store: CacheStore;
  /** Default: one of its own. */
  readonly prefix?: string;
}

/** Serves on a free port of 127.0.0.1. */
export async function startMember({ name, store, prefix = ownPrefix() }: MemberOptions): Promise<Member> {
  const events: StoreEvent[] = [];
  store.open?.((event) => events.push(event));
  const cache = createCache({ store, prefix, authority: "fleet.test" });
  const versions = new Map<number, number>();
  const cached = nodeCache(cache);
  const item = cached({ expire: "10m", tags: (request) => [`item:${itemOf(request.url)}`] }, (request, response) => {
    const number = itemOf(request.url);
    response.end(bodyOf(number, versions.get(number) ?? 0));
  });
  const server = createServer((request, response) => void item(request, response));
  await new Promise<void>((resolve) => {
    server.listen(0, "127.0.0.1", resolve);
  });
  return {
    name,
    prefix,
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    cache,
    store,
    events,
    versions,
    close: async () => {
      await ended(server);
      await cache.close();
      await store.close?.();
    },
  };
}

function itemOf(url = ""): number {
  return Number(url.slice("/item/".length));
}

/** Long enough that a mixed-up or shortened one is seen. */
function bodyOf(item: number, version: number): string {
  return `item ${item} version ${version}. `.repeat(100);
}

async function ended(server: Server): Promise<void> {
  server.closeAllConnections();
  await new Promise((resolve) => {
    server.close(resolve);
  });
}

/** Asks each member for one item after the other, `items` in a round, whether or not the answers come. */
export function startLoad(members: readonly Member[], items: number, everyMs: number): Load {
  const agent = new Agent({ keepAlive: true });
  const answers: Answer[] = [];
  const underWay = new Set<Promise<void>>();
  const startedAtMs = performance.now();
  let sent = 0;
  const sendDue = (): void => {
    while (startedAtMs + sent * everyMs <= performance.now()) {
      for (const member of members) {
        const asked = ask(member, sent % items, startedAtMs + sent * everyMs, agent).then((answer) => {
          answers.push(answer);
          underWay.delete(asked);
        });
        underWay.add(asked);
      }
      sent += 1;
    }
  };
  const timer = setInterval(sendDue, everyMs);
  const stop = async (): Promise<readonly Answer[]> => {
    clearInterval(timer);
    await Promise.all(underWay);
    agent.destroy();
    return answers;
  };
  const isHitThroughout = ({ name }: Member): boolean => {
    const latest = answers.filter((answer) => answer.name === name).slice(-items);
    return latest.length === items && latest.every(({ isHit }) => isHit);
  };
  const untilAllHit = (withinMs: number): Promise<void> => until(() => members.every(isHitThroughout), withinMs);
  return { answers, untilAllHit, stop };
}

async function ask(member: Member, item: number, dueAtMs: number, agent: Agent): Promise<Answer> {
  const answer = { name: member.name, item, dueAtMs };
  try {
    const { status, headers, text } = await send(`${member.url}/item/${item}`, { agent });
    const version = Number(/version (\d+)/.exec(text)?.[1] ?? -1);
    const isWhole = status === 200 && text === bodyOf(item, version);
    return {
      ...answer,
      version,
      tookMs: performance.now() - dueAtMs,
      isHit: headers["x-reprise-cache"] === "Hit",
      failure: isWhole ? undefined : `${status}, ${text.length} characters`,
    };
  } catch (error) {
    return { ...answer, version: -1, tookMs: performance.now() - dueAtMs, isHit: false, failure: String(error) };
  }
}

/** How long after `faultAtMs` the last miss of a member was: from then on everything was a hit again. */
export function missedForMs(answers: readonly Answer[], name: string, faultAtMs: number): number {
  const misses = answers.filter((answer) => answer.name === name && !answer.isHit && answer.dueAtMs >= faultAtMs);
  return Math.max(0, ...misses.map(({ dueAtMs }) => Math.round(dueAtMs - faultAtMs)));
}
