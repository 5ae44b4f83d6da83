import { IncomingMessage, ServerResponse } from "node:http";
import type { Socket } from "node:net";
import { Duplex } from "node:stream";
import type { Fill } from "../engine/exchange.ts";
import { shareTags } from "../engine/request-tags.ts";
import { asError } from "../errors.ts";
import { handlersFields, hideParsedCookies } from "./_handlers-fields.ts";
import { ResponseTap, type CleanHead } from "./_response-tap.ts";

type Run = (request: IncomingMessage, response: ServerResponse, fill: Fill) => void;

/** Runs a handler once more with the same request and nobody listening to its response. */
export function runInBackground(
  original: IncomingMessage,
  fill: Fill,
  authority: string | undefined,
  cleanHead: CleanHead | undefined,
  run: Run,
): void {
  const request = copyOf(original);
  shareTags(request, original);
  request.headers = handlersFields(original.headers, fill, authority);
  hideParsedCookies(request, fill);
  const response = new ServerResponse(request);
  const sink = new Sink();
  // A response of its own with a real, if deaf, connection: back-pressure, `finish` and `close` come as always.
  response.assignSocket(sink as unknown as Socket);
  response.once("finish", () => sink.destroy());
  void new ResponseTap(response, fill, cleanHead);
  try {
    run(request, response, fill);
  } catch (error) {
    fill.fail(asError(error));
  }
}

class Sink extends Duplex {
  override _read(): void {}

  override _write(_chunk: unknown, _encoding: string, done: () => void): void {
    done();
  }
}

/**
 * A request like `original`, with its parsed parts and whatever middleware hung on it, but with streams and listeners of
 * its own: the client that goes away must not take the revalidation with it.
 */
function copyOf(original: IncomingMessage): IncomingMessage {
  const copy = new IncomingMessage(original.socket);
  const own = new Set(Object.keys(copy));
  for (const name of Object.keys(original)) {
    if (!own.has(name))
      (copy as unknown as Record<string, unknown>)[name] = (original as unknown as Record<string, unknown>)[name];
  }
  Object.setPrototypeOf(copy, Object.getPrototypeOf(original) as object);
  copy.method = original.method ?? "GET";
  copy.url = original.url ?? "/";
  copy.httpVersion = original.httpVersion;
  copy.httpVersionMajor = original.httpVersionMajor;
  copy.httpVersionMinor = original.httpVersionMinor;
  copy.rawHeaders = original.rawHeaders;
  copy.complete = true;
  copy.push(null);
  return copy;
}
