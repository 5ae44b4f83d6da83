/** Where a request of the web family goes in once more, so that all layers around its route do their part. */

import type { IncomingMessage, ServerResponse } from "node:http";
import { markRenewal, renewalNotReached, renewalOf, type Renewal } from "../../engine/fill/renewals.ts";
import { asError } from "../../errors.ts";
import { connectionFacts, type ConnectionFacts } from "../node/connection-facts.ts";
import { drain } from "./body.ts";
import { headOfResponse, UNSENT_LIMIT_MS, type Exit, type LeavingHead } from "./departure.ts";
import { expectCopy } from "./from-server.ts";
import { property } from "./property.ts";
import { againRequest } from "./request.ts";

/** Sends a copy of a request through the whole application. The promise never rejects, and settles when it is through. */
export type Entry = (request: Request, renewal: Renewal) => Promise<void>;

/** Node's own request and response. */
export interface NodePair {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
}

/** Node's pair behind a request: beside it (`@hono/node-server`), or on it (srvx). `undefined` without a server. */
export function nodePairOf(request: Request, ...beside: readonly unknown[]): NodePair | undefined {
  for (const value of beside) {
    const pair = pairOf(property(value, "incoming"), property(value, "outgoing"));
    if (pair !== undefined) return pair;
  }
  const node = property(property(request, "runtime"), "node");
  return pairOf(property(node, "req"), property(node, "res"));
}

function pairOf(incoming: unknown, outgoing: unknown): NodePair | undefined {
  if (typeof incoming !== "object" || incoming === null || typeof outgoing !== "object" || outgoing === null)
    return undefined;
  const server = property(property(incoming, "socket"), "server");
  if (typeof property(server, "emit") !== "function") return undefined;
  return { request: incoming as IncomingMessage, response: outgoing as ServerResponse };
}

/** The server of `node:http` as where requests come in. */
export function nodeEntry(pair: NodePair): Entry {
  // The client may have left when the renewal begins, and a closed connection has forgotten its addresses.
  const connection = connectionFacts(pair.request.socket);
  return (request, renewal) => {
    expectCopy(renewal, request, pair.request);
    return sendThroughNode(pair, connection, renewal);
  };
}

/**
 * Loaded on Node alone: other runtimes have no use for `node:http`. Loaded at once: the module remembers the async context
 * in which that happens as the one of no request.
 */
const nodeCopy = isNode() ? import("../node/copy.ts") : undefined;
nodeCopy?.catch(() => {
  // It is reported where it is needed.
});

function isNode(): boolean {
  const { navigator, process, Bun, Deno } = globalThis as Readonly<Record<string, unknown>>;
  if (Bun !== undefined || Deno !== undefined || property(navigator, "userAgent") === "Cloudflare-Workers")
    return false;
  return property(property(process, "versions"), "node") !== undefined;
}

async function sendThroughNode(pair: NodePair, connection: ConnectionFacts, renewal: Renewal): Promise<void> {
  try {
    const node = await nodeCopy;
    if (node === undefined) throw new Error("node:http is not there");
    node.sendAgain(pair, pair.request.url ?? "/", renewal, { connection });
  } catch (error) {
    renewal.fill.fail(asError(error));
  }
}

/** What waits for the responses of copies that went through `sendThrough`; empty until a route watches. */
const watches = new WeakMap<Renewal, ((head: LeavingHead) => void)[]>();

/** Sends a copy in through a function, marked, and drops the response: the route that it is for tells the fill. */
export async function sendThrough(
  request: Request,
  renewal: Renewal,
  enter: (copy: Request) => Response | Promise<Response>,
): Promise<void> {
  const { fill } = renewal;
  try {
    const copy = againRequest(request);
    markRenewal(copy, renewal);
    const watching: ((head: LeavingHead) => void)[] = [];
    watches.set(renewal, watching);
    const response = await enter(copy);
    if (!renewal.isClaimed) fill.fail(renewalNotReached(response.status));
    for (const leaves of watching) leaves(headOfResponse(response));
    await drain(response.body);
  } catch (error) {
    fill.fail(asError(error));
  }
}

/** The exit of a copy that goes through `sendThrough`: its response leaves as it comes back. */
export function exitOfCopy(marked: object): Exit | undefined {
  const renewal = renewalOf(marked);
  const watching = renewal === undefined ? undefined : watches.get(renewal);
  return watching === undefined
    ? undefined
    : { limitMs: UNSENT_LIMIT_MS, watch: (leaves) => void watching.push(leaves) };
}
