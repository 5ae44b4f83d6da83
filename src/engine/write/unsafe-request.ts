import { subjectOf } from "../cache-events.ts";
import { asError } from "../../errors.ts";
import { responseDirectives } from "../../rfc9111/directives.ts";
import { fieldValue, hasField } from "../../rfc9111/fields.ts";
import { groupInvalidations } from "../../rfc9111/cache-groups.ts";
import { invalidatedUris } from "../../rfc9111/invalidation.ts";
import type { CacheRequest, PurgeReceipt, PurgeTarget, ResponseHead } from "../../http.ts";
import { Capture } from "../fill/capture.ts";
import type { Engine } from "../state.ts";
import type { Exchange, Fill, HeadAction, OriginRequest, ReportedHead } from "../exchange.ts";
import { ForwardedRequest } from "../fill/forward.ts";
import { sharersOf } from "../request/identity.ts";
import { keyWith } from "../request/key.ts";
import { groupName, namesOf, purgeUris, searchedNames, uriTargets } from "../request/purge-names.ts";
import { purge, type Purging } from "./purge.ts";
import type { RouteRules } from "../route-rules.ts";
import { reportFault } from "../request-context.ts";

const NO_FIELDS: readonly string[] = [];
const UNTOUCHED: HeadAction = { answered: false, fields: NO_FIELDS };

/** What a route that writes purges, besides what its method and its response do. */
export interface WriteRules {
  readonly targets: (native: unknown) => readonly PurgeTarget[];
  /** Keep what is purged as stale. */
  readonly soft: boolean;
  /** A 200 is the new representation of the target: it is stored for GET. */
  readonly through: boolean;
}

/** A request that may change something, on its way to the handler. */
export interface UnsafePlan {
  readonly engine: Engine;
  readonly route: RouteRules;
  readonly request: CacheRequest;
  readonly exchange: Exchange;
  /** The parts a GET with the same fields would have in its key. */
  readonly parts: readonly string[] | undefined;
  readonly writes?: WriteRules | undefined;
}

/**
 * Watches the response to an unsafe request: one that succeeded invalidates what is stored of its target, and of the
 * same-origin URIs in its `Location` and `Content-Location` (RFC 9111 §4.4), its groups, and what the route purges.
 * The client has the end of its response only when that is acknowledged, so that it reads what it wrote.
 */
export class UnsafeRequest implements Fill {
  readonly origin: OriginRequest;
  readonly owner: object;
  readonly within: Fill | undefined;
  readonly #plan: UnsafePlan;
  readonly #requestedAtMs: number;
  readonly #generation: string;
  /** The response as a representation of the target, to be stored once the old ones are purged. */
  #representation: { head: ResponseHead; before: string; purging: Purging; capture: Capture } | undefined;

  constructor(plan: UnsafePlan) {
    const { engine, request } = plan;
    this.origin = { path: request.path, otherPaths: request.otherPaths, without: [], plus: {} };
    this.owner = engine;
    this.within = plan.exchange.within;
    this.#plan = plan;
    this.#requestedAtMs = engine.now();
    this.#generation = engine.fence.take();
  }

  /** Purges whatever the routes behind it do. */
  giveWay(): void {}

  head(head: ReportedHead, body?: Uint8Array): HeadAction {
    if (head.status < 200 || head.status > 399) return UNTOUCHED;
    const { engine, route } = this.#plan;
    const isRepresentation = head.thrown === undefined && this.#isStorable(head) && this.#isClear(head);
    const before = engine.fence.take();
    const purging = this.#purge(head);
    if (isRepresentation) {
      this.#representation = { head, before, purging, capture: new Capture(route.maxBodyBytes) };
      if (body !== undefined) {
        this.chunk(body);
        this.end();
      }
    }
    if (!(purging instanceof Promise)) return UNTOUCHED;
    return { answered: false, fields: NO_FIELDS, until: purging.then(() => undefined) };
  }

  chunk(bytes: Uint8Array): void {
    if (this.#representation?.capture.push(bytes) === false) this.#representation = undefined;
  }

  end(): void {
    if (this.#representation === undefined) return;
    const { engine } = this.#plan;
    const { head, before, purging, capture } = this.#representation;
    const store = (receipt: PurgeReceipt | undefined): void => {
      if (receipt === undefined) return this.#reportNotStored("purge-failed");
      // With a purge in between that was not known, the response may be from before that.
      const position = engine.fence.positionAfter(receipt, before);
      if (position === undefined) return this.#reportNotStored("purged");
      this.#fill(position).head(head, capture.body());
    };
    if (purging instanceof Promise) void purging.then(store);
    else store(purging);
  }

  abort(): void {
    this.#representation = undefined;
  }

  fail(): boolean {
    return false;
  }

  #reportNotStored(because: string): void {
    const { engine, request } = this.#plan;
    engine.report?.({ type: "not-stored", subject: subjectOf(request), because });
  }

  #purge(head: ResponseHead): Purging {
    const { engine, route, request, exchange, writes } = this.#plan;
    const targets: PurgeTarget[] = [];
    for (const uri of invalidatedUris(request, head)) {
      const named = this.#requestOf(uri);
      targets.push(...uriTargets(engine, route, named));
      const mark = route.honoursNoVarySearch ? named.path.indexOf("?") : -1;
      if (mark === -1) continue;
      const names = searchedNames(`${named.scheme}://${named.authority}`, named.path.slice(0, mark));
      targets.push(...names.map((text): PurgeTarget => ({ kind: "name", text })));
    }
    for (const group of groupInvalidations(request, head)) {
      targets.push({ kind: "name", text: groupName(request, group) });
    }
    if (writes === undefined) return purge(engine, targets, false);
    const declared = declaredTargets(engine, request, () => writes.targets(exchange.native));
    if (!writes.soft) return purge(engine, [...targets, ...declared], false);
    const softly = purge(engine, declared, true);
    const hard = purge(engine, targets, false);
    return softly instanceof Promise ? softly.then(() => hard) : hard;
  }

  /** True while no purge since the request began is about its response. */
  #isClear({ fields }: ResponseHead): boolean {
    const { engine, route, request, exchange } = this.#plan;
    const { native } = exchange;
    try {
      const names = namesOf({ route, request, native, patterns: () => exchange.patterns?.() ?? [] }, fields);
      const uri = purgeUris(engine, route, request);
      return engine.fence.isClear("", { names, uri, generation: this.#generation });
    } catch (error) {
      engine.report?.({
        type: "callback-failed",
        callback: "tags",
        subject: subjectOf(request),
        error: asError(error),
      });
      return false;
    }
  }

  #requestOf(uri: string): CacheRequest {
    const { request } = this.#plan;
    const path = uri.slice(`${request.scheme}://${request.authority}`.length);
    if (path === request.path) return { ...request, method: "GET" };
    return { ...request, method: "GET", path, otherPaths: undefined };
  }

  /** RFC 9110 §9.3.3: a response to POST that is a representation of its own URI, and says how long. */
  #isStorable({ status, fields }: ResponseHead): boolean {
    const { route, request, writes } = this.#plan;
    if (status !== 200) return false;
    if (writes?.through === true) return this.#isForAll();
    if (!route.storesPosts || request.method !== "POST") return false;
    const location = fieldValue(fields, "content-location");
    const base = `${request.scheme}://${request.authority}${request.path}`;
    if (location === undefined || !URL.canParse(location, base) || !URL.canParse(base)) return false;
    if (new URL(location, base).href !== new URL(base).href) return false;
    const directives = responseDirectives(fields);
    return (
      directives.maxAgeSeconds !== undefined || directives.sMaxageSeconds !== undefined || hasField(fields, "expires")
    );
  }

  /** The response to a write belongs to its writer, unless the route says who shares it. */
  #isForAll(): boolean {
    const { engine, route, request, exchange } = this.#plan;
    try {
      const sharers = sharersOf(request, engine.identity, route, exchange.native);
      if ("member" in sharers) return true;
      engine.report?.({ type: "not-stored", subject: subjectOf(request), because: sharers.unshared.detail });
    } catch (error) {
      reportFault(engine, request, error);
    }
    return false;
  }

  #fill(generation: string): ForwardedRequest {
    const { engine, route, exchange, parts } = this.#plan;
    const request: CacheRequest = { ...this.#plan.request, method: "GET" };
    const primary = keyWith(engine, route, request, parts);
    return new ForwardedRequest({
      engine,
      route,
      request,
      exchange: undefined,
      native: exchange.native,
      patterns: () => exchange.patterns?.() ?? [],
      primary,
      key: primary,
      because: "method",
      requestedAtMs: this.#requestedAtMs,
      generation,
      lease: undefined,
      leaseKey: primary,
      storable: true,
      stale: undefined,
      mayServeOnError: false,
      mayServeOnFailure: false,
      flight: undefined,
    });
  }
}

function declaredTargets(
  engine: Engine,
  request: CacheRequest,
  targets: () => readonly PurgeTarget[],
): readonly PurgeTarget[] {
  try {
    return targets();
  } catch (error) {
    if (engine.isDevelopment()) {
      const { message } = asError(error);
      engine.warnOnce(`purges ${message}`, `${subjectOf(request)} purged only its own URL: ${message}`);
    }
    engine.report?.({
      type: "callback-failed",
      callback: "purges",
      subject: subjectOf(request),
      error: asError(error),
    });
    return [];
  }
}
