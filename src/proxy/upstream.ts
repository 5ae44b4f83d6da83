/** One request to the server behind, over `node:http`: connections, time limits and the one retry. */

import { Agent as HttpAgent, request as httpRequest, type ClientRequest, type IncomingMessage } from "node:http";
import { Agent as HttpsAgent, request as httpsRequest, type RequestOptions } from "node:https";
import { isIP, type Socket } from "node:net";
import type { Duplex } from "node:stream";

import { asError } from "../errors.ts";
import type { ProxySettings } from "./options.ts";

/** Below the five seconds after which many servers close an unused connection; a shorter `Keep-Alive: timeout` counts. */
const UNUSED_SOCKET_MS = 4_000;
const MAX_UNUSED_SOCKETS = 256;
const MAX_RESPONSE_HEAD_BYTES = 64 * 1024;

/** The server behind, and the connections to it. */
export interface Upstream {
  /** Host and port, as its own `Host` field has them. */
  readonly authority: string;
  readonly settings: ProxySettings;
  request(question: Question, fresh: boolean): ClientRequest;
  close(): void;
}

/** A request as it is sent to the upstream. */
export interface Question {
  readonly method: string;
  readonly target: string;
  /** Name, value, name, value, …: complete, framing included. */
  readonly fields: readonly string[];
  /** True when nothing is lost by sending it twice: idempotent and without a body. */
  readonly repeatable: boolean;
  /** True for a protocol switch, which needs a connection of its own. */
  readonly upgrade?: boolean;
}

/** What can come of it. `response`, `upgraded` and `failed` are the ends; one of them happens, unless it is abandoned. */
export interface Answers {
  /** The request to write the body to; called again for a retry. */
  opened(outgoing: ClientRequest): void;
  /** 100 (Continue). */
  continued?(): void;
  /** Another interim response (RFC 9110 §15.2). */
  informed?(status: number, reason: string, rawHeaders: readonly string[]): void;
  response(incoming: IncomingMessage, outgoing: ClientRequest): void;
  upgraded?(incoming: IncomingMessage, socket: Duplex, head: Buffer): void;
  failed(failure: UpstreamFailure): void;
}

/** Why there is no response. */
export interface UpstreamFailure {
  readonly status: 502 | 504 | 408;
  /** One sentence for the client. */
  readonly detail: string;
  /** What happened, for the log. */
  readonly cause: string;
}

/** Opens nothing yet. */
export function createUpstream(settings: ProxySettings): Upstream {
  const { upstream: url, upstreamCa } = settings;
  const secure = url.protocol === "https:";
  const host = url.hostname.replace(/^\[|\]$/g, "");
  const pool = {
    keepAlive: true,
    timeout: UNUSED_SOCKET_MS,
    maxFreeSockets: MAX_UNUSED_SOCKETS,
    scheduling: "lifo" as const,
  };
  const agent = secure ? new HttpsAgent(pool) : new HttpAgent(pool);
  refuseUnasked(agent);
  const send = secure ? httpsRequest : httpRequest;
  const common: RequestOptions = {
    host,
    port: url.port === "" ? (secure ? 443 : 80) : Number(url.port),
    maxHeaderSize: MAX_RESPONSE_HEAD_BYTES,
    // Time limits are set for each phase; the agent's own is for unused connections.
    timeout: 0,
    ...(secure && isIP(host) === 0 ? { servername: host } : {}),
    ...(secure && upstreamCa !== undefined ? { ca: upstreamCa } : {}),
  };
  return {
    authority: url.host,
    settings,
    request: ({ method, target, fields }, fresh) =>
      send({ ...common, method, path: target, headers: fields as string[], agent: fresh ? false : agent }),
    close: () => agent.destroy(),
  };
}

/** What arrives on a connection that nobody uses answers nobody: it must not be taken for the next response. */
function refuseUnasked(agent: HttpAgent): void {
  const keep = agent.keepSocketAlive.bind(agent);
  const reuse = agent.reuseSocket.bind(agent);
  function refuse(this: Duplex): void {
    this.destroy();
  }
  agent.keepSocketAlive = (socket) => {
    socket.on("data", refuse);
    return keep(socket);
  };
  agent.reuseSocket = (socket, request) => {
    socket.off("data", refuse);
    reuse(socket, request);
  };
}

/** Sends `question` and reports what comes back. The result is for a client that leaves: it ends the request. */
export function ask(upstream: Upstream, question: Question, answers: Answers): Asking {
  return new Asking(upstream, question, answers);
}

/** A request under way. */
export class Asking {
  readonly #upstream: Upstream;
  readonly #question: Question;
  readonly #answers: Answers;
  #outgoing: ClientRequest | undefined;
  #timer: NodeJS.Timeout | undefined;
  #settled = false;
  #retried = false;

  constructor(upstream: Upstream, question: Question, answers: Answers) {
    this.#upstream = upstream;
    this.#question = question;
    this.#answers = answers;
    this.#open(question.upgrade === true);
  }

  /** Ends it without a report. Harmless when it has ended. */
  abandon(): void {
    this.#settled = true;
    clearTimeout(this.#timer);
    this.#outgoing?.destroy();
  }

  #open(fresh: boolean): void {
    const { settings } = this.#upstream;
    let outgoing: ClientRequest;
    try {
      outgoing = this.#upstream.request(this.#question, fresh);
    } catch (error) {
      // Node refuses some texts that its parser takes.
      const cause = asError(error).message;
      queueMicrotask(() => this.#fail(badGateway("The request cannot be sent on as it is.", cause)));
      return;
    }
    this.#outgoing = outgoing;
    outgoing.maxHeadersCount = 0;
    let bytesReadBefore = 0;
    this.#limit(settings.connectTimeoutMs, "The upstream did not accept a connection in time.");
    outgoing.once("socket", (socket) => {
      bytesReadBefore = socket.bytesRead;
      this.#whenConnected(socket, () => {
        clearTimeout(this.#timer);
        if (!outgoing.writableFinished) outgoing.setTimeout(settings.idleTimeoutMs);
        else this.#awaitHead();
      });
    });
    outgoing.once("finish", () => this.#awaitHead());
    outgoing.on("timeout", () => this.#stalled(outgoing));
    outgoing.on("continue", () => this.#answers.continued?.());
    outgoing.on("information", ({ statusCode, statusMessage, rawHeaders }) => {
      if (!this.#settled && statusCode !== 100) this.#answers.informed?.(statusCode, statusMessage, rawHeaders);
    });
    outgoing.once("response", (incoming) => this.#respond(incoming, outgoing));
    outgoing.on("upgrade", (incoming, socket, head) => this.#switch(incoming, socket, head));
    outgoing.on("error", (error: NodeJS.ErrnoException) => {
      const untouched = (outgoing.socket?.bytesRead ?? bytesReadBefore) === bytesReadBefore;
      if (this.#mayRetry(outgoing, error) && untouched) {
        this.#retried = true;
        clearTimeout(this.#timer);
        this.#open(true);
        return;
      }
      this.#fail(failureOf(error));
    });
    outgoing.once("close", () => {
      if (outgoing === this.#outgoing) this.#fail(badGateway("The upstream closed the connection.", "closed"));
    });
    this.#answers.opened(outgoing);
  }

  #whenConnected(socket: Socket, then: () => void): void {
    const secure = this.#upstream.settings.upstream.protocol === "https:";
    if (socket.connecting) socket.once(secure ? "secureConnect" : "connect", then);
    else then();
  }

  #awaitHead(): void {
    if (this.#settled) return;
    this.#outgoing?.setTimeout(0);
    this.#limit(this.#upstream.settings.headTimeoutMs, "The upstream did not answer in time.");
  }

  #limit(ms: number, detail: string): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#giveUp({ status: 504, detail, cause: `nothing within ${ms} ms` }), ms);
  }

  /** No byte went either way for too long, after a connection was made. */
  #stalled(outgoing: ClientRequest): void {
    // A response that stops is cut off: what it has begun with cannot be taken back.
    if (this.#settled) outgoing.destroy();
    else if (outgoing.writableNeedDrain) {
      this.#giveUp({ status: 504, detail: "The upstream stopped reading the request.", cause: "stalled" });
    } else this.#giveUp({ status: 408, detail: "The rest of the request did not arrive in time.", cause: "stalled" });
  }

  #giveUp(failure: UpstreamFailure): void {
    this.#fail(failure);
    this.#outgoing?.destroy();
  }

  #respond(incoming: IncomingMessage, outgoing: ClientRequest): void {
    if (this.#settled) return;
    this.#settle();
    outgoing.setTimeout(this.#upstream.settings.idleTimeoutMs);
    this.#answers.response(incoming, outgoing);
  }

  #switch(incoming: IncomingMessage, socket: Duplex, head: Buffer): void {
    const answers = this.#answers;
    if (this.#settled || answers.upgraded === undefined) {
      socket.destroy();
      this.#fail(badGateway("The upstream switched to another protocol unasked.", "unexpected 101"));
      return;
    }
    this.#settle();
    this.#outgoing?.setTimeout(0);
    answers.upgraded(incoming, socket, head);
  }

  /** The upstream closed a kept connection in the moment it was used again (RFC 9112 §9.3.1). */
  #mayRetry(outgoing: ClientRequest, error: NodeJS.ErrnoException): boolean {
    if (this.#settled || this.#retried || !this.#question.repeatable) return false;
    return outgoing.reusedSocket && error.code === "ECONNRESET";
  }

  #settle(): void {
    this.#settled = true;
    clearTimeout(this.#timer);
  }

  #fail(failure: UpstreamFailure): void {
    if (this.#settled) return;
    this.#settle();
    this.#answers.failed(failure);
  }
}

function badGateway(detail: string, cause: string): UpstreamFailure {
  return { status: 502, detail, cause };
}

function failureOf(error: NodeJS.ErrnoException): UpstreamFailure {
  const { code = "", message } = error;
  const cause = code === "" ? message : code;
  if (code === "ETIMEDOUT") return { status: 504, detail: "The upstream did not accept a connection in time.", cause };
  if (code === "HPE_HEADER_OVERFLOW") return badGateway("The head of the upstream's response is too large.", cause);
  if (code.startsWith("HPE_")) return badGateway("The upstream's response is not valid HTTP.", cause);
  if (code === "ECONNRESET" || code === "EPIPE") return badGateway("The upstream closed the connection.", cause);
  if (/CERT|TLS|SSL|SELF_SIGNED|UNABLE_TO_VERIFY/.test(code)) {
    return badGateway("No secure connection to the upstream could be made.", cause);
  }
  return badGateway("The upstream could not be reached.", cause);
}
