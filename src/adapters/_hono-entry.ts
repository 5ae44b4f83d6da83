import type { IncomingMessage, ServerResponse } from "node:http";
import type { Context } from "hono";
import { markRenewal, renewalNotReached, type Renewal } from "../engine/renewals.ts";
import { asError } from "../errors.ts";
import { connectionFacts, type ConnectionFacts } from "./_connection-facts.ts";
import { drain } from "./_web-body.ts";
import { againRequest } from "./_web-request.ts";
import { property } from "./_web-server.ts";

/** An application, as far as a request goes in there. */
export interface HonoApp {
  fetch(request: Request, env?: unknown, executionCtx?: never): Response | Promise<Response>;
}

/** Sends a copy of a request through the whole application. The promise never rejects, and settles when it is through. */
export type Entry = (request: Request, renewal: Renewal) => Promise<void>;

/**
 * Where requests come in: the app that was given, else the server of `@hono/node-server`. `undefined` where there is none:
 * `server.fetch()` of Bun makes another `Request`, by which no copy can be recognised.
 */
export function entryOf(context: Context, app: HonoApp | (() => HonoApp) | undefined): Entry | undefined {
  const env: unknown = context.env;
  const request = property(env, "incoming") as IncomingMessage | undefined;
  const response = property(env, "outgoing") as ServerResponse | undefined;
  const server = property(property(request, "socket"), "server");
  if (request !== undefined && response !== undefined && typeof property(server, "emit") === "function") {
    // The client may have left when the renewal begins, and a closed connection has forgotten its addresses.
    const connection = connectionFacts(request.socket);
    return (_, renewal) => sendThroughNode({ request, response }, connection, renewal);
  }
  if (app === undefined) return undefined;
  return (request, renewal) => {
    const outermost = typeof app === "function" ? app() : app;
    const executionCtx = executionContext(context) as never;
    return sendThrough(request, renewal, (copy) => outermost.fetch(copy, env, executionCtx));
  };
}

async function sendThrough(
  request: Request,
  renewal: Renewal,
  enter: (copy: Request) => Response | Promise<Response>,
): Promise<void> {
  const { fill } = renewal;
  try {
    const copy = againRequest(request);
    markRenewal(copy, renewal);
    const response = await enter(copy);
    if (!renewal.isClaimed) fill.fail(renewalNotReached(response.status));
    await drain(response.body);
  } catch (error) {
    fill.fail(asError(error));
  }
}

/**
 * Loaded on Node alone: other runtimes have no use for `node:http`. Loaded at once: the module remembers the async context
 * in which that happens as the one of no request.
 */
const nodeCopy = isNode() ? import("./_node-copy.ts") : undefined;
nodeCopy?.catch(() => {
  // It is reported where it is needed.
});

function isNode(): boolean {
  const { navigator, process, Bun, Deno } = globalThis as Readonly<Record<string, unknown>>;
  if (Bun !== undefined || Deno !== undefined || property(navigator, "userAgent") === "Cloudflare-Workers")
    return false;
  return property(property(process, "versions"), "node") !== undefined;
}

interface NodePair {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
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

/** The `ExecutionContext` of Workers; `undefined` on servers. */
export function executionContext(context: Context): unknown {
  try {
    return context.executionCtx;
  } catch {
    // Hono throws where there is none.
    return undefined;
  }
}
