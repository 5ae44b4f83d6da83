/** Passes the upstream's response on to the client as it comes. */

import { STATUS_CODES, type ClientRequest, type IncomingMessage, type ServerResponse } from "node:http";
import { Socket } from "node:net";

import { grouped, membersOf, NO_BYTES, responseFields, trailerPairs } from "./fields.ts";
import { withVia } from "./forwarding-fields.ts";
import { messageHead, writeProblem } from "./problem.ts";

/** Transfer codings a receiver could take for content; anything else but chunked is a word without meaning. */
const REAL_CODINGS: ReadonlySet<string> = new Set(["gzip", "x-gzip", "deflate", "compress", "x-compress"]);

/** Writes head, body and trailers of `incoming` to `response`, no faster than the client reads. */
export function relayResponse(
  incoming: IncomingMessage,
  outgoing: ClientRequest,
  request: IncomingMessage,
  response: ServerResponse,
): void {
  const status = incoming.statusCode ?? 0;
  const coding = membersOf(incoming.rawHeaders, "transfer-encoding");
  if (coding.some((member) => REAL_CODINGS.has(member))) {
    outgoing.destroy();
    return writeProblem(response, { status: 502, detail: "The upstream's response has a transfer coding of its own." });
  }
  if (status < 200) {
    outgoing.destroy();
    return writeProblem(response, { status: 502, detail: "The upstream's response has a status that is none." });
  }
  const hasBody = request.method !== "HEAD" && status !== 204 && status !== 304;
  const mayTrail = hasBody && coding.includes("chunked") && request.httpVersionMinor > 0;
  try {
    response.writeHead(status, reasonOf(incoming), headFor(incoming, mayTrail));
  } catch {
    outgoing.destroy();
    return writeProblem(response, { status: 502, detail: "The upstream's response cannot be sent on as it is." });
  }
  pump(incoming, outgoing, request, response, mayTrail);
  if (hasBody) flushSoon(incoming, response);
}

/** The upstream's own words, unless they hold something that cannot be sent. */
function reasonOf({ statusCode = 0, statusMessage = "" }: IncomingMessage): string {
  return /^[\t\x20-\x7e\x80-\xff]*$/.test(statusMessage) ? statusMessage : (STATUS_CODES[statusCode] ?? "");
}

function headFor(incoming: IncomingMessage, mayTrail: boolean): string[] {
  const status = incoming.statusCode;
  const fields = responseFields(incoming.rawHeaders, (name) => {
    if (name === "content-length") return status !== 204;
    return name === "trailer" ? mayTrail : name !== "via";
  });
  // RFC 9110 §6.6.1: who has a clock dates a message that has no date.
  if (incoming.headers.date === undefined) fields.push("Date", new Date().toUTCString());
  fields.push("Via", withVia(incoming.headers.via, incoming.httpVersion));
  return grouped(fields) as string[];
}

function pump(
  incoming: IncomingMessage,
  outgoing: ClientRequest,
  request: IncomingMessage,
  response: ServerResponse,
  mayTrail: boolean,
): void {
  let isOver = false;
  let isReset = false;
  const resume = (): void => void incoming.resume();
  response.on("drain", resume);
  incoming.on("data", (chunk: Buffer) => {
    if (!response.write(chunk)) incoming.pause();
  });
  outgoing.once("error", () => {
    isReset = true;
  });
  incoming.once("end", () => {
    // Where only the end of the connection ends the body, Node takes a reset for one too (RFC 9112 §8).
    if (!incoming.complete || (isReset && !isFramed(incoming))) return;
    isOver = true;
    if (mayTrail) {
      const pairs = trailerPairs(incoming.rawTrailers);
      if (pairs.length > 0) response.addTrailers(pairs);
    }
    response.end();
    if (outgoing.writableFinished) return;
    // The answer came before the whole request was read; nobody wants the rest.
    request.unpipe(outgoing);
    request.resume();
    outgoing.destroy();
  });
  // What went wrong matters little: `complete` tells whether the whole response is here.
  incoming.on("error", () => {});
  incoming.once("close", () => {
    response.off("drain", resume);
    if (!isOver) cutOff(request, response);
  });
}

function isFramed({ headers, rawHeaders }: IncomingMessage): boolean {
  return headers["content-length"] !== undefined || membersOf(rawHeaders, "transfer-encoding").includes("chunked");
}

/** Sends the head by itself, when no body came along with it. */
function flushSoon(incoming: IncomingMessage, response: ServerResponse): void {
  let hasBegun = false;
  incoming.once("data", () => {
    hasBegun = true;
  });
  incoming.once("end", () => {
    hasBegun = true;
  });
  setImmediate(() => {
    // flushHeaders() would write the head as UTF-8 and so change bytes above 0x7F.
    if (!hasBegun && !response.destroyed) response.write(NO_BYTES);
  });
}

/** Ends the connection so that the client cannot take what it has for the whole (RFC 9112 §8). */
export function cutOff(request: IncomingMessage, response: ServerResponse): void {
  const { socket } = response;
  // Without chunks and length, an orderly close is what a complete response looks like. TLS has an end of its own.
  if (request.httpVersionMinor === 0 && socket instanceof Socket && !("encrypted" in socket)) socket.resetAndDestroy();
  response.destroy();
  // Of a pipelined response whose turn has not come Node does not tell that it is over, and others may wait for it.
  if (socket === null) response.emit("close");
}

/** Passes an interim response on. A pipelined response whose turn has not come has no connection yet: it does without. */
export function relayInterim(
  request: IncomingMessage,
  response: ServerResponse,
  status: number,
  reason: string,
  rawHeaders: readonly string[],
): void {
  const { socket } = response;
  if (request.httpVersionMinor === 0 || response.headersSent || socket === null || !socket.writable) return;
  const fields = responseFields(rawHeaders, (name) => name !== "content-length" && name !== "trailer");
  socket.write(messageHead(status, reason, fields), "latin1");
}
