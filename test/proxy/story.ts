/** A proxy of a profile, an upstream that says what it is told to, and a clock in the hands of the test. */

import type { IncomingMessage, ServerResponse } from "node:http";

import { createCache, type Cache } from "../../src/cache.ts";
import type { CacheOptions } from "../../src/options/cache-options.ts";
import type { ProfileName } from "../../src/options/profiles.ts";
import { profileRoute } from "../../src/proxy/profile.ts";
import { memoryStore } from "../../src/stores/memory/index.ts";
import { fakeClock, type FakeClock } from "../../src/testing/fake-clock.ts";
import { send, type Received, type SendOptions } from "../adapters/contract/http-client.ts";
import { proxyFor, upstreamOf } from "./world.ts";

export interface Told {
  readonly status?: number;
  /** Name, value, name, value, … */
  readonly fields?: readonly string[];
  readonly body?: string | Uint8Array;
}

export type Tells = (request: IncomingMessage, count: number) => Told;

export interface Story {
  readonly port: number;
  readonly url: string;
  readonly clock: FakeClock;
  readonly cache: Cache;
  /** Every request the upstream got. */
  readonly requests: readonly IncomingMessage[];
  /** What the upstream says from now on. */
  tells: (told: Told | Tells) => void;
  get: (path?: string, headers?: SendOptions["headers"]) => Promise<Received>;
  send: (method: string, path: string, options?: SendOptions) => Promise<Received>;
}

export const BOTH: readonly ProfileName[] = ["proxy", "rfc9111-shared"];

export async function story(profile: ProfileName, told: Told | Tells, options: CacheOptions = {}): Promise<Story> {
  const clock = fakeClock(Date.now());
  const cache = createCache({ now: clock.now, store: memoryStore({ now: clock.now }), ...options });
  let tells: Tells = typeof told === "function" ? told : () => told;
  let count = 0;
  const upstream = await upstreamOf((request, response) => {
    request.resume();
    request.once("end", () => {
      count += 1;
      tell(response, request, tells(request, count), clock);
    });
  });
  const { port, url } = await proxyFor(upstream.url, { cache, route: profileRoute(profile) });
  return {
    port,
    url,
    clock,
    cache,
    requests: upstream.requests,
    tells: (next) => {
      tells = typeof next === "function" ? next : () => next;
    },
    get: (path = "/", headers = {}) => send(url + path, { headers }),
    send: (method, path, more = {}) => send(url + path, { ...more, method }),
  };
}

function tell(response: ServerResponse, request: IncomingMessage, told: Told, clock: FakeClock): void {
  const { status = 200, fields = [], body = `${request.method} ${request.url}` } = told;
  response.sendDate = false;
  const isDated = fields.some((text, at) => at % 2 === 0 && text.toLowerCase() === "date");
  const dated = isDated ? fields : [...fields, "Date", new Date(clock.now()).toUTCString()];
  response.writeHead(status, dated as string[]);
  response.end(status === 304 || request.method === "HEAD" ? undefined : body);
}

/** `Hit`, `Miss`, or nothing where the cache took no part. */
export function outcome({ headers }: Received): string | undefined {
  return headers["x-reprise-cache"] as string | undefined;
}
