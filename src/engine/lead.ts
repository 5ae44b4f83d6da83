import type { CacheRequest, Lease, Leases } from "../types.ts";
import type { Engine } from "./engine.ts";
import { select, type Selected } from "./select.ts";

/** How a request that wants to fill a key in a shared store comes out. */
export type Led =
  /** It asks the origin and may store; without a lease where the store cannot say who fills. */
  | { readonly type: "fill"; readonly lease: Lease | undefined }
  /** Another process has changed what is stored: there is something to look at. */
  | { readonly type: "found"; readonly selected: Selected }
  /** The other process takes too long. */
  | { readonly type: "overdue" };

const FIRST_PAUSE_MS = 10;
const LAST_PAUSE_MS = 100;

/**
 * Waits until this process may fill `key`, or another one has put something there.
 *
 * Polls, because a message that is lost would leave requests waiting; pauses grow from 10 to 100 ms and differ between
 * processes. Where the store gives no answer nobody waits.
 */
export async function leadOrFollow(
  engine: Engine,
  leases: Leases,
  primary: string,
  key: string,
  request: CacheRequest,
  isNews: (selected: Selected) => boolean,
): Promise<Led> {
  let pauseMs = FIRST_PAUSE_MS;
  for (let waitedMs = 0; ;) {
    const lease = await leases.acquire(key);
    if (lease !== "taken") return { type: "fill", lease };
    if (waitedMs >= engine.collapseDeadlineMs) return { type: "overdue" };
    const thisPauseMs = pauseMs * (0.5 + engine.random());
    await sleep(thisPauseMs);
    waitedMs += thisPauseMs;
    pauseMs = Math.min(LAST_PAUSE_MS, pauseMs * 2);
    const selected = await select(engine, primary, request);
    if (selected.key !== key || selected.isApart === true || isNews(selected)) return { type: "found", selected };
  }
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, ms);
  });
}
