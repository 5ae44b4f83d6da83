import { variantKey } from "../../rfc9111/cache-key.ts";
import { matchesVary, presentedFields } from "../../rfc9111/vary.ts";
import type { CacheRequest, FoundEntry } from "../../http.ts";
import type { Engine } from "../state.ts";
import type { RouteRules } from "../route-rules.ts";
import { guardStore } from "./store-access.ts";
import type { Selected } from "./selected.ts";
import { liveEntry, type LiveEntry, type LiveVarySpec } from "./stored-entry.ts";

/**
 * Looks a request up: at once where the store answers at once.
 *
 * Under the primary key is the response, or the record of what its responses vary by. Where this process remembers that
 * record, record and variant are asked for together, so that a hit costs one round trip; the record still decides, so that
 * taking it away takes all variants away.
 */
export function select(engine: Engine, primary: string, request: CacheRequest): Selected | Promise<Selected> {
  const spec = engine.varySpecs.get(primary);
  const record = read(engine, primary);
  if (spec === undefined) return chain(record, (live) => fromPrimary(engine, primary, request, live));
  const key = keyOfVariant(engine, primary, spec, request);
  const variant = read(engine, key);
  return chain(record, (live) => {
    if (live?.kind === "vary" && live.epoch === spec.epoch)
      return chain(variant, (found) => chosen(engine, key, request, found));
    engine.varySpecs.delete(primary);
    return fromPrimary(engine, primary, request, live);
  });
}

/** Looks a request up, with the stored part of the resource where the route stores parts and the whole is not stored. */
export function selectWithPart(
  engine: Engine,
  route: RouteRules,
  primary: string,
  request: CacheRequest,
): Selected | Promise<Selected> {
  const found = select(engine, primary, request);
  if (route.storing.allowPartial !== true) return found;
  return chain(found, (whole) => withPart(engine, request, whole));
}

/** Adds the stored part of a resource whose whole is not stored (RFC 9111 §3.3). */
function withPart(engine: Engine, request: CacheRequest, selected: Selected): Selected | Promise<Selected> {
  if (selected.live !== undefined || request.fields["range"] === undefined) return selected;
  return chain(read(engine, partKey(selected.key)), (part) =>
    part?.kind === "response" &&
    part.stored.rangeField !== undefined &&
    matchesVary(part.stored.varyFields, request.fields, engine.languages)
      ? { ...selected, part }
      : selected,
  );
}

/** Where the one stored part of a response is kept. */
export function partKey(key: string): string {
  return `${key} \\part`;
}

/** The key of the variant this request selects. */
export function keyOfVariant(engine: Engine, primary: string, spec: LiveVarySpec, request: CacheRequest): string {
  return variantKey(`${primary} ${spec.epoch}`, presentedFields(request.fields, spec.names, engine.languages));
}

function fromPrimary(
  engine: Engine,
  primary: string,
  request: CacheRequest,
  live: LiveEntry | undefined,
): Selected | Promise<Selected> {
  if (live === undefined) return { key: primary, live: undefined, varyMiss: false };
  if (live.kind !== "vary") return chosen(engine, primary, request, live);
  engine.varySpecs.set(primary, { ...live, keptUntilMs: 0, variants: new Map() });
  const key = keyOfVariant(engine, primary, live, request);
  return chain(read(engine, key), (found) => chosen(engine, key, request, found));
}

function chosen(engine: Engine, key: string, request: CacheRequest, live: LiveEntry | undefined): Selected {
  if (live?.kind === "hit-for-miss") return { key, live: undefined, varyMiss: false, isHitForMiss: true };
  if (live?.kind !== "response" || !matchesVary(live.stored.varyFields, request.fields, engine.languages)) {
    return { key, live: undefined, varyMiss: true };
  }
  return { key, live, varyMiss: false };
}

function read(engine: Engine, key: string): LiveEntry | undefined | Promise<LiveEntry | undefined> {
  return chain(
    guardStore(engine, "get", () => engine.store.get(key)),
    (entry: FoundEntry | undefined) => (entry === undefined ? undefined : unlessPlanted(engine, liveEntry(entry))),
  );
}

/** No route has put a cookie there, which would be one for everybody. */
function unlessPlanted(engine: Engine, live: LiveEntry | undefined): LiveEntry | undefined {
  const isPlanted =
    live?.kind === "response" && live.stored.fields["set-cookie"] !== undefined && !engine.takesSetCookie;
  return isPlanted ? undefined : live;
}

/** Goes on at once with a value, later with a promise. */
export function chain<A, B>(value: A | Promise<A>, goOn: (value: A) => B | Promise<B>): B | Promise<B> {
  return value instanceof Promise ? value.then(goOn) : goOn(value);
}
