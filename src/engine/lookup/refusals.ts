/** Responses that turn a user away say nothing about the next one (RFC 9110 §15.5.2, §15.5.4). */

import type { CacheRequest } from "../../http.ts";
import type { Engine } from "../state.ts";
import { identityOf } from "../request/identity.ts";
import type { Selected } from "./selected.ts";
import type { LiveResponse } from "./stored-entry.ts";

/** Statuses by which an origin answers that it does not know a user, or does not let that one in. */
const REFUSALS: ReadonlySet<number> = new Set([401, 403, 407]);

/** True for a stored 401, 403 or 407 and a request that shows an identity, which its origin may let in. */
export function isRefusalFor(engine: Engine, request: CacheRequest, { stored }: LiveResponse): boolean {
  return REFUSALS.has(stored.status) && identityOf(request, engine.identity) !== undefined;
}

/** What was selected, without a stored response that must not answer this request. */
export function withoutRefusal(engine: Engine, request: CacheRequest, selected: Selected): Selected {
  const { live } = selected;
  return live === undefined || !isRefusalFor(engine, request, live) ? selected : { ...selected, live: undefined };
}
