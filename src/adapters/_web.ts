import type { Route } from "../cache.ts";
import type { Exchange, Fill, Reply } from "../engine/exchange.ts";
import { asError } from "../errors.ts";
import { showsClientCertificate } from "./_client-certificate.ts";
import { mergedVary } from "./_merged-vary.ts";
import type { CacheRequest, Fields } from "../types.ts";

/** What a framework on `Request` and `Response` has to tell about one request. */
export interface WebCall {
  readonly request: Request;
  /** The framework's own request or context, for the developer's callbacks. */
  readonly native: unknown;
  /** The pattern of the route, where the framework has one. */
  readonly pattern?: string | undefined;
  /** What the server gives beside the request. */
  readonly env?: unknown;
  /** Lets the handler answer this request. */
  run(request: Request): Response | Promise<Response>;
  /** Runs the handler once more, with nobody waiting for its response. Left out where the framework cannot do that. */
  rerun?: ((request: Request) => Response | Promise<Response>) | undefined;
}

/** Answers one `Request` through a route of the cache; at once where the store and the handler do. */
export function respondOnWeb(route: Route, call: WebCall): Response | Promise<Response> {
  const exchange = new WebExchange(call, route.authority);
  const request = cacheRequest(call, route.authority);
  if (request === undefined) {
    const { method, url } = call.request;
    route.respondWithoutKey({ method, path: url }, exchange, "target");
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

function cacheRequest({ request, env }: WebCall, authority: string | undefined): CacheRequest | undefined {
  const { url } = request;
  const colon = url.indexOf("://");
  const slash = url.indexOf("/", colon + 3);
  if (colon === -1 || slash === -1) return undefined;
  const hash = url.indexOf("#", slash);
  const fields = Object.create(null) as Record<string, string>;
  // Entries come in lower case, and joined where a name was repeated.
  for (const [name, value] of request.headers) fields[name] = value;
  const seen: CacheRequest = {
    method: request.method,
    scheme: url.slice(0, colon),
    authority: authority ?? url.slice(colon + 3, slash),
    path: hash === -1 ? url.slice(slash) : url.slice(slash, hash),
    fields,
  };
  return showsClientCertificate(request, env) ? { ...seen, clientCertificate: true } : seen;
}

class WebExchange implements Exchange {
  readonly #call: WebCall;
  readonly #authority: string | undefined;
  #given: Response | Promise<Response> | undefined;
  #resolve: ((response: Response | Promise<Response>) => void) | undefined;
  readonly forwardInBackground: ((fill: Fill) => void) | undefined;

  constructor(call: WebCall, authority: string | undefined) {
    this.#call = call;
    this.#authority = authority;
    const { rerun } = call;
    // The content of a QUERY has been read by then.
    if (rerun === undefined || call.request.method === "QUERY") return;
    this.forwardInBackground = (fill) => {
      const request = originRequest(call.request, fill, authority, undefined);
      this.#drive(fill, () => rerun(request)).catch(ignored);
    };
  }

  get native(): unknown {
    return this.#call.native;
  }

  get pattern(): string | undefined {
    return this.#call.pattern;
  }

  /** The response, or the promise of one while it is not decided yet. */
  answer(): Response | Promise<Response> {
    this.#given ??= new Promise((resolve) => {
      this.#resolve = resolve;
    });
    return this.#given;
  }

  send(reply: Reply): void {
    this.#give(responseOf(reply, this.#call.request.method === "HEAD"));
  }

  pass(fields: readonly string[]): void {
    let response: Response | Promise<Response>;
    try {
      response = this.#call.run(this.#call.request);
    } catch (error) {
      response = Promise.reject(asError(error));
    }
    if (fields.length === 0) return this.#give(response);
    this.#give(
      response instanceof Promise ? response.then((late) => withFields(late, fields)) : withFields(response, fields),
    );
  }

  forward(fill: Fill): void {
    const { request } = this.#call;
    const given = originRequest(request, fill, this.#authority, request.signal);
    const answered = this.#drive(fill, () => this.#call.run(given));
    void answered.then(
      (response) => (response === undefined ? undefined : this.#give(response)),
      (error: unknown) => this.#give(Promise.reject(asError(error))),
    );
  }

  #give(response: Response | Promise<Response>): void {
    if (this.#resolve === undefined) this.#given = response;
    else this.#resolve(response);
  }

  /** Runs the handler and reports to `fill`; the response to send, or nothing where the engine has answered itself. */
  async #drive(fill: Fill, run: () => Response | Promise<Response>): Promise<Response | undefined> {
    let response: Response;
    try {
      response = await run();
    } catch (error) {
      if (fill.fail(asError(error))) return undefined;
      throw error;
    }
    if (response.status < 200) {
      // The connection now speaks another protocol; such a response cannot even be copied.
      fill.abort();
      return response;
    }
    const head = { status: response.status, fields: fieldsOf(response.headers) };
    if (response.body === null) {
      const action = fill.head(head, NOTHING);
      if (action.answered) return undefined;
      await action.until;
      return withFields(response, action.fields);
    }
    const body = new BodyReader(response.body);
    const whole = await body.wholeIfAtHand();
    const action = fill.head(head, whole);
    if (action.answered) {
      if (whole === undefined) await body.drainInto(fill);
      return undefined;
    }
    await action.until;
    const rest = whole === undefined ? body.streamThrough(fill) : whole;
    return withFields(new Response(rest as ConstructorParameters<typeof Response>[0], response), action.fields);
  }
}

const NOTHING = new Uint8Array(0);

/** A source that never waits may never end; from here on its client sets the pace. */
const MAX_AT_HAND_BYTES = 4 * 1024 * 1024;

function ignored(): void {
  // The fill has heard of it already; nobody else waits for a revalidation in the background.
}

/** Reads a response body once, for the client and for the cache. */
class BodyReader {
  readonly #reader: ReadableStreamDefaultReader<Uint8Array>;
  readonly #read: Uint8Array[] = [];
  #pending: Promise<{ done: boolean; value?: Uint8Array | undefined }> | undefined;

  constructor(body: ReadableStream<Uint8Array>) {
    this.#reader = body.getReader();
  }

  /** The whole body if it is there without waiting for anything outside, as for `Response.json()`, and not too much. */
  async wholeIfAtHand(): Promise<Uint8Array | undefined> {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const late = new Promise<"late">((resolve) => {
      timer = setTimeout(() => resolve("late"), 0);
    });
    let bytes = 0;
    try {
      while (bytes <= MAX_AT_HAND_BYTES) {
        this.#pending = this.#reader.read();
        const next = await Promise.race([this.#pending, late]);
        if (next === "late") return undefined;
        this.#pending = undefined;
        if (next.done) return joined(this.#read);
        if (next.value === undefined) continue;
        this.#read.push(next.value);
        bytes += next.value.byteLength;
      }
      return undefined;
    } catch (error) {
      // Given to whoever reads on.
      this.#pending = Promise.reject(asError(error));
      this.#pending.catch(ignored);
      return undefined;
    } finally {
      clearTimeout(timer);
    }
  }

  async #next(): Promise<Uint8Array | undefined> {
    const ready = this.#read.shift();
    if (ready !== undefined) return ready;
    const pending = this.#pending ?? this.#reader.read();
    this.#pending = undefined;
    const { done, value } = await pending;
    return done ? undefined : value;
  }

  /** Hands each piece to the client as it is asked for, and a copy to the fill. */
  streamThrough(fill: Fill): ReadableStream<Uint8Array> {
    return new ReadableStream<Uint8Array>({
      pull: async (controller) => {
        try {
          const piece = await this.#next();
          if (piece === undefined) {
            fill.end();
            controller.close();
          } else {
            fill.chunk(piece);
            controller.enqueue(piece);
          }
        } catch (error) {
          fill.abort();
          controller.error(error);
        }
      },
      cancel: async (reason) => {
        fill.abort();
        await this.#reader.cancel(reason);
      },
    });
  }

  async drainInto(fill: Fill): Promise<void> {
    try {
      for (;;) {
        const piece = await this.#next();
        if (piece === undefined) return fill.end();
        fill.chunk(piece);
      }
    } catch {
      fill.abort();
    }
  }
}

function joined(pieces: readonly Uint8Array[]): Uint8Array {
  let length = 0;
  for (const piece of pieces) length += piece.byteLength;
  const whole = new Uint8Array(length);
  let at = 0;
  for (const piece of pieces) {
    whole.set(piece, at);
    at += piece.byteLength;
  }
  return whole;
}

/** The request as the handler shall see it; the client's own where it is the same. `signal` is that of who waits for it. */
function originRequest(
  request: Request,
  { origin }: Fill,
  authority: string | undefined,
  signal: AbortSignal | undefined,
): Request {
  const { url, method } = request;
  // Nothing is taken from or added to a request that has a body to lose.
  if (method !== "GET" && method !== "HEAD") return request;
  const start = url.indexOf("://") + 3;
  const base = authority === undefined ? url.slice(0, url.indexOf("/", start)) : url.slice(0, start) + authority;
  const target = base + origin.path;
  const host = request.headers.get("host");
  const named = authority === undefined || host === null ? host : authority;
  const plus = Object.entries(origin.plus);
  const isSame =
    signal !== undefined &&
    target === url &&
    named === host &&
    plus.length === 0 &&
    !origin.without.some((name) => request.headers.has(name));
  if (isSame) return request;
  const headers = new Headers(request.headers);
  for (const name of origin.without) headers.delete(name);
  for (const [name, value] of plus) headers.set(name, String(value));
  if (named !== null) headers.set("host", named);
  return new Request(target, { method, headers, ...(signal === undefined ? {} : { signal }) });
}

function fieldsOf(headers: Headers): Fields {
  const fields = Object.create(null) as Record<string, string | readonly string[]>;
  for (const [name, value] of headers) if (name !== "set-cookie") fields[name] = value;
  const cookies = headers.getSetCookie();
  if (cookies.length > 0) fields["set-cookie"] = cookies;
  return fields;
}

function responseOf(reply: Reply, headOnly: boolean): Response {
  const headers = new Headers();
  for (let at = 0; at + 1 < reply.fields.length; at += 2)
    headers.append(reply.fields[at] ?? "", reply.fields[at + 1] ?? "");
  // A stored response without content (204, 205) has no bytes, and may not have any.
  const body = headOnly || reply.body === null || reply.body.byteLength === 0 ? null : reply.body;
  return new Response(body as ConstructorParameters<typeof Response>[0], { status: reply.status, headers });
}

function withFields(response: Response, fields: readonly string[]): Response {
  // Another protocol begins, and such a response cannot be copied.
  if (response.status < 200) return response;
  // A response that was fetched has headers nobody may change.
  const changed = new Response(response.body, response);
  for (let at = 0; at + 1 < fields.length; at += 2) {
    const name = fields[at] ?? "";
    const value = fields[at + 1] ?? "";
    changed.headers.set(name, name === "vary" ? mergedVary(changed.headers.get("vary"), value) : value);
  }
  return changed;
}
