import type { Route } from "../../cache.ts";
import type { Exchange, Fill, HeadAction, LastLook, Reply, ReportedHead } from "../../engine/exchange.ts";
import { reachRoute, renewalOf, renewalReplaced, type Reached, type Renewal } from "../../engine/fill/renewals.ts";
import { asError } from "../../errors.ts";
import { mergedVary } from "../shared/merged-vary.ts";
import { setTimeout } from "../../real-time.ts";
import type { CacheRequest } from "../../http.ts";
import { BodyReader, streamOf, type BodyContent } from "./body.ts";
import {
  Departure,
  Given,
  headOfResponse,
  UNSENT_LIMIT_MS,
  watchHeaders,
  type Exit,
  type LeavingHead,
  type WithheldVary,
} from "./departure.ts";
import { asksForAnotherProtocol, cacheRequest, handlersRequest, hasConditions } from "./request.ts";
import {
  contentOf,
  fieldsOf,
  headersOf,
  headOf,
  lacksType,
  learnType,
  openResponse,
  responseOf,
  addAbsent,
  setFields,
  setFieldsOn,
  type Opened,
  type OwnFields,
} from "./response.ts";
import { property } from "./property.ts";
import type { WaitUntil } from "./server.ts";

/** What a framework on `Request` and `Response` has to tell about one request. */
export interface WebCall {
  /** The request as the client sent it. */
  readonly request: Request;
  /** The framework's own request or context, for the developer's callbacks. */
  readonly native: unknown;
  /** Paths, with their query, that the request goes by besides its URL; see {@link CacheRequest}. */
  readonly otherPaths?: readonly string[] | undefined;
  /** The patterns of the routes that answer, where the framework has them; asked once the response is there. */
  patterns?(): readonly string[];
  /** What the server gives beside the request. */
  readonly env?: unknown;
  /** The fill inside which this request came here. */
  readonly within?: Fill | undefined;
  /** A route of another cache further out reads what leaves this one; one of the same cache leaves all to this one. */
  readonly isRead?: boolean | undefined;
  /** The object by which a copy of a request is recognised: what was marked before it was sent again. */
  readonly marked: object;
  /** Lets the handler answer this request; `fill` is told of the response. */
  run(request: Request, fill: Fill | undefined): Response | Promise<Response>;
  /** What layers in front of the handler had set before it ran, where the framework has such layers. */
  readonly outer?: OuterLayers | undefined;
  /** True where the framework takes the body of an answer to HEAD away itself, once its layers have seen it. */
  readonly dropsHeadBody?: boolean | undefined;
  /** True where no layer stands in front of the route, so that a response leaves as it is given. */
  readonly isOutermost?: boolean | undefined;
  /** What the handler has thrown, where the framework made its response of that. */
  readonly thrown?: Error | undefined;
  /** How a response leaves, where that is known better than by the first read of its body. */
  readonly exit?: Exit | undefined;
  /** Runs the handler once more for `fill`: for this client, or with none listening. */
  readonly runAgain?: ((fill: Fill, client: Client | undefined) => void) | undefined;
  /** Keeps background work alive after the response. */
  readonly waitUntil?: WaitUntil | undefined;
  /** What to do so that `runAgain` is there. */
  readonly missingEntry?: string | undefined;
}

/** Who gets the response of a run of the handler. */
export interface Client {
  readonly call: WebCall;
  readonly deliver: (response: Response | Promise<Response>) => void;
  /** A promise while its response has not left. */
  readonly pending: () => Promise<void> | undefined;
}

/** Clients for which the whole request was sent in again. */
const waiting = new WeakMap<Renewal, Client>();

/** Marks a renewal as one for a client that waits. */
export function awaitRenewal(renewal: Renewal, client: Client | undefined): void {
  if (client !== undefined) waiting.set(renewal, client);
}

/** What layers in front of a handler set on its response before it ran. */
export interface OuterLayers {
  /** The fields of a handler's response that are its own, and the names of those it took away. */
  own(headers: Headers): OwnFields;
  /** Adds the fields of this request's layers to a response that the handler did not make. */
  addTo(headers: Headers, removed: readonly string[]): void;
  /** True when a response with these headers carries a cookie or a `Cache-Control` of a layer. */
  forbidsFreshness(headers: Headers): boolean;
}

const NO_NAMES: readonly string[] = [];
/** On each response that this cache gives. */
const MARKS: readonly string[] = ["cache-status"];
const NOTHING = new Uint8Array(0);

/** Answers one `Request` through a route of the cache; at once where the store and the handler do. */
export function respondOnWeb(route: Route, call: WebCall): Response | Promise<Response> {
  if (asksForAnotherProtocol(call.request)) return call.run(call.request, undefined);
  const reached: Reached = call.within === undefined ? reachRoute(route, call.marked) : undefined;
  if (reached === "passes") return call.run(call.request, undefined);
  if (reached !== undefined) return runForCopy(route, call, reached.fill);
  const exchange = new WebExchange(call, route.authority);
  const request = cacheRequest(call.request, call.otherPaths, route.authority, call.env);
  if (request === undefined || request === "host") {
    const { method, url } = call.request;
    route.respondWithoutKey({ method, path: url }, exchange, request ?? "target");
    return exchange.answer();
  }
  if (request.method !== "QUERY" || route.queryContentBytes === 0) route.respond(request, exchange);
  else void respondToQuery(route, request, call.request, exchange);
  return exchange.answer();
}

async function respondToQuery(route: Route, request: CacheRequest, sent: Request, exchange: Exchange): Promise<void> {
  const declared = sent.headers.get("content-length") ?? (sent.body === null ? "0" : "");
  const isKnown = /^\d+$/.test(declared) && Number(declared) <= route.queryContentBytes && !sent.bodyUsed;
  const content = isKnown ? new Uint8Array(await sent.clone().arrayBuffer()) : undefined;
  route.respond(content === undefined ? request : { ...request, content }, exchange);
}

/** One run of the handler as it is reported to a fill, whose response is given to `deliver`. */
class WebRun {
  readonly #call: WebCall;
  readonly #fill: Fill;
  readonly #client: Client;

  constructor(call: WebCall, fill: Fill, client: Client) {
    this.#call = call;
    this.#fill = fill;
    this.#client = client;
  }

  /**
   * Gives a promise, which never rejects, where the handler does not answer at once.
   *
   * @throws what the handler throws at once, unless the client got a stored response instead
   */
  start(request: Request): Promise<void> | undefined {
    let returned: Response | Promise<Response>;
    try {
      returned = this.#call.run(request, this.#fill);
    } catch (error) {
      if (this.#fill.fail(asError(error))) return undefined;
      throw error;
    }
    if (isPromise(returned)) {
      return returned.then(
        (response) => this.#answerLater(response),
        (error: unknown) => {
          if (!this.#fill.fail(asError(error))) this.#client.deliver(rejected(error));
        },
      );
    }
    if (hasConditions(this.#call.request) || isUntyped(returned)) return this.#answerLater(returned);
    this.#answerNow(returned);
    return undefined;
  }

  /** Never rejects. */
  async #answerLater(response: Response): Promise<void> {
    try {
      const opened = openResponse(response);
      if (opened === undefined) return this.#handThrough(response);
      const reader = opened.body === null ? undefined : new BodyReader(opened.body);
      await this.#act(opened, reader === undefined ? NOTHING : await reader.wholeIfAtHand(), reader);
    } catch (error) {
      this.#fill.abort();
      this.#client.deliver(rejected(error));
    }
  }

  /** Answers in the same tick: the body is streamed, since only reading it tells what it is. */
  #answerNow(response: Response): void {
    const opened = openResponse(response);
    if (opened === undefined) return this.#handThrough(response);
    if (opened.body === null) void this.#act(opened, NOTHING, undefined);
    else void this.#act(opened, undefined, new BodyReader(opened.body));
  }

  #handThrough(response: Response): void {
    this.#fill.abort();
    this.#client.deliver(response);
  }

  /** In the same tick unless the engine asks to wait. */
  #act(opened: Opened, whole: Uint8Array | undefined, reader: BodyReader | undefined): void | Promise<void> {
    learnType(opened.headers, whole);
    const own = ownFields(this.#call, opened.headers);
    const action = this.#fill.head(reportedHead(this.#call, opened, own), whole);
    if (action.answered) return whole === undefined ? reader?.drainInto(this.#fill, this.#client.pending) : undefined;
    const shown = this.#client.call === this.#call ? opened : { ...opened, headers: shownTo(this.#client.call, own) };
    if (action.until === undefined) return this.#pass(shown, action, whole, reader);
    return action.until.then(() => this.#pass(shown, action, whole, reader));
  }

  #pass(
    { status, reason, headers }: Opened,
    { fields, freshness = NO_NAMES, lastLook }: HeadAction & { readonly answered: false },
    whole: Uint8Array | undefined,
    reader: BodyReader | undefined,
  ): void {
    setFields(headers, fields);
    const leaving = new Leaving(this.#client.call, { status, headers, freshness, marks: namesOf(fields) }, lastLook);
    const body: BodyContent =
      whole === undefined && reader !== undefined
        ? reader.streamThrough(this.#fill, leaving.begun, () => leaving.departure?.pending)
        : bodyOf(whole, headers);
    if (whole === undefined && reader !== undefined) leaving.unread = () => void reader.reportUnread(this.#fill);
    this.#client.deliver(leaving.send(responseOf(status, reason, headers, body)));
  }
}

function reportedHead({ thrown }: WebCall, opened: Opened, own: OwnFields): ReportedHead {
  const head = headOf(opened, own);
  return thrown === undefined ? head : { ...head, thrown };
}

function ownFields({ outer }: WebCall, headers: Headers): OwnFields {
  return outer?.own(headers) ?? { fields: fieldsOf(headers), removed: NO_NAMES };
}

/** The fields of a handler's response with those of the layers around another request. */
function shownTo(client: WebCall, { fields, removed }: OwnFields): Headers {
  const headers = new Headers();
  for (const [name, value] of Object.entries(fields)) {
    for (const line of typeof value === "string" ? [value] : (value ?? [])) headers.append(name, line);
  }
  client.outer?.addTo(headers, removed);
  return headers;
}

function bodyOf(whole: Uint8Array | undefined, headers: Headers): BodyContent {
  if (whole === undefined || whole.byteLength === 0) return null;
  // Servers say the length of bytes, which must not stand beside the handler's `Transfer-Encoding`.
  return headers.has("transfer-encoding") ? streamOf(whole, () => {}) : whole;
}

/** Names of these fields but `Vary`, which is not the cache's alone. */
function namesOf(fields: readonly string[]): readonly string[] {
  return fields.filter((_, at) => at % 2 === 0).filter((name) => name !== "vary");
}

/** A head that this cache is about to give to outer layers. */
interface Plain {
  readonly status: number;
  /** Without freshness; it is set on these where it is promised at once. */
  readonly headers: Headers;
  readonly freshness: readonly string[];
  /** Names of the fields by which the response is known as this cache's. */
  readonly marks: readonly string[];
  /** Made up by this cache: added where no layer has set one of the name. */
  readonly generated?: readonly string[];
}

/** Names that tell browsers of identities: the cache adds them, and frameworks would lay them over a layer's own `Vary`. */
const IDENTITY_VARY = /^(?:cookie|authorization)$/i;

/** Takes these names out of `Vary`, and gives them. */
function withholdVary(headers: Headers): WithheldVary | undefined {
  const whole = headers.get("vary") ?? "";
  const names = whole.split(",").map((name) => name.trim());
  const withheld = names.filter((name) => IDENTITY_VARY.test(name));
  if (withheld.length === 0) return undefined;
  const others = names.filter((name) => !IDENTITY_VARY.test(name));
  if (others.length === 0) headers.delete("vary");
  else headers.set("vary", others.join(", "));
  return { names: withheld.join(", "), whole };
}

/**
 * A response that is given to outer layers, and the watch over it. Where it is known how it leaves, freshness is promised
 * then: a layer may replace the response, and frameworks lay the fields of the one before over the new one.
 */
class Leaving {
  readonly departure: Departure | undefined;
  readonly #exit: Exit | undefined;
  readonly #call: WebCall;
  readonly #isStoring: boolean;
  #response: Response | undefined;

  constructor(call: WebCall, plain: Plain, lastLook: LastLook | undefined) {
    const { status, headers, freshness, marks, generated = NO_NAMES } = plain;
    this.#call = call;
    this.#isStoring = lastLook !== undefined;
    const promised = call.outer?.forbidsFreshness(headers) === true ? NO_NAMES : freshness;
    if (lastLook === undefined && (call.isOutermost === true || marks.length === 0)) {
      setFields(headers, promised);
      addAbsent(headers, generated);
      return;
    }
    const { exit } = call;
    this.#exit = exit;
    const withheld = exit === undefined ? undefined : withholdVary(headers);
    // A route of another cache further out reads the lifetime from the fields.
    const isPromisedLate = exit !== undefined && call.isRead !== true;
    if (!isPromisedLate) addAbsent(headers, generated);
    const unpromised = isPromisedLate ? headers : new Headers(headers);
    if (!isPromisedLate) setFields(headers, promised);
    const given = new Given(
      status,
      headers,
      unpromised,
      promised,
      marks,
      withheld,
      isPromisedLate ? generated : NO_NAMES,
    );
    this.departure =
      exit === undefined
        ? new Departure(given, lastLook, UNSENT_LIMIT_MS, () => this.#overdue())
        : new Departure(given, lastLook, exit.limitMs);
  }

  /** Called when no reader has come for so long that none is expected. */
  unread: (() => void) | undefined;

  /** True where the first read of the body is the sign. */
  get waitsForReader(): boolean {
    return this.#isStoring && this.#exit === undefined;
  }

  /** The body is being read. */
  readonly begun = (): void => {
    if (this.#exit === undefined) this.#leave();
  };

  send(response: Response): Response {
    const { departure } = this;
    if (departure === undefined) return response;
    this.#response = response;
    // A cached route further out makes a response of its own.
    if (this.#call.within === undefined) departure.give(response);
    if (this.#exit !== undefined) this.#exit.watch((head) => departure.leave(head));
    else {
      watchHeaders(response, departure);
      if (this.#isStoring && response.body === null) this.#leaveWithoutReader(response, departure);
    }
    return response;
  }

  /** Nothing tells that it leaves. A 304 stands for a page that others would get: it is waited for up to the limit. */
  #leaveWithoutReader({ status }: Response, { left }: Departure): void {
    if (status !== 304) setTimeout(() => this.#leave(), 0);
    if (left !== undefined) this.#call.waitUntil?.(left);
  }

  /** Not read, as by a test that looks at the head alone: it is judged by its head as it is now. */
  #overdue(): void {
    this.#leave();
    this.unread?.();
  }

  #leave(): void {
    if (this.#response !== undefined) this.departure?.leave(headOfResponse(this.#response));
  }
}

class WebExchange implements Exchange {
  readonly #call: WebCall;
  readonly #authority: string | undefined;
  /** Set once there is an answer, which may be nothing at all: `server.upgrade()` of Bun leaves nothing to return. */
  #given: { readonly response: Response | Promise<Response> } | undefined;
  #thrown: { readonly error: unknown } | undefined;
  #resolve: Client["deliver"] | undefined;
  #departure: Departure | undefined;
  readonly #client: Client;

  constructor(call: WebCall, authority: string | undefined) {
    this.#call = call;
    this.#authority = authority;
    this.#client = { call, deliver: this.#give, pending: () => this.#departure?.pending };
  }

  get forwardInBackground(): ((fill: Fill) => void) | undefined {
    const runAgain = this.#runAgain();
    return runAgain === undefined ? undefined : (fill) => runAgain(fill, undefined);
  }

  get forwardAgain(): ((fill: Fill) => void) | undefined {
    const runAgain = this.#runAgain();
    return runAgain === undefined ? undefined : (fill) => runAgain(fill, this.#client);
  }

  #runAgain(): WebCall["runAgain"] {
    // The content of a QUERY has been read by then.
    return this.#call.request.method === "QUERY" ? undefined : this.#call.runAgain;
  }

  get native(): unknown {
    return this.#call.native;
  }

  patterns(): readonly string[] {
    return this.#call.patterns?.() ?? [];
  }

  get within(): Fill | undefined {
    return this.#call.within;
  }

  get keepAlive(): WaitUntil | undefined {
    return this.#call.waitUntil;
  }

  get missingEntry(): string | undefined {
    return this.#call.missingEntry;
  }

  /** The response, or the promise of one while it is not decided yet. Throws what the handler has thrown at once. */
  answer(): Response | Promise<Response> {
    if (this.#thrown !== undefined) throw this.#thrown.error;
    if (this.#given !== undefined) return this.#given.response;
    return new Promise((resolve) => {
      this.#resolve = resolve;
    });
  }

  send(reply: Reply, lastLook?: LastLook): void | Promise<void> {
    const { outer, request, isOutermost } = this.#call;
    const { freshness = NO_NAMES, removed = NO_NAMES, status, reason } = reply;
    const isHead = request.method === "HEAD" && this.#call.dropsHeadBody !== true;
    const headers = headersOf(reply.plainFields ?? reply.fields, isHead);
    const generated = outer === undefined || isOutermost === true ? NO_NAMES : (reply.generated ?? NO_NAMES);
    for (let at = 0; at < generated.length; at += 2) headers.delete(generated[at] ?? "");
    outer?.addTo(headers, removed);
    const bytes = isHead ? null : contentOf(reply);
    const leaving = new Leaving(this.#call, { status, headers, freshness, marks: MARKS, generated }, lastLook);
    const body = bytes !== null && leaving.waitsForReader ? streamOf(bytes, leaving.begun) : bytes;
    this.#departure = leaving.departure;
    this.#give(leaving.send(responseOf(status, reason, headers, body)));
    return leaving.departure?.pending;
  }

  pass(fields: readonly string[]): void {
    let response: Response | Promise<Response>;
    try {
      response = this.#call.run(this.#call.request, undefined);
    } catch (error) {
      return this.#throw(error);
    }
    if (fields.length === 0) return this.#give(response);
    const added = (late: Response): Response | Promise<Response> => this.#addFields(late, fields);
    this.#give(isPromise(response) ? response.then(added) : added(response));
  }

  /**
   * Adds fields as the response leaves, where that is known: the handler's own object stays as it is, and frameworks lay
   * nothing of ours over the fields of a layer. A cached route further out reads them at once.
   */
  #addFields(response: Response, fields: readonly string[]): Response | Promise<Response> {
    const { within, isRead, isOutermost, exit } = this.#call;
    const mayBeLate = within === undefined && isRead !== true;
    if (exit === undefined || !mayBeLate) return withFields(response, fields);
    if (exit.isApart === true) {
      exit.watch((head) => setFieldsOfHead(head, fields));
      return response;
    }
    if (isOutermost === true) return withFields(response, fields);
    exit.watch((head) => setFieldsOfHead(head, varyOf(fields)));
    return withFields(response, withoutVary(fields));
  }

  forward(fill: Fill): void {
    const given = handlersRequest(this.#call.request, fill, this.#authority);
    try {
      void new WebRun(this.#call, fill, this.#client).start(given);
    } catch (error) {
      this.#throw(error);
    }
  }

  readonly #give: Client["deliver"] = (response) => {
    if (this.#resolve === undefined) this.#given = { response };
    else this.#resolve(response);
  };

  #throw(error: unknown): void {
    if (this.#resolve === undefined) this.#thrown = { error };
    else this.#resolve(rejected(error));
  }
}

/** Lets the handler answer a copy of a request, for the fill that sent it. */
async function runForCopy(route: Route, call: WebCall, fill: Fill): Promise<Response> {
  if (!isSameRequest(route, call, fill)) return call.run(call.request, undefined);
  const renewal = renewalOf(call.marked);
  const client = renewal === undefined ? undefined : waiting.get(renewal);
  if (client === undefined) return renew(route, call, fill);
  await runFor(client, call, fill, handlersRequest(call.request, fill, route.authority));
  // Nothing waits for the response to the copy.
  return new Response(null, { status: 204 });
}

/** True while a request is still the one that `fill` is for. */
export function isSameRequest(route: Route, { request, otherPaths, env, native }: WebCall, fill: Fill): boolean {
  const copy = cacheRequest(request, otherPaths, route.authority, env);
  return fill.reached?.(copy === "host" ? undefined : copy, native) !== false;
}

/** Runs the handler for a client that waits for it. Settles when the handler has answered; never rejects. */
export async function runFor(client: Client, call: WebCall, fill: Fill, request: Request): Promise<void> {
  try {
    await new WebRun(call, fill, client).start(request);
  } catch (error) {
    client.deliver(rejected(error));
  }
}

/** Runs the handler for a copy, and tells the fill once everything around it has had its say. */
function renew(route: Route, call: WebCall, fill: Fill): Response | Promise<Response> {
  const given = handlersRequest(call.request, fill, route.authority);
  let response: Response | Promise<Response>;
  try {
    response = call.run(given, fill);
  } catch (error) {
    fill.fail(asError(error));
    throw error;
  }
  if (!isPromise(response)) return renewed(call, fill, response);
  return response.then(
    (late) => renewed(call, fill, late),
    (error: unknown) => {
      fill.fail(asError(error));
      throw error;
    },
  );
}

function renewed(call: WebCall, fill: Fill, response: Response): Response | Promise<Response> {
  const opened = openResponse(response);
  if (opened === undefined) {
    fill.abort();
    return response;
  }
  const { headers, body } = opened;
  if (body === null) return shownToLayers(call, fill, opened, null, undefined);
  const [forLayers, forFill] = body.tee();
  const reader = new BodyReader(forFill);
  if (!lacksType(headers)) return shownToLayers(call, fill, opened, forLayers, reader);
  return reader.wholeIfAtHand().then((whole) => {
    learnType(headers, whole);
    return shownToLayers(call, fill, opened, forLayers, reader);
  });
}

/** Gives the response to the layers around the handler, and then what `reader` reads to the fill. */
function shownToLayers(
  call: WebCall,
  fill: Fill,
  opened: Opened,
  body: BodyContent,
  reader: BodyReader | undefined,
): Response {
  const { status, reason, headers } = opened;
  const head = reportedHead(call, opened, ownFields(call, headers));
  const lastLook: LastLook = (late) => {
    if (late.replacedBy !== undefined) {
      fill.fail(renewalReplaced(late.replacedBy));
      void reader?.cancel();
      return NO_NAMES;
    }
    fill.head({ ...head, late }, reader === undefined ? NOTHING : undefined);
    void reader?.drainInto(fill);
    return NO_NAMES;
  };
  const leaving = new Leaving(call, { status, headers, freshness: NO_NAMES, marks: NO_NAMES }, lastLook);
  return leaving.send(responseOf(status, reason, headers, body));
}

/** Runs the handler once more for the fill alone, where there are no layers that the cache could know of. */
export async function renewAlone(call: WebCall, fill: Fill, request: Request): Promise<void> {
  let response: Response;
  try {
    response = await call.run(request, fill);
  } catch (error) {
    return void fill.fail(asError(error));
  }
  const opened = openResponse(response);
  if (opened === undefined) return fill.abort();
  const reader = opened.body === null ? undefined : new BodyReader(opened.body);
  const whole = reader === undefined ? NOTHING : await reader.wholeIfAtHand();
  learnType(opened.headers, whole);
  const { answered } = fill.head(reportedHead(call, opened, ownFields(call, opened.headers)), whole);
  if (whole !== undefined || reader === undefined) return;
  if (answered) await reader.drainInto(fill);
  else await reader.cancel();
}

/** Adds fields to a response of the handler that the cache takes no part in, as it is where that can be. */
function withFields(response: Response, ours: readonly string[]): Response | Promise<Response> {
  const opened = openResponse(response);
  if (opened === undefined) return response;
  const { status, reason, headers, body } = opened;
  const fields = isAnswered(headers, ours) ? varyOf(ours) : ours;
  if (body !== null && lacksType(headers)) return withType(opened, body, fields);
  // A response without a body may be one that the handler keeps for other requests.
  if (body !== null && setFieldsOn(response, fields)) return response;
  setFields(headers, fields);
  return responseOf(status, reason, headers, body);
}

/** True when a cached route within this one has told how it answered: by the hit/miss field, which handlers do not set. */
function isAnswered(headers: Headers, ours: readonly string[]): boolean {
  return namesOf(ours).some((name) => name !== "cache-status" && headers.has(name));
}

function setFieldsOfHead(head: LeavingHead, ours: readonly string[]): void {
  const isKnown = namesOf(ours).some((name) => name !== "cache-status" && head.get(name) !== undefined);
  const fields = isKnown ? varyOf(ours) : ours;
  for (let at = 0; at + 1 < fields.length; at += 2) {
    const [name = "", value = ""] = [fields[at], fields[at + 1]];
    head.set(name, name === "vary" ? mergedVary(head.get(name), value) : value);
  }
}

function withoutVary(ours: readonly string[]): readonly string[] {
  const vary = varyOf(ours);
  return vary.length === 0 ? ours : ours.filter((_, at) => ours[at - (at % 2)] !== "vary");
}

function varyOf(ours: readonly string[]): readonly string[] {
  const at = ours.findIndex((name, index) => index % 2 === 0 && name === "vary");
  return at === -1 ? NO_NAMES : ours.slice(at, at + 2);
}

async function withType(
  { status, reason, headers }: Opened,
  body: ReadableStream<Uint8Array>,
  fields: readonly string[],
): Promise<Response> {
  const reader = new BodyReader(body);
  const whole = await reader.wholeIfAtHand();
  learnType(headers, whole);
  setFields(headers, fields);
  return responseOf(status, reason, headers, whole === undefined ? reader.stream() : bodyOf(whole, headers));
}

function isUntyped(response: unknown): boolean {
  const headers = property(response, "headers");
  return headers instanceof Headers && lacksType(headers);
}

/** A promise that rejects with what was thrown, whatever that is. */
function rejected(error: unknown): Promise<never> {
  return new Promise((_, reject) => {
    reject(error);
  });
}

export function isPromise<Value>(value: Value | Promise<Value>): value is Promise<Value> {
  return typeof (value as { then?: unknown } | undefined)?.then === "function";
}
