import { primaryKey } from "../rfc9111/cache-key.ts";
import { invalidatedUris } from "../rfc9111/invalidation.ts";
import type { CacheRequest, ResponseHead } from "../types.ts";
import type { Engine } from "./engine.ts";
import type { Fill, HeadAction, OriginRequest } from "./exchange.ts";
import type { RouteRules } from "./route.ts";
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
  readonly #parts: readonly string[] | undefined;

  /** `parts` are those a GET with the same fields would have in its key. */
  constructor(engine: Engine, route: RouteRules, request: CacheRequest, parts: readonly string[] | undefined) {
    this.origin = { path: request.path, without: [], plus: {} };
    this.#engine = engine;
    this.#route = route;
    this.#request = request;
    this.#parts = parts;
  }

  head(head: ResponseHead): HeadAction {
    for (const uri of invalidatedUris(this.#request, head)) {
      const target = `${this.#request.scheme}://${this.#request.authority}`;
      const request: CacheRequest = { ...this.#request, method: "GET", path: uri.slice(target.length) };
      invalidate(this.#engine, primaryKey(this.#route.keyRules, request, this.#parts));
    }
    return UNTOUCHED;
  }

  chunk(): void {}

  end(): void {}

  abort(): void {}

  fail(): boolean {
    return false;
  }
}

/** Takes a resource with all its variants out of the store, and keeps out what was asked for before. */
function invalidate(engine: Engine, primary: string): void {
  engine.moment += 1;
  engine.invalidatedAt.set(primary, engine.moment);
  engine.varySpecs.delete(primary);
  deleteStored(engine, primary);
}
