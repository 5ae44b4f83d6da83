import type { OutgoingHttpHeader, OutgoingHttpHeaders, ServerResponse } from "node:http";
import type { Fill, Reply } from "../engine/exchange.ts";
import type { Fields } from "../types.ts";
import { applyFields, writeReply } from "./_node-reply.ts";

type Callback = (error?: Error | null) => void;
type Chunk = string | Uint8Array;

/** Lets an adapter take back what its framework added to a head by itself. */
export type CleanHead = (fields: Record<string, string | readonly string[]>) => void;

/**
 * Listens to what a handler writes on a `ServerResponse` and passes it on as the engine decides.
 *
 * `writeHead` is held back until the first byte or the end, as Node itself does, so that a handler which gives its whole
 * body at once is answered from what is stored. Nothing is delayed beyond that: each chunk goes out as it comes.
 */
export class ResponseTap {
  readonly #response: ServerResponse;
  readonly #fill: Fill;
  readonly #clean: CleanHead | undefined;
  /** Headers that outer layers had set before the handler ran: theirs are not stored. */
  readonly #outer: OutgoingHttpHeaders;
  readonly #writeHead: ServerResponse["writeHead"];
  readonly #write: ServerResponse["write"];
  readonly #end: ServerResponse["end"];
  readonly #flushHeaders: ServerResponse["flushHeaders"];
  /** `open`: no head yet; `streaming`: the client gets the handler's response; `answered`: it has another one. */
  #state: "open" | "streaming" | "answered" = "open";
  #ended = false;
  /** The client must not have the end before this has settled. */
  #until: Promise<void> | undefined;

  constructor(response: ServerResponse, fill: Fill, clean?: CleanHead) {
    this.#response = response;
    this.#fill = fill;
    this.#clean = clean;
    this.#outer = response.getHeaders();
    // As they are now: other middleware may have put its own in their place. They are called on the response.
    // oxlint-disable typescript/unbound-method
    this.#writeHead = response.writeHead;
    this.#write = response.write;
    this.#end = response.end;
    this.#flushHeaders = response.flushHeaders;
    // oxlint-enable typescript/unbound-method
    response.writeHead = this.#onWriteHead;
    response.write = this.#onWrite;
    response.end = this.#onEnd;
    response.flushHeaders = this.#onFlushHeaders;
    // Its client may have left while the request waited for another one.
    if (response.closed) this.#onClose();
    else response.once("close", this.#onClose);
  }

  /** Answers the client with another response than the handler's. */
  answer(reply: Reply): void {
    this.#state = "answered";
    const response = this.#response;
    this.#restore();
    if (response.headersSent) return;
    for (const name of response.getHeaderNames()) {
      const outer = this.#outer[name];
      if (outer !== undefined) {
        if (!sameValue(outer, response.getHeader(name))) response.setHeader(name, outer);
      } else if (name !== "connection") response.removeHeader(name);
    }
    response.statusMessage = "";
    writeReply(response, reply);
    // The handler does not know and may go on writing.
    response.write = this.#onWrite;
    response.end = this.#onEnd;
    response.writeHead = this.#onWriteHead;
    response.flushHeaders = this.#onFlushHeaders;
  }

  readonly #onWriteHead = (
    status: number,
    reason?: string | OutgoingHttpHeaders | OutgoingHttpHeader[],
    headers?: OutgoingHttpHeaders | OutgoingHttpHeader[],
  ): ServerResponse => {
    const response = this.#response;
    if (this.#state === "answered") return response;
    response.statusCode = status;
    if (typeof reason === "string") response.statusMessage = reason;
    const given = typeof reason === "string" ? headers : (reason ?? headers);
    if (given !== undefined) setHeaders(response, given);
    this.#pretendHeadersSent();
    return response;
  };

  readonly #onWrite = (chunk: Chunk, encoding?: BufferEncoding | Callback, callback?: Callback): boolean => {
    if (this.#state === "open") this.#reportHead();
    const done = typeof encoding === "function" ? encoding : callback;
    const coding = typeof encoding === "function" ? undefined : encoding;
    if (this.#state === "answered") {
      this.#fill.chunk(bytesOf(chunk, coding));
      if (done !== undefined) process.nextTick(done);
      return true;
    }
    const flowing = this.#write.call(this.#response, chunk, coding as BufferEncoding, done);
    this.#fill.chunk(bytesOf(chunk, coding));
    return flowing;
  };

  readonly #onEnd = (
    chunk?: Chunk | Callback | null,
    encoding?: BufferEncoding | Callback,
    callback?: Callback,
  ): ServerResponse => {
    const response = this.#response;
    if (this.#ended)
      return this.#state === "answered" || this.#until !== undefined
        ? response
        : this.#end.call(response, chunk as Chunk, encoding as BufferEncoding, callback as () => void);
    this.#ended = true;
    const body = typeof chunk === "function" || chunk === null ? undefined : chunk;
    const coding = typeof encoding === "string" ? encoding : undefined;
    const done = [chunk, encoding, callback].find((argument): argument is Callback => typeof argument === "function");
    const wasOpen = this.#state === "open";
    if (wasOpen) this.#reportHead(body === undefined ? NOTHING : ownBytes(body, coding));
    else if (body !== undefined) this.#fill.chunk(bytesOf(body, coding));
    if (this.#state === "answered") {
      if (done !== undefined) response.once("finish", () => done());
    } else if (this.#until === undefined) {
      this.#finish(body, coding, done);
    } else {
      this.#pretendEnded();
      void this.#until.then(() => this.#finish(body, coding, done));
    }
    if (!wasOpen) this.#fill.end();
    return response;
  };

  #finish(body: Chunk | undefined, coding: BufferEncoding | undefined, done: Callback | undefined): void {
    this.#restore();
    this.#end.call(this.#response, body, coding as BufferEncoding, done as () => void);
  }

  readonly #onFlushHeaders = (): void => {
    if (this.#state === "open") this.#reportHead();
    if (this.#state === "streaming") this.#flushHeaders.call(this.#response);
  };

  readonly #onClose = (): void => {
    if (!this.#ended) this.#fill.abort();
  };

  #reportHead(body?: Uint8Array): void {
    const response = this.#response;
    const action = this.#fill.head({ status: response.statusCode, fields: this.#handlersFields() }, body);
    if (action.answered) {
      this.#state = "answered";
      return;
    }
    this.#state = "streaming";
    response.writeHead = this.#writeHead;
    response.flushHeaders = this.#flushHeaders;
    this.#headersReallySent();
    this.#until = action.until;
    applyFields(response, action.fields);
  }

  /** What the handler set. `Cache-Control` counts whoever set it: an outer `no-store` is meant for this response too. */
  #handlersFields(): Fields {
    const fields = Object.create(null) as Record<string, string | readonly string[]>;
    for (const [name, value] of Object.entries(this.#response.getHeaders())) {
      if (value === undefined) continue;
      const text = typeof value === "object" ? value : String(value);
      if (name !== "cache-control" && sameValue(this.#outer[name], value)) continue;
      fields[name] = text;
    }
    this.#clean?.(fields);
    return fields;
  }

  #pretendHeadersSent(): void {
    Object.defineProperty(this.#response, "headersSent", { value: true, configurable: true });
  }

  #pretendEnded(): void {
    this.#pretendHeadersSent();
    Object.defineProperty(this.#response, "writableEnded", { value: true, configurable: true });
  }

  #headersReallySent(): void {
    // Back to the getters of the prototype.
    Reflect.deleteProperty(this.#response, "headersSent");
    Reflect.deleteProperty(this.#response, "writableEnded");
  }

  #restore(): void {
    const response = this.#response;
    this.#headersReallySent();
    response.writeHead = this.#writeHead;
    response.write = this.#write;
    response.end = this.#end;
    response.flushHeaders = this.#flushHeaders;
  }
}

const NOTHING = new Uint8Array(0);

function sameValue(outer: OutgoingHttpHeader | undefined, now: OutgoingHttpHeader | undefined): boolean {
  if (outer === undefined) return false;
  return outer === now || (Array.isArray(outer) && Array.isArray(now) && JSON.stringify(outer) === JSON.stringify(now));
}

/** The three forms `writeHead` takes: an object, pairs, or one flat list. A name that is repeated keeps all its lines. */
function setHeaders(response: ServerResponse, headers: OutgoingHttpHeaders | OutgoingHttpHeader[]): void {
  if (!Array.isArray(headers)) {
    for (const [name, value] of Object.entries(headers)) if (value !== undefined) response.setHeader(name, value);
    return;
  }
  const flat = Array.isArray(headers[0]) ? (headers as unknown as unknown[][]).flat() : (headers as unknown[]);
  for (let at = 0; at < flat.length; at += 2) response.removeHeader(String(flat[at]));
  for (let at = 0; at + 1 < flat.length; at += 2) response.appendHeader(String(flat[at]), lines(flat[at + 1]));
}

function lines(value: unknown): string | readonly string[] {
  return Array.isArray(value) ? value.map(String) : String(value);
}

function bytesOf(chunk: Chunk, encoding: BufferEncoding | undefined): Uint8Array {
  return typeof chunk === "string" ? Buffer.from(chunk, encoding) : chunk;
}

/** Bytes nobody else can change afterwards, in a buffer of their own: a slice of Node's pool would keep all of it alive. */
function ownBytes(chunk: Chunk, encoding: BufferEncoding | undefined): Uint8Array {
  const bytes = bytesOf(chunk, encoding);
  const isOwn = typeof chunk === "string" && bytes.buffer.byteLength === bytes.byteLength;
  return isOwn ? bytes : Uint8Array.prototype.slice.call(bytes);
}
