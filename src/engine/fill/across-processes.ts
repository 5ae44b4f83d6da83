import { performance, setTimeout } from "../../real-time.ts";
import type { CacheRequest, Lease, Leases } from "../../http.ts";
import type { Engine } from "../state.ts";
import { select } from "../lookup/select.ts";
import type { Selected } from "../lookup/selected.ts";
import { guardStore, releaseLease } from "../lookup/store-access.ts";

/** How a request that wants to fill a key in a shared store comes out. */
export type FillRight =
  /** It asks the origin and may store; without a lease where the store cannot say who fills. */
  | { readonly type: "fill"; readonly lease: Lease | undefined }
  /** Another process has changed what is stored: there is something to look at. `generation`: before it was looked up. */
  | { readonly type: "found"; readonly selected: Selected; readonly generation: string }
  /** The other process takes too long. */
  | { readonly type: "overdue" };

/** The key to be filled, and why. */
export interface FillClaim {
  readonly primary: string;
  readonly key: string;
  readonly request: CacheRequest;
  /** True for what was not there yet, or was another, when this request was decided. */
  readonly isNews: (selected: Selected) => boolean;
}

const FIRST_PAUSE_MS = 10;
const LAST_PAUSE_MS = 100;

/**
 * Waits until this process may fill the key, or another one has put something there.
 *
 * Polls, because a message that is lost would leave requests waiting; pauses grow from 10 to 100 ms and differ between
 * processes. Where the store gives no answer no request waits.
 */
export async function leadOrFollow(engine: Engine, leases: Leases, claim: FillClaim): Promise<FillRight> {
  // Not the engine's clock: a store that answers slowly counts as well, and the wall clock may jump.
  const endAtMs = performance.now() + engine.collapseDeadlineMs;
  for (let pauseMs = FIRST_PAUSE_MS; ; pauseMs = Math.min(LAST_PAUSE_MS, pauseMs * 2)) {
    const right = await leadNow(engine, leases, claim);
    if (right !== "taken") return right;
    const leftMs = endAtMs - performance.now();
    if (leftMs <= 0) return { type: "overdue" };
    await sleep(Math.min(leftMs, pauseMs * (0.5 + engine.random())));
  }
}

/** As `leadOrFollow`, but where another process fills the key it says so. */
export async function leadNow(
  engine: Engine,
  leases: Leases,
  { primary, key, request, isNews }: FillClaim,
): Promise<FillRight | "taken"> {
  // Another process may have filled the key between the look-up that led here and this lease, so the look comes second.
  // Both are sent at once: a store that keeps their order needs no second round trip.
  const generation = engine.fence.take();
  const acquiring = guardStore(engine, "acquire-lease", () => leases.acquire(key));
  const selecting = select(engine, primary, request);
  if (selecting instanceof Promise) selecting.catch(() => {});
  const lease = await acquiring;
  // A store that cannot say who fills is not waited for a second time.
  if (lease === undefined) return { type: "fill", lease };
  let selected: Selected;
  try {
    selected = await selecting;
  } catch (error) {
    if (lease !== "taken") releaseLease(engine, lease);
    throw error;
  }
  if (selected.key !== key || selected.isHitForMiss === true || isNews(selected)) {
    if (lease !== "taken") releaseLease(engine, lease);
    return { type: "found", selected, generation };
  }
  return lease === "taken" ? lease : { type: "fill", lease };
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, ms);
  });
}
