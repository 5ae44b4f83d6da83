import type { IncomingMessage, ServerResponse } from "node:http";
import type { Fill } from "../../engine/exchange.ts";
import type { Entry } from "./copy.ts";

/** Takes an `ETag` that the framework made by itself out of the fields of a head, and gives it. */
export type TakeFrameworkEtag = (fields: Record<string, string | readonly string[]>) => string | undefined;

/** What a framework on `node:http` has to tell about one request. */
export interface NodeCall {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  /** Path and query as the client sent them, where the framework rewrites `request.url`. */
  readonly url: string;
  /** Path and query as the handler is shown them, where something in front of the route rewrote them. */
  readonly shownUrl?: string | undefined;
  /** What else was put in place of what the client sent, as text for the key; `null` where no text can be made of it. */
  readonly replaced?: string | null | undefined;
  /** Lets the handler answer; errors it throws are `fill`'s to hear of first, where there is one. */
  run(fill: Fill | undefined): void;
  /** Answers what a layer throws at the end of a response when the handler has returned: the end waited for a purge. */
  readonly onLateError?: (error: unknown) => void;
  /** Where errors of the handler go that `run` does not throw. */
  readonly unseenErrors?: string | undefined;
  /** The patterns of the routes that answer, where the framework has them; asked once the response is there. */
  patterns?(): readonly string[];
  /**
   * Changes the framework's own copies of path and query, where the handler shall not see the whole query. `sent` and
   * `shown` are what `url` and `shownUrl` become; `request.url` is still as it was.
   */
  rewriteTarget?(request: IncomingMessage, sent: string, shown: string): void;
  readonly takeFrameworkEtag?: TakeFrameworkEtag;
  /** Where requests come in, for those that no server has brought; `undefined` where they cannot be made again. */
  readonly entry: Entry | undefined;
}
