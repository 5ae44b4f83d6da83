/** WebSocket and the like: after a 101 (Switching Protocols) two connections are joined and nothing is read any more. */

import { ServerResponse, type IncomingMessage, type Server } from "node:http";
import type { Duplex } from "node:stream";
import type { Socket } from "node:net";

import { membersOf, requestFields, responseFields } from "./fields.ts";
import { hostFor } from "./forward.ts";
import { forwardingFields, withVia } from "./forwarding-fields.ts";
import { messageHead, writeProblem } from "./problem.ts";
import { relayResponse } from "./relay.ts";
import { ask, type Upstream } from "./upstream.ts";

const KEEP_ALIVE_MS = 30_000;
const MAX_EARLY_BYTES = 64 * 1024;

/** True for what is passed on. Anything else may be ignored (RFC 9110 §7.8), and h2c must: it would bypass every check. */
export function isWebSocket(request: IncomingMessage): boolean {
  if (request.method !== "GET" || request.httpVersion !== "1.1") return false;
  if (request.headers["transfer-encoding"] !== undefined) return false;
  if (Number(request.headers["content-length"] ?? 0) > 0) return false;
  const protocols = membersOf(request.rawHeaders, "upgrade");
  return protocols.length === 1 && protocols[0] === "websocket";
}

/** Hands a connection whose `Upgrade` is ignored back to the server, which reads the same request without that field. */
export function readWithoutUpgrade(
  server: Server,
  isSecure: boolean,
  request: IncomingMessage,
  socket: Duplex,
  head: Buffer,
): void {
  const { method = "GET", url = "/", httpVersion, rawHeaders } = request;
  let text = `${method} ${url} HTTP/${httpVersion}\r\n`;
  for (let at = 0; at + 1 < rawHeaders.length; at += 2) {
    const name = rawHeaders[at] ?? "";
    const value = rawHeaders[at + 1] ?? "";
    const lower = name.toLowerCase();
    if (lower === "upgrade") continue;
    text += `${name}: ${lower === "connection" ? withoutUpgradeOption(value) : value}\r\n`;
  }
  socket.unshift(Buffer.concat([Buffer.from(`${text}\r\n`, "latin1"), head]));
  server.emit(isSecure ? "secureConnection" : "connection", socket);
}

function withoutUpgradeOption(value: string): string {
  return value
    .split(",")
    .map((option) => option.trim())
    .filter((option) => option.toLowerCase() !== "upgrade")
    .join(", ");
}

/** A response object on a connection that the server has handed over. It is closed afterwards. */
export function responseOn(request: IncomingMessage, socket: Duplex): ServerResponse {
  const response = new ServerResponse(request);
  response.shouldKeepAlive = false;
  response.assignSocket(socket as Socket);
  response.once("finish", () => socket.end());
  return response;
}

/** Forwards a request for a switch of protocols; joins the connections if the upstream agrees. */
export function forwardUpgrade(upstream: Upstream, request: IncomingMessage, socket: Duplex, head: Buffer): void {
  const fields = ["Host", hostFor(upstream, request), ...requestFields(request)];
  fields.push("Via", withVia(request.headers.via, request.httpVersion), ...forwardingFields(request));
  fields.push("Connection", "Upgrade", "Upgrade", "websocket");
  const early = new EarlyBytes(socket, head);
  const question = { method: "GET", target: request.url ?? "/", fields, repeatable: false, upgrade: true };
  const asking = ask(upstream, question, {
    opened: (outgoing) => void outgoing.end(),
    response(incoming, outgoing) {
      early.drop();
      relayResponse(incoming, outgoing, request, responseOn(request, socket));
    },
    upgraded(incoming, other, otherHead) {
      if (membersOf(incoming.rawHeaders, "upgrade").join() !== "websocket") {
        other.destroy();
        early.drop();
        writeProblem(responseOn(request, socket), {
          status: 502,
          detail: "The upstream switched to another protocol than the one asked for.",
        });
        return;
      }
      const answer = responseFields(incoming.rawHeaders, (name) => name !== "via");
      answer.push("Via", withVia(incoming.headers.via, incoming.httpVersion));
      answer.push("Connection", "Upgrade", "Upgrade", "websocket");
      socket.write(messageHead(101, "Switching Protocols", answer), "latin1");
      join(socket, early.take(), other, otherHead);
    },
    failed({ status, detail, cause }) {
      upstream.settings.logger?.warn(`${request.method} ${request.url}: ${detail} (${cause})`);
      early.drop();
      writeProblem(responseOn(request, socket), { status, detail });
    },
  });
  socket.once("close", () => asking.abandon());
}

/** What the client sends before the switch is agreed. It has to be read, or nobody would notice that the client leaves. */
class EarlyBytes {
  readonly #socket: Duplex;
  #pieces: Buffer[];
  #bytes: number;

  constructor(socket: Duplex, head: Buffer) {
    this.#socket = socket;
    this.#pieces = [head];
    this.#bytes = head.byteLength;
    socket.on("data", this.#keep);
    socket.on("end", this.#leave);
  }

  /** All of it; from here on the caller reads. */
  take(): Buffer {
    this.#socket.off("data", this.#keep);
    this.#socket.off("end", this.#leave);
    return Buffer.concat(this.#pieces);
  }

  /** There is no switch: what has come and what comes is of no use. */
  drop(): void {
    this.take();
    this.#pieces = [];
    this.#socket.resume();
  }

  readonly #keep = (piece: Buffer): void => {
    this.#pieces.push(piece);
    this.#bytes += piece.byteLength;
    if (this.#bytes > MAX_EARLY_BYTES) this.#socket.pause();
  };

  readonly #leave = (): void => {
    this.#socket.destroy();
  };
}

function join(client: Duplex, clientHead: Buffer, upstream: Duplex, upstreamHead: Buffer): void {
  for (const socket of [client as Socket, upstream as Socket]) {
    socket.setTimeout(0);
    socket.setNoDelay(true);
    // Silence is normal here, so only a dead peer ends it.
    socket.setKeepAlive(true, KEEP_ALIVE_MS);
  }
  if (clientHead.byteLength > 0) upstream.write(clientHead);
  if (upstreamHead.byteLength > 0) client.write(upstreamHead);
  client.pipe(upstream);
  upstream.pipe(client);
  upstream.on("error", () => client.destroy());
  upstream.once("close", () => (client as Socket).destroySoon());
  client.once("close", () => upstream.destroy());
}
