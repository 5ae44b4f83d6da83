import type { CacheRequest, StoreEntry } from "../../http.ts";
import { matchesVary } from "../../rfc9111/vary.ts";
import type { PurgeFence } from "../purge-fence.ts";
import type { Selected } from "./selected.ts";

/** Look-ups of one resource that are under way, and the response that was stored meanwhile. */
export interface LookUps {
  waiting: number;
  /** How many have begun. */
  begun: number;
  /** `begun`: number of look-ups at the moment it was stored. A later look-up finds it in the store. */
  meanwhile: { readonly selected: Selected; readonly entry: StoreEntry; readonly begun: number } | undefined;
}

/** One look-up. */
export interface LookUp {
  readonly lookUps: LookUps;
  /** Sequence number of this look-up. */
  readonly number: number;
}

/** What of a cache these functions use. */
interface LookUpState {
  readonly lookUps: Map<string, LookUps>;
  readonly fence: PurgeFence;
  readonly languages: readonly string[] | undefined;
}

/** Notes that a look-up is under way. */
export function beginLookUp(state: LookUpState, primary: string): LookUp {
  const lookUps = state.lookUps.get(primary) ?? { waiting: 0, begun: 0, meanwhile: undefined };
  state.lookUps.set(primary, lookUps);
  lookUps.waiting += 1;
  lookUps.begun += 1;
  return { lookUps, number: lookUps.begun };
}

/**
 * The answer of a look-up that took its time, for a request that came at `arrivalMs`. What was stored while it was under way
 * counts: else all who looked before the first response was there would ask the origin, one after the other. But only if no
 * purge from before the request can have been meant for it.
 */
export function endLookUp(
  state: LookUpState,
  primary: string,
  request: CacheRequest,
  { lookUps, number }: LookUp,
  selected: Selected,
  arrivalMs: number,
): Selected {
  lookUps.waiting -= 1;
  if (lookUps.waiting === 0) state.lookUps.delete(primary);
  const { meanwhile } = lookUps;
  const stored = meanwhile?.selected.live?.stored;
  if (meanwhile === undefined || stored === undefined || number > meanwhile.begun) return selected;
  if (!matchesVary(stored.varyFields, request.fields, state.languages)) return selected;
  const found = selected.live?.stored;
  if (found !== undefined && found.receivedAtMs >= stored.receivedAtMs) return selected;
  const { fence } = state;
  return fence.maySharePast(arrivalMs) && fence.isClear(primary, meanwhile.entry) ? meanwhile.selected : selected;
}
