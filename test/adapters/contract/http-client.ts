/** A client on raw `node:http`: it sends exactly the fields it is given and hides nothing of what comes back. */

import { type Agent, type IncomingMessage, request as httpRequest } from "node:http";

export interface SendOptions {
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string | readonly string[]>>;
  readonly body?: string | Uint8Array;
  /** Default: a connection of its own. */
  readonly agent?: Agent;
}

export interface Received {
  readonly status: number;
  readonly statusMessage: string;
  /** As Node joins them, by lower-case name. */
  readonly headers: IncomingMessage["headers"];
  /** Names and values as they came. */
  readonly rawHeaders: readonly string[];
  readonly body: Buffer;
  readonly text: string;
  /** The client's own port: the same for two responses on one connection. */
  readonly localPort: number | undefined;
}

/** Sends a request and resolves with the head of its response; its body is still to be read. */
export function open(url: string, options: SendOptions = {}): Promise<IncomingMessage> {
  const { method = "GET", headers = {}, body, agent } = options;
  const { hostname, port, origin } = new URL(url);
  return new Promise((resolve, reject) => {
    const sent = httpRequest({
      hostname,
      port,
      // The target as it was written: a URL object would have tidied it up.
      path: url.slice(origin.length) || "/",
      method,
      headers: headers as Record<string, string | string[]>,
      agent: agent ?? false,
    });
    sent.once("response", resolve);
    sent.once("error", reject);
    sent.end(body);
  });
}

/** Sends a request and resolves with the whole response; rejects when it is cut off. */
export async function send(url: string, options: SendOptions = {}): Promise<Received> {
  const response = await open(url, options);
  const { localPort } = response.socket;
  const body = await read(response);
  return {
    status: response.statusCode ?? 0,
    statusMessage: response.statusMessage ?? "",
    headers: response.headers,
    rawHeaders: response.rawHeaders,
    body,
    text: body.toString(),
    localPort,
  };
}

/** The rest of a body. */
export async function read(response: IncomingMessage): Promise<Buffer> {
  const pieces: Buffer[] = [];
  for await (const piece of response) pieces.push(piece as Buffer);
  return Buffer.concat(pieces);
}

/** The values of one field, a line each. */
export function linesOf(received: Pick<Received, "rawHeaders">, name: string): string[] {
  const lines: string[] = [];
  for (let at = 0; at < received.rawHeaders.length; at += 2) {
    if (received.rawHeaders[at]?.toLowerCase() === name) lines.push(received.rawHeaders[at + 1] ?? "");
  }
  return lines;
}

/** The first piece of a body, without waiting for more; the response goes on as before. */
export function firstPiece(response: IncomingMessage): Promise<string> {
  return new Promise((resolve, reject) => {
    response.once("error", reject);
    response.once("data", (piece: Buffer) => {
      response.pause();
      resolve(piece.toString());
    });
  });
}
