import { STATUS_CODES, type OutgoingHttpHeader, type OutgoingHttpHeaders, type ServerResponse } from "node:http";
import type {
  Fill,
  HeadAction,
  LastLook,
  LateChanges,
  ReportedHead,
  Reply,
  OwnedByClient,
} from "../../engine/exchange.ts";
import { renewalReplaced } from "../../engine/fill/renewals.ts";
import { asError } from "../../errors.ts";
import type { TakeFrameworkEtag } from "./node-call.ts";
import type { ShownRequest } from "./shown-request.ts";
import { hasUnwatchedToken } from "./form-token.ts";
import type { Fields } from "../../http.ts";
import {
  applyFields,
  finishHead,
  isRehearsed,
  leavesWithFreshness,
  lateChanges,
  lateState,
  lookAgain,
  setHeadEnd,
  writeAmongOthers,
  type LateState,
} from "./reply.ts";
import { countedVary } from "../shared/outer-vary.ts";
import { SetFields } from "./set-fields.ts";
import { blockHeaders, refuseChunk, refuseHead, refuseLength, refuseOwnHead, type Chunk } from "./refusals.ts";

type Callback = (error?: Error | null) => void;

/** Where the bytes of a handler's response go: to its own client, to nobody, or to the client of an earlier run. */
export type Destination = "client" | "nowhere" | ResponseTap;

/** What a tap may be given besides the response and who hears of it. */
export interface TapOptions {
  /** The request, which code in front reads as the client sent it. */
  readonly shown: ShownRequest;
  readonly takeFrameworkEtag?: TakeFrameworkEtag | undefined;
  /** Hears what an outer layer throws once the handler has returned. */
  readonly onLateError?: ((error: unknown) => void) | undefined;
  /** Default `"client"`. */
  readonly destination?: Destination | undefined;
}

const TAPPED = ["writeHead", "write", "end", "flushHeaders"] as const;
type Tapped = (typeof TAPPED)[number];

/**
 * Listens to what a handler writes on a `ServerResponse` and passes it on as the engine decides.
 *
 * `writeHead` is held back until the first byte or the end, as Node itself does, so that a handler which gives its whole
 * body at once is answered from what is stored. Nothing is delayed beyond that: each chunk goes out as it comes.
 */
export class ResponseTap {
  readonly #response: ServerResponse;
  readonly #fill: Fill;
  readonly #takeFrameworkEtag: TakeFrameworkEtag | undefined;
  readonly #destination: Destination;
  readonly #shown: ShownRequest;
  readonly #onLateError: ((error: unknown) => void) | undefined;
  /** Headers that outer layers had set before the handler ran: theirs are not stored. */
  readonly #outer: OutgoingHttpHeaders;
  /** Fields that the handler sets: its own also where they have the value that an outer layer had given them. */
  readonly #set: SetFields;
  /** The methods as outer layers left them. */
  readonly #methods: Pick<ServerResponse, Tapped>;
  /** Those of them that stood on the response itself. */
  readonly #own = new Set<Tapped>();
  /** Those in whose place this tap stands now. */
  readonly #installed = new Set<Tapped>();
  /** Where heads arrived before: at the tap of a cached route further out. */
  readonly #headEnd: ServerResponse["writeHead"] | undefined;
  /** `open`: no head yet; `passing`: bytes go to the destination; `answered`: they go nowhere. */
  #state: "open" | "passing" | "answered" = "open";
  /** The client was given another response than the handler's. */
  #hasOtherAnswer = false;
  #shows: OwnedByClient | undefined;
  /** The headers as the handler left them. */
  #handlers: OutgoingHttpHeaders = {};
  /** What an outer layer threw while the client was answered. */
  #fault: { readonly error: unknown } | undefined;
  /** The handler, or a hook behind the cache, has given the head. */
  #hasHead = false;
  #ended = false;
  /** The client must not have the end before this has settled. */
  #until: Promise<void> | undefined;
  #lastLook: LastLook | undefined;
  #before: LateState | undefined;
  #unblock: (() => void) | undefined;
  /** What stands behind the properties that show another state of the response than it has. */
  readonly #real = new Map<string, PropertyDescriptor | undefined>();
  /** Reports a whole response that no client waits for, once everything around the handler has sent it. */
  #reportWhole: (() => void) | undefined;

  constructor(
    response: ServerResponse,
    fill: Fill,
    { shown, takeFrameworkEtag, destination = "client", onLateError }: TapOptions,
  ) {
    this.#response = response;
    this.#fill = fill;
    this.#takeFrameworkEtag = takeFrameworkEtag;
    this.#destination = destination;
    this.#shown = shown;
    this.#onLateError = onLateError;
    this.#outer = response.getHeaders();
    // As they are now: other middleware may have put its own in their place. They are called on the response.
    // oxlint-disable-next-line typescript/unbound-method
    const { writeHead, write, end, flushHeaders } = response;
    this.#methods = { writeHead, write, end, flushHeaders };
    this.#headEnd = setHeadEnd(response, undefined);
    this.#set = new SetFields(response);
    this.#install();
    // Its client may have left while the request waited for another one.
    if (response.closed) this.#onClose();
    // Before the listeners of code in front, which read the request as it was sent.
    else response.prependOnceListener("close", this.#onClose);
  }

  /** Answers the client with another response than the handler's. */
  answer(reply: Reply, lastLook?: LastLook): void | Promise<void> {
    this.#state = "answered";
    this.#hasOtherAnswer = true;
    this.#shown.putBack();
    this.#restore();
    const response = this.#response;
    if (response.headersSent) return undefined;
    this.#resetHeaders();
    let leaving: void | Promise<void>;
    try {
      leaving = writeAmongOthers(response, reply, lastLook);
    } catch (error) {
      // It is thrown to the handler, which wrote what is answered.
      this.#fault = { error };
      throw error;
    }
    this.#goOnListening();
    return leaving;
  }

  /** The handler asks for something of this client, which its response may show. */
  noteShown(shows: OwnedByClient): void {
    this.#shows ??= shows;
    this.#lastLook?.({ setsCookie: false, shows });
  }

  #install(): void {
    const response = this.#response;
    for (const name of TAPPED) this.#noteMethod(name);
    response.writeHead = this.#onWriteHead;
    response.write = this.#onWrite;
    response.end = this.#onEnd;
    response.flushHeaders = this.#onFlushHeaders;
    setHeadEnd(response, this.#onWriteHead);
  }

  /** The handler does not know that its client has another answer, and may go on writing. */
  #goOnListening(): void {
    this.#install();
    // Node writes the head with the first byte or, where an outer layer ends the response later, then.
    if (!this.#response.headersSent) this.#restoreMethod("writeHead");
  }

  /** Keeps the method that stands on the response, to be put back. */
  #noteMethod(name: Tapped): void {
    const response = this.#response;
    Object.assign(this.#methods, { [name]: response[name] });
    if (Object.hasOwn(response, name)) this.#own.add(name);
    else this.#own.delete(name);
    this.#installed.add(name);
  }

  /** Puts back what stood there before. */
  #restore(): void {
    this.#showRealState();
    this.#set.stop();
    for (const name of TAPPED) this.#restoreMethod(name);
  }

  #restoreMethod(name: Tapped): void {
    // Once: a layer may have taken its own method off since.
    if (!this.#installed.delete(name)) return;
    if (name === "writeHead") setHeadEnd(this.#response, this.#headEnd);
    if (this.#own.has(name)) Object.assign(this.#response, { [name]: this.#methods[name] });
    else Reflect.deleteProperty(this.#response, name);
  }

  /** Makes the headers what they were: before the handler ran, unless told otherwise. */
  #resetHeaders(to: OutgoingHttpHeaders = this.#outer): void {
    const response = this.#response;
    for (const name of response.getHeaderNames()) {
      if (to[name] === undefined && name !== "connection") response.removeHeader(name);
    }
    for (const [name, value] of Object.entries(to)) {
      if (value !== undefined && !sameValue(value, response.getHeader(name))) response.setHeader(name, value);
    }
  }

  readonly #onWriteHead = (
    status: number,
    reason?: string | OutgoingHttpHeaders | OutgoingHttpHeader[],
    headers?: OutgoingHttpHeaders | OutgoingHttpHeader[],
  ): ServerResponse => {
    const response = this.#response;
    if (isRehearsed(response)) return response;
    // An answer that the handler knows nothing of.
    if (this.#state === "answered" && !this.#hasHead) {
      this.#hasHead = true;
      return response;
    }
    refuseHead(response, this.#hasHead, status, reason, headers);
    this.#hasHead = true;
    response.statusCode = status;
    if (typeof reason === "string") response.statusMessage = reason;
    const given = typeof reason === "string" ? headers : (reason ?? headers);
    if (given !== undefined) setHeaders(response, given);
    this.#pretendHeadersSent();
    return response;
  };

  readonly #onWrite = (chunk: Chunk, encoding?: BufferEncoding | Callback, callback?: Callback): boolean => {
    const done = typeof encoding === "function" ? encoding : callback;
    const coding = typeof encoding === "function" ? undefined : encoding;
    const isOver = this.#ended && this.#response.writableEnded && this.#until === undefined;
    if (isOver) return this.#methods.write.call(this.#response, chunk, coding as BufferEncoding, done);
    refuseChunk("write", chunk, coding);
    if (this.#state !== "answered") refuseLength("write", this.#response, this.#hasHead, chunk, coding);
    if (this.#state === "open") this.#requireHead();
    return this.#tryTo(() => this.#write(chunk, coding, done));
  };

  #write(chunk: Chunk, coding: BufferEncoding | undefined, done: Callback | undefined): boolean {
    if (this.#state === "open") this.#reportHead();
    // Copied by the fill before a layer outside can change it.
    this.#fill.chunk(bytesOf(chunk, coding));
    if (this.#state === "answered") {
      if (done !== undefined) process.nextTick(done);
      return true;
    }
    if (this.#destination instanceof ResponseTap) return this.#destination.#relay(chunk, coding, this.#response, done);
    const flowing = this.#writeOutside(chunk, coding, done);
    this.#lookAgain();
    return flowing;
  }

  /** A layer may change its methods while it writes: take them off, or put others in their place. This tap stays behind them. */
  #writeOutside(chunk: Chunk, coding: BufferEncoding | undefined, done: Callback | undefined): boolean {
    const response = this.#response;
    // They are called on the response.
    // oxlint-disable-next-line typescript/unbound-method
    const { write, end } = response;
    try {
      return this.#shown.asSent(() => this.#methods.write.call(response, chunk, coding as BufferEncoding, done));
    } finally {
      if (this.#installed.has("write") && response.write !== write) {
        this.#noteMethod("write");
        response.write = write;
      }
      if (this.#installed.has("end") && response.end !== end) {
        this.#noteMethod("end");
        response.end = end;
      }
    }
  }

  readonly #onEnd = (
    chunk?: Chunk | Callback | null,
    encoding?: BufferEncoding | Callback,
    callback?: Callback,
  ): ServerResponse => {
    const response = this.#response;
    if (this.#ended) return this.#endAgain(chunk, encoding, callback);
    const body = typeof chunk === "function" || !chunk ? undefined : chunk;
    const coding = typeof encoding === "string" ? encoding : undefined;
    const done = [chunk, encoding, callback].find((argument): argument is Callback => typeof argument === "function");
    if (body !== undefined) refuseChunk("end", body, coding);
    if (this.#state !== "answered") refuseLength("end", response, this.#hasHead, body, coding);
    if (this.#state === "open") this.#requireHead();
    this.#tryTo(() => this.#end(body, coding, done));
    return response;
  };

  #end(body: Chunk | undefined, coding: BufferEncoding | undefined, done: Callback | undefined): void {
    const response = this.#response;
    const wasOpen = this.#state === "open";
    this.#ended = true;
    const whole = wasOpen ? (body === undefined ? NOTHING : ownBytes(body, coding)) : undefined;
    if (whole !== undefined) this.#reportHead(whole);
    const last = wasOpen || body === undefined ? NOTHING : bytesOf(body, coding);
    if (last.byteLength > 0) this.#fill.chunk(last);
    if (this.#state === "answered") {
      if (!this.#hasOtherAnswer) this.#pretendEnded();
      if (done !== undefined) response.once("finish", () => done());
    } else if (this.#until === undefined) {
      this.#finish(body, coding, done);
    } else {
      this.#pretendEnded();
      void this.#until.then(() => this.#finishLate(body, coding, done));
    }
    if (!wasOpen || this.#reportWhole !== undefined) this.#endFill(last.byteLength);
  }

  /** What an outer layer throws reaches the handler, as without the cache, and nothing is kept. */
  #tryTo<Result>(act: () => Result): Result {
    try {
      const result = act();
      if (this.#fault !== undefined) throw this.#fault.error;
      return result;
    } catch (error) {
      this.#breakOff(error);
      throw error;
    }
  }

  /** The response is the application's own again, which answers the error. */
  #breakOff(error: unknown): void {
    this.#fault = undefined;
    this.#ended = true;
    this.#shown.putBack();
    this.#restore();
    // What the cache says of the response is not true of the answer to the error.
    if (!this.#response.headersSent) this.#resetHeaders(this.#handlers);
    this.#lastLook = undefined;
    this.#reportWhole = undefined;
    if (this.#destination === "nowhere") this.#fill.fail(asError(error));
    else this.#fill.abort();
  }

  /** An outer layer may write the head later than the handler ends, such as one that saves a session first. */
  #endFill(endBytes: number): void {
    const end = (): void => {
      this.#lookAgain();
      if (this.#reportWhole === undefined) this.#fill.end(endBytes);
      else this.#reportWhole();
    };
    if (this.#state === "answered" || this.#until !== undefined || this.#isHeadWritten) end();
    else this.#response.once("close", end);
  }

  get #isHeadWritten(): boolean {
    // Past what is shown of it.
    return Reflect.get(Object.getPrototypeOf(this.#response) as object, "headersSent", this.#response) as boolean;
  }

  #endAgain(
    chunk: Chunk | Callback | null | undefined,
    encoding: BufferEncoding | Callback | undefined,
    callback: Callback | undefined,
  ): ServerResponse {
    const response = this.#response;
    // It is shown as ended while the end is still to come.
    const isPending = this.#real.has("writableEnded") || !response.writableEnded;
    const done = [chunk, encoding, callback].find((argument): argument is Callback => typeof argument === "function");
    if (!isPending)
      this.#methods.end.call(response, chunk as Chunk, encoding as BufferEncoding, callback as () => void);
    else if (done !== undefined) response.once("finish", () => done());
    return response;
  }

  #finish(body: Chunk | undefined, coding: BufferEncoding | undefined, done: Callback | undefined): void {
    this.#shown.putBack();
    this.#restore();
    const response = this.#response;
    if (this.#destination instanceof ResponseTap) {
      this.#destination.#relayEnd(body, coding);
      this.#methods.end.call(response, undefined, undefined as unknown as BufferEncoding, done as () => void);
      return;
    }
    this.#methods.end.call(response, body, coding as BufferEncoding, done as () => void);
    this.#lookAgain();
  }

  /** The handler has returned and cannot be thrown what a layer throws: it goes where the handler's late errors go. */
  #finishLate(body: Chunk | undefined, coding: BufferEncoding | undefined, done: Callback | undefined): void {
    try {
      this.#finish(body, coding, done);
    } catch (error) {
      if (this.#onLateError === undefined) return void this.#response.destroy(asError(error));
      this.#breakOff(error);
      this.#onLateError(error);
    }
  }

  readonly #onFlushHeaders = (): void => {
    if (this.#state === "open") this.#requireHead();
    this.#tryTo(() => {
      if (this.#state === "open") this.#reportHead();
      if (this.#state !== "passing" || this.#destination !== "client") return;
      this.#shown.asSent(() => this.#methods.flushHeaders.call(this.#response));
    });
  };

  readonly #onClose = (): void => {
    this.#shown.putBack();
    if (!this.#ended) this.#fill.abort();
  };

  /** Gives the head as Node does where the handler has not: through every hook behind the cache. */
  #requireHead(): void {
    if (this.#hasHead) return;
    const response = this.#response;
    if (response.writeHead !== this.#onWriteHead) return void response.writeHead(response.statusCode);
    refuseOwnHead(response);
    this.#hasHead = true;
  }

  #reportHead(body?: Uint8Array): void {
    this.#requireHead();
    this.#handlers = this.#response.getHeaders();
    const head = this.#head();
    if (this.#destination === "nowhere") {
      this.#state = "passing";
      const late = this.#sendOwnHead(body);
      if (body === undefined) this.#lastLook = this.#reportUnsent({ ...head, late });
      else this.#reportWhole = () => void this.#reportUnsent({ ...head, late: this.#withLater(late) }, body);
      return;
    }
    const action = this.#fill.head(head, body);
    if (action.answered) {
      this.#state = "answered";
      // Its answer waits for the end of the handler's body; the handler sees what it would see without the cache.
      if (!this.#hasOtherAnswer) this.#pretendHeadersSent();
      return;
    }
    this.#state = "passing";
    this.#until = action.until;
    if (this.#destination instanceof ResponseTap) {
      this.#destination.#relayHead(head, action);
      this.#showRealState();
      return;
    }
    this.#showRealState();
    this.#restoreMethod("writeHead");
    this.#restoreMethod("flushHeaders");
    this.#finishHead(action, head, body);
  }

  /**
   * Reports a response that no client waits for. Where an outer layer gave another one in its place the renewal has failed: the
   * handler's response must not be stored, and says nothing against the one that is.
   */
  #reportUnsent(head: ReportedHead, body?: Uint8Array): LastLook | undefined {
    const isReplaced = ({ replacedBy }: LateChanges): boolean => {
      if (replacedBy !== undefined) this.#fill.fail(renewalReplaced(replacedBy));
      return replacedBy !== undefined;
    };
    if (head.late !== undefined && isReplaced(head.late)) return undefined;
    const { lastLook } = this.#fill.head(head, body);
    return lastLook && ((changes) => (isReplaced(changes) ? [] : lastLook(changes)));
  }

  #finishHead(action: HeadAction & { answered: false }, { fields }: ReportedHead, body?: Uint8Array): void {
    const response = this.#response;
    const addedLength = body === undefined ? undefined : declareLength(response, body);
    applyFields(response, action.fields);
    const { lastLook } = action;
    this.#lastLook = lastLook;
    const coding = fields["content-encoding"];
    const freshness = leavesWithFreshness(response, this.#outer) ? undefined : action.freshness;
    const known = { lastLook, coding: coding === undefined ? undefined : String(coding), addedLength };
    this.#shown.asSent(() => finishHead(response, freshness, known));
    this.#before = lateState(response);
  }

  /** The head of a response that no client waits for: outer layers have their say first, because the fill has to know. */
  #sendOwnHead(body: Uint8Array | undefined): LateChanges | undefined {
    const response = this.#response;
    this.#showRealState();
    this.#restoreMethod("writeHead");
    this.#restoreMethod("flushHeaders");
    const addedLength = body === undefined ? undefined : declareLength(response, body);
    let late: LateChanges | undefined;
    const lastLook: LastLook = (changes) => {
      late = changes;
      return [];
    };
    this.#shown.asSent(() => finishHead(response, undefined, { lastLook, coding: undefined, addedLength }));
    this.#before = lateState(response);
    return late;
  }

  /** With what was changed since the head was finished. */
  #withLater(late: LateChanges | undefined): LateChanges | undefined {
    const later = this.#before === undefined ? undefined : lateChanges(this.#response, this.#before);
    if (later === undefined || late === undefined) return later ?? late;
    return {
      setsCookie: later.setsCookie || late.setsCookie,
      cacheControl: later.cacheControl ?? late.cacheControl,
      vary: [...(late.vary ?? []), ...(later.vary ?? [])],
      replacedBy: later.replacedBy ?? late.replacedBy,
    };
  }

  #lookAgain(): void {
    const lastLook = this.#lastLook;
    if (lastLook === undefined || this.#before === undefined) return;
    lookAgain(this.#response, this.#before, lastLook);
    this.#before = lateState(this.#response);
  }

  /** Sends the head of a second run to the client of this one. */
  #relayHead(head: ReportedHead, action: HeadAction & { answered: false }): void {
    this.#state = "answered";
    this.#shown.putBack();
    this.#restore();
    const response = this.#response;
    if (response.headersSent) return;
    this.#resetHeaders();
    response.statusCode = head.status;
    response.statusMessage = head.reason ?? "";
    applyFields(response, flatFields(head));
    for (const name of head.removed ?? []) response.removeHeader(name);
    this.#finishHead(action, head);
    this.#goOnListening();
  }

  #relay(
    chunk: Chunk,
    coding: BufferEncoding | undefined,
    source: ServerResponse,
    done: Callback | undefined,
  ): boolean {
    const flowing = this.#writeOutside(chunk, coding, done);
    if (!flowing) this.#response.once("drain", () => source.emit("drain"));
    return flowing;
  }

  #relayEnd(body: Chunk | undefined, coding: BufferEncoding | undefined): void {
    this.#restore();
    this.#methods.end.call(this.#response, body, coding as BufferEncoding);
    this.#lookAgain();
  }

  #head(): ReportedHead {
    const response = this.#response;
    const { statusCode: status, statusMessage } = response;
    const fields = this.#handlersFields();
    const frameworkEtag = this.#takeFrameworkEtag?.(fields);
    const isUsual = !statusMessage || statusMessage === STATUS_CODES[status];
    const present = response.getHeaders();
    const removed = Object.keys(this.#outer).filter((name) => present[name] === undefined && !TRANSPORT.has(name));
    const reason = isUsual ? undefined : statusMessage;
    const outerCookies = this.#outerCookies(present["set-cookie"]);
    const shows = this.#shows ?? (hasUnwatchedToken(response.req) ? "csrf-token" : undefined);
    return { status, fields, reason, removed, frameworkEtag, outerCookies, shows };
  }

  /** The `Set-Cookie` lines of outer layers that the handler left in place. */
  #outerCookies(present: OutgoingHttpHeader | undefined): readonly string[] | undefined {
    const outer = this.#outer["set-cookie"];
    if (outer === undefined || present === undefined) return undefined;
    const lines = new Set([present].flat().map(String));
    return [outer]
      .flat()
      .map(String)
      .filter((line) => lines.has(line));
  }

  /** What the handler set. `Cache-Control` counts whoever set it: an outer `no-store` is meant for this response too. */
  #handlersFields(): Record<string, string | readonly string[]> {
    const fields = Object.create(null) as Record<string, string | readonly string[]>;
    for (const [name, value] of Object.entries(this.#response.getHeaders())) {
      if (value === undefined) continue;
      const text = typeof value === "object" ? value : String(value);
      const isOuter = !this.#set.has(name) && sameValue(this.#outer[name], value);
      if (isOuter && name !== "cache-control" && name !== "vary") continue;
      if (name === "vary") {
        const counted = isOuter ? countedVary(String(value)) : String(value);
        if (counted !== "") fields[name] = counted;
      } else if (name !== "set-cookie") fields[name] = text;
      else {
        const cookies = this.#handlersCookies(text);
        if (cookies.length > 0) fields[name] = cookies;
      }
    }
    return fields;
  }

  /** `Set-Cookie` without the lines of outer layers; all lines where the handler has set the field to what it was. */
  #handlersCookies(lines: string | readonly string[]): readonly string[] {
    const outer = [this.#outer["set-cookie"] ?? []].flat().map(String);
    const own = [lines].flat().filter((line) => !takeFrom(outer, line));
    const isSetAgain = own.length === 0 && outer.length === 0 && this.#set.has("set-cookie");
    return isSetAgain ? [lines].flat() : own;
  }

  #pretendHeadersSent(): void {
    this.#unblock ??= blockHeaders(this.#response);
    this.#pretend("headersSent", true);
    // Layers that look for Node's own head find none, and would have it written.
    this.#pretend("_implicitHeader", () => {});
  }

  #pretendEnded(): void {
    this.#pretendHeadersSent();
    this.#pretend("writableEnded", true);
  }

  #pretend(name: string, value: unknown): void {
    if (this.#real.has(name)) return;
    // The tap of another cached route may pretend as well.
    this.#real.set(name, Object.getOwnPropertyDescriptor(this.#response, name));
    Object.defineProperty(this.#response, name, { value, configurable: true, writable: true });
  }

  #showRealState(): void {
    this.#unblock?.();
    this.#unblock = undefined;
    for (const [name, descriptor] of this.#real) {
      if (descriptor === undefined) Reflect.deleteProperty(this.#response, name);
      else Object.defineProperty(this.#response, name, descriptor);
    }
    this.#real.clear();
  }
}

const NOTHING = new Uint8Array(0);

/** Fields of a connection or a message. Their absence does not mean that the handler removed them. */
const TRANSPORT: ReadonlySet<string> = new Set([
  "connection",
  "keep-alive",
  "transfer-encoding",
  "content-length",
  "date",
]);

/** Sets the length of a whole body, for hooks that decide by it. Gives it where the handler has declared none. */
function declareLength(response: ServerResponse, { byteLength }: Uint8Array): string | undefined {
  const { statusCode } = response;
  if (statusCode === 204 || statusCode === 304 || response.hasHeader("content-length")) return undefined;
  if (response.hasHeader("transfer-encoding") || response.hasHeader("trailer") || response.req.method === "HEAD")
    return undefined;
  response.setHeader("content-length", byteLength);
  return String(byteLength);
}

/** Takes one such line out of the list. True where there was one. */
function takeFrom(lines: string[], line: string): boolean {
  const at = lines.indexOf(line);
  if (at !== -1) lines.splice(at, 1);
  return at !== -1;
}

function flatFields({ fields, frameworkEtag }: { fields: Fields; frameworkEtag?: string | undefined }): string[] {
  const flat: string[] = frameworkEtag === undefined ? [] : ["etag", frameworkEtag];
  for (const [name, value] of Object.entries(fields)) {
    if (value === undefined) continue;
    for (const line of [value].flat()) flat.push(name, line);
  }
  return flat;
}

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
