/** What is below the cache: asks the upstream. */

import type { ClientRequest, IncomingMessage, ServerResponse } from "node:http";

import type { Fill } from "../engine/exchange.ts";
import { upstreamFailed } from "../errors.ts";
import { membersOf, requestFields, trailerPairs } from "./fields.ts";
import { forwardingFields, withVia } from "./forwarding-fields.ts";
import { writeProblem } from "./problem.ts";
import { cutOff, relayInterim, relayResponse } from "./relay.ts";
import { ask, type Question, type Upstream, type UpstreamFailure } from "./upstream.ts";

/** Many servers never answer an expectation, so the body goes after this long without a word (RFC 9110 §10.1.1). */
const CONTINUE_WAIT_MS = 1_000;

const IDEMPOTENT: ReadonlySet<string> = new Set(["GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE", "QUERY"]);

/** Methods for which Node frames a request without a body by saying nothing. */
const SILENTLY_EMPTY: ReadonlySet<string> = new Set(["GET", "HEAD", "DELETE", "OPTIONS", "TRACE"]);

/** Forwards a request and passes the response on. `fill` hears of an upstream that gives none. */
export function forward(
  upstream: Upstream,
  request: IncomingMessage,
  response: ServerResponse,
  fill: Fill | undefined,
): void {
  const body = bodyOf(request);
  const question = questionFor(upstream, request, body);
  let sendBody = (): void => {};
  let hasAnswer = false;
  let isContinued = false;
  const proceed = (): void => {
    if (hasAnswer || isContinued || response.destroyed) return;
    isContinued = true;
    response.writeContinue();
    sendBody();
  };
  const asking = ask(upstream, question, {
    opened(outgoing) {
      sendBody = body.kind === "none" ? () => {} : bodySender(request, outgoing);
      if (body.kind === "none") outgoing.end();
      else if (!body.isExpected) sendBody();
      else if (question.fields.includes("Expect")) setTimeout(proceed, CONTINUE_WAIT_MS).unref();
      else proceed();
    },
    continued() {
      if (body.isExpected) proceed();
    },
    informed: (status, reason, rawHeaders) => relayInterim(request, response, status, reason, rawHeaders),
    response(incoming, outgoing) {
      // Whether the client still sends the rest of its request is its choice: nothing after it could be understood.
      if (body.kind !== "none" && !request.complete) response.shouldKeepAlive = false;
      hasAnswer = true;
      relayResponse(incoming, outgoing, request, response);
    },
    failed(failure) {
      hasAnswer = true;
      report(upstream, request, failure);
      // A stored response may stand in (RFC 9111 §4.2.4).
      if (fill?.fail(upstreamFailed(failure.cause)) === true) return;
      if (response.headersSent) return cutOff(request, response);
      writeProblem(response, { ...failure, close: !request.complete });
    },
  });
  response.on("error", () => {});
  response.once("close", () => {
    if (!response.writableFinished) asking.abandon();
  });
}

/** How a request's body is framed, and whether its client waits for 100 (Continue). */
interface RequestBody {
  readonly kind: "none" | "chunked" | "length";
  readonly isExpected: boolean;
}

function bodyOf(request: IncomingMessage): RequestBody {
  const { headers } = request;
  const length = headers["content-length"];
  const kind = headers["transfer-encoding"] !== undefined ? "chunked" : Number(length ?? 0) > 0 ? "length" : "none";
  const isExpected =
    kind !== "none" && request.httpVersionMinor > 0 && headers.expect?.toLowerCase() === "100-continue";
  return { kind, isExpected };
}

function questionFor(upstream: Upstream, request: IncomingMessage, body: RequestBody): Question {
  const method = request.method ?? "GET";
  const { headers, rawHeaders } = request;
  const fields = ["Host", hostFor(upstream, request), ...requestFields(request)];
  fields.push("Via", withVia(headers.via, request.httpVersion), ...forwardingFields(request));
  if (membersOf(rawHeaders, "te").some((member) => /^trailers\s*(?:;|$)/.test(member))) {
    fields.push("TE", "trailers", "Connection", "keep-alive, TE");
  }
  if (body.kind === "chunked") {
    fields.push("Transfer-Encoding", "chunked");
    if (headers.trailer !== undefined) fields.push("Trailer", headers.trailer);
  } else if (body.kind === "length") fields.push("Content-Length", headers["content-length"] ?? "0");
  else if (headers["content-length"] !== undefined || !SILENTLY_EMPTY.has(method)) fields.push("Content-Length", "0");
  // Node writes a head with Expect as UTF-8, which would change bytes above 0x7F; such a body is sent unasked.
  if (body.isExpected && fields.every(isAscii)) fields.push("Expect", "100-continue");
  return {
    method,
    target: request.url ?? "/",
    fields,
    repeatable: body.kind === "none" && IDEMPOTENT.has(method),
  };
}

/** The `Host` the upstream sees. */
export function hostFor(upstream: Upstream, request: IncomingMessage): string {
  const { host } = request.headers;
  return upstream.settings.preserveHost && host !== undefined ? host : upstream.authority;
}

function isAscii(text: string): boolean {
  return /^[\t\x20-\x7e]*$/.test(text);
}

function bodySender(request: IncomingMessage, outgoing: ClientRequest): () => void {
  return () => {
    request.pipe(outgoing, { end: false });
    request.once("end", () => {
      const pairs = trailerPairs(request.rawTrailers);
      if (pairs.length > 0 && outgoing.chunkedEncoding) outgoing.addTrailers(pairs);
      outgoing.end();
    });
  };
}

function report({ settings }: Upstream, request: IncomingMessage, failure: UpstreamFailure): void {
  settings.logger?.warn(`${request.method} ${request.url}: ${failure.detail} (${failure.cause})`);
}
