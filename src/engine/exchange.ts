import type { Fields, ResponseHead } from "../types.ts";

/** A complete answer, ready to be written: what an adapter sends without looking inside. */
export interface Reply {
  readonly status: number;
  /** Name, value, name, value, …: names in lower case, a repeated name on several places. */
  readonly fields: readonly string[];
  /** `null` where the status or method forbids a body. */
  readonly body: Uint8Array | null;
}

/**
 * One request and its client, as an adapter shows it to the engine. The engine calls exactly one of
 * `send`, `pass` and `forward` first; after `forward` it may still call `send`, when the origin's own response is not
 * what the client shall get.
 */
export interface Exchange {
  /** The framework's request, for the callbacks a developer wrote. */
  readonly native: unknown;
  /**
   * The patterns of the routes that answer, `/users/:id`, where the framework tells them. Asked once the response is there:
   * a cache in front of a router does not know the route before.
   */
  patterns?(): readonly string[];
  /** Answers the client. */
  send(reply: Reply): void;
  /** Lets the handler answer as if there were no cache, with these fields added to its response. */
  pass(fields: readonly string[]): void;
  /** Lets the handler run and tells `fill` what it answers. */
  forward(fill: Fill): void;
  /**
   * Runs the handler once more with no client listening, for stale-while-revalidate.
   * An adapter that cannot do so leaves it out; then one reader waits for the revalidation.
   */
  forwardInBackground?: ((fill: Fill) => void) | undefined;
}

/** What the handler is shown instead of the client's own request. */
export interface OriginRequest {
  /** Path and query without the parameters that are not in the key. */
  readonly path: string;
  /** The other paths of the request, likewise. */
  readonly otherPaths?: readonly string[] | undefined;
  /** Fields to take away (conditions and ranges of the client, which are evaluated on the stored response). */
  readonly without: readonly string[];
  /** Fields to add: the conditions of a revalidation. */
  readonly plus: Fields;
}

/** What the adapter has to do with a response head of the handler. */
export type HeadAction =
  /**
   * Send it, with these fields set in place of any of the same name, and stream the body. `until`: the client must not have
   * the end of it before this has settled; it never rejects.
   */
  | { readonly answered: false; readonly fields: readonly string[]; readonly until?: Promise<void> | undefined }
  /** The client already has its answer: send nothing of this response, but go on reporting it. */
  | { readonly answered: true };

/** Where an adapter reports the response of one run of the handler, in this order: head, chunks, then `end` or `abort`; or `fail`. */
export interface Fill {
  readonly origin: OriginRequest;
  /**
   * The head has arrived. `body` is given when the whole body is known with it; then no chunk and no end follow.
   */
  head(head: ResponseHead, body?: Uint8Array): HeadAction;
  /** A piece of the body. The bytes may be reused by the caller afterwards. */
  chunk(bytes: Uint8Array): void;
  /** The body is complete. */
  end(): void;
  /** The handler threw. True when the client got a stored response instead, so the error is dealt with. */
  fail(error: Error): boolean;
  /** The response was cut off before its body was complete: by the client leaving or by the handler giving up. */
  abort(): void;
}
