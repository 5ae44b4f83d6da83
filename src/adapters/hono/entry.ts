import type { Context } from "hono";
import { withAddress } from "../web/client-address.ts";
import { nodeEntry, nodePairOf, sendThrough, type Entry } from "../web/entry.ts";
import { hasTargetOf } from "../web/from-server.ts";

export type { Entry } from "../web/entry.ts";

/** An application, as far as a request goes in there. */
export interface HonoApp {
  fetch(request: Request, env?: unknown, executionCtx?: never): Response | Promise<Response>;
}

/**
 * Where requests come in for a copy of the request of `client`: the app that was given, else the server of `@hono/node-server`. `undefined` where there is none:
 * `server.fetch()` of Bun makes another `Request`, by which no copy can be recognised.
 */
export function entryOf(
  context: Context,
  client: Request,
  app: HonoApp | (() => HonoApp) | undefined,
): Entry | undefined {
  const env: unknown = context.env;
  const pair = nodePairOf(client, env);
  // Code of the application may ask its own app for something else than its client asked for.
  if (pair !== undefined && hasTargetOf(client, pair.request)) return nodeEntry(pair);
  if (app === undefined) return undefined;
  const copysEnv = withAddress(env, client);
  return (request, renewal) => {
    const outermost = typeof app === "function" ? app() : app;
    const executionCtx = executionContext(context) as never;
    return sendThrough(request, renewal, (copy) => outermost.fetch(copy, copysEnv, executionCtx));
  };
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
