import { responseDirectives } from "../rfc9111/directives.ts";
import { fieldValue, hasField } from "../rfc9111/fields.ts";
import { invalidatedUris } from "../rfc9111/invalidation.ts";
import type { CacheRequest, ResponseHead } from "../types.ts";
import type { Engine } from "./engine.ts";
import type { Fill, HeadAction, OriginRequest } from "./exchange.ts";
import type { RouteRules } from "./route.ts";
import { invalidateGroups } from "./groups.ts";
import { keyWith } from "./key.ts";
import { ForwardedRequest } from "./forward.ts";
import { deleteStored } from "./write.ts";

const UNTOUCHED: HeadAction = { answered: false, fields: [] };

/**
 * Watches the response to an unsafe request: one that succeeded invalidates what is stored of its target, and of the
 * same-origin URIs in its `Location` and `Content-Location` (RFC 9111 §4.4).
 */
export class UnsafeRequest implements Fill {
  readonly origin: OriginRequest;
  readonly #engine: Engine;
  readonly #route: RouteRules;
  readonly #request: CacheRequest;
  readonly #native: unknown;
  readonly #parts: readonly string[] | undefined;
  readonly #requestedAtMs: number;
  #fill: ForwardedRequest | undefined;

  /** `parts` are those a GET with the same fields would have in its key. */
  constructor(
    engine: Engine,
    route: RouteRules,
    request: CacheRequest,
    native: unknown,
    parts: readonly string[] | undefined,
  ) {
    this.origin = { path: request.path, without: [], plus: {} };
    this.#engine = engine;
    this.#route = route;
    this.#request = request;
    this.#native = native;
    this.#parts = parts;
    this.#requestedAtMs = engine.now();
  }

  head(head: ResponseHead, body?: Uint8Array): HeadAction {
    invalidateGroups(this.#engine, this.#request, head);
    const uris = invalidatedUris(this.#request, head);
    for (const uri of uris) invalidate(this.#engine, this.#primaryOf(uri));
    const [target] = uris;
    if (target !== undefined && this.#isStorable(head)) {
      this.#fill = this.#store(this.#primaryOf(target));
      // The client has the response of its own request; only the copy is of interest.
      this.#fill.head(head, body);
    }
    return UNTOUCHED;
  }

  chunk(bytes: Uint8Array): void {
    this.#fill?.chunk(bytes);
  }

  end(): void {
    this.#fill?.end();
  }

  abort(): void {
    this.#fill?.abort();
  }

  fail(): boolean {
    return false;
  }

  #primaryOf(uri: string): string {
    const { scheme, authority } = this.#request;
    const path = uri.slice(`${scheme}://${authority}`.length);
    return keyWith(this.#engine, this.#route, { ...this.#request, method: "GET", path }, this.#parts);
  }

  /** RFC 9110 §9.3.3: a response to POST that is a representation of its own URI, and says how long. */
  #isStorable({ status, fields }: ResponseHead): boolean {
    if (!this.#route.storesPosts || this.#request.method !== "POST" || status !== 200) return false;
    const { scheme, authority, path } = this.#request;
    const location = fieldValue(fields, "content-location");
    const base = `${scheme}://${authority}${path}`;
    if (location === undefined || !URL.canParse(location, base) || !URL.canParse(base)) return false;
    if (new URL(location, base).href !== new URL(base).href) return false;
    const directives = responseDirectives(fields);
    return (
      directives.maxAgeSeconds !== undefined || directives.sMaxageSeconds !== undefined || hasField(fields, "expires")
    );
  }

  #store(primary: string): ForwardedRequest {
    return new ForwardedRequest({
      engine: this.#engine,
      route: this.#route,
      request: { ...this.#request, method: "GET" },
      exchange: undefined,
      native: this.#native,
      primary,
      key: primary,
      because: "method",
      requestedAtMs: this.#requestedAtMs,
      requestedAt: this.#engine.moment,
      storable: true,
      stale: undefined,
      mayServeOnError: false,
      mayServeOnFailure: false,
      flight: undefined,
    });
  }
}

/** Takes a resource with all its variants out of the store, and keeps out what was asked for before. */
function invalidate(engine: Engine, primary: string): void {
  engine.moment += 1;
  engine.invalidatedAt.set(primary, engine.moment);
  engine.varySpecs.delete(primary);
  deleteStored(engine, primary);
}
