import type { CacheRequest, Fields, ResponseHead } from "../http.ts";

/** A complete answer, ready to be written: what an adapter sends without looking inside. */
export interface Reply {
  readonly status: number;
  /** The reason phrase, where the handler gave one of its own. */
  readonly reason?: string | undefined;
  /** Name, value, name, value, …: names in lower case, a repeated name on several places. Freshness included. */
  readonly fields: readonly string[];
  /** The same without freshness, for a response that leaves with a `Set-Cookie` of an outer layer. */
  readonly plainFields?: readonly string[] | undefined;
  /** `Cache-Control`, `Expires` and `CDN-Cache-Control` as this cache sets them: what `plainFields` lacks. */
  readonly freshness?: readonly string[] | undefined;
  /** `ETag` or `Age` among these fields, where this cache made it up: one that a layer in front sets is the better one. */
  readonly generated?: readonly string[] | undefined;
  /** Fields that outer layers set and the handler took away: they are taken away again. */
  readonly removed?: readonly string[] | undefined;
  /** The handler declared the length of its body by itself: the `Content-Length` is not one that the cache has added. */
  readonly declaresLength?: boolean | undefined;
  /**
   * Where the handler gave its body in pieces: how many bytes of it the last one had, which came with the end. Outer layers
   * may do one thing with pieces and another with the end.
   */
  readonly endBytes?: number | undefined;
  /** `null` where the status or method forbids a body. */
  readonly body: Uint8Array | null;
}

/** What of one client a handler has asked for, so that its page may show it: a form token, or a session read on demand. */
export type OwnedByClient = "csrf-token" | "session";

/** What outer layers did to a response after the handler had answered: hooks on `writeHead`, a session that is saved. */
export interface LateChanges {
  /** They set a cookie that was not there before the handler ran. */
  readonly setsCookie: boolean;
  /** The `Cache-Control` they set in place of the one before. */
  readonly cacheControl?: string | undefined;
  /** Names that they added to `Vary`, in lower case, but those that they deal with by themselves: CORS and compression. */
  readonly vary?: readonly string[] | undefined;
  /** The handler asked for a token that belongs to this client alone. */
  readonly shows?: OwnedByClient | undefined;
  /** The status of a response that they gave in place of the handler's: a denial, an error that they threw. */
  readonly replacedBy?: number | undefined;
}

/**
 * Looks at a response for the last time before it leaves, and gives the fields that tell what changed. Empty:
 * nothing did.
 */
export type LastLook = (changes: LateChanges) => readonly string[];

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
  /** The run of a handler inside which this request came here: a cached route in front of this one started it. */
  readonly within?: Fill | undefined;
  /**
   * Answers the client. `lastLook` is called once, when every outer layer has had its say; where that is later than the
   * return, `send` gives a promise that settles right after it.
   */
  send(reply: Reply, lastLook?: LastLook): void | Promise<void>;
  /** Lets the handler answer as if there were no cache, with these fields added to its response. */
  pass(fields: readonly string[]): void;
  /** Lets the handler run and tells `fill` what it answers. */
  forward(fill: Fill): void;
  /**
   * Runs the same request once more, from where requests come in, and with no client listening.
   * An adapter that cannot do so leaves it out; then one reader waits for the revalidation.
   */
  forwardInBackground?: ((fill: Fill) => void) | undefined;
  /**
   * Runs the same request once more in place of a first run, no byte of whose response the client has got. An adapter that
   * cannot do so leaves it out.
   */
  forwardAgain?: ((fill: Fill) => void) | undefined;
  /** Keeps work that goes on after the response from being ended with it: `waitUntil` of Workers. */
  readonly keepAlive?: ((work: Promise<unknown>) => void) | undefined;
  /** Where an error of the handler goes that `fail` is not told of: for the event of a renewal that failed. */
  readonly unseenErrors?: string | undefined;
  /** What to do so that `forwardInBackground` is there, for a warning. */
  readonly missingEntry?: string | undefined;
}

/** What the handler is shown instead of the client's own request. */
export interface OriginRequest {
  /** Path and query without the parameters that are not in the key. */
  readonly path: string;
  /** The other paths of the request, likewise. */
  readonly otherPaths?: readonly string[] | undefined;
  /** Fields to take away (conditions of the client, which are evaluated on the response). */
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
  | {
      readonly answered: false;
      readonly fields: readonly string[];
      /** Set last, and not beside a `Set-Cookie` or a `Cache-Control` that outer layers set late. */
      readonly freshness?: readonly string[] | undefined;
      readonly lastLook?: LastLook | undefined;
      readonly until?: Promise<void> | undefined;
    }
  /**
   * The client has its answer, or another run will give it: send nothing of this response, but go on reporting it, and where
   * it comes through outer layers tell `lastLook` what they do.
   */
  | { readonly answered: true; readonly lastLook?: LastLook | undefined };

/** The head of a handler's response, as an adapter reports it. */
export interface ReportedHead extends ResponseHead {
  /** The reason phrase, where it is not the usual one. */
  readonly reason?: string | undefined;
  /** See `end`. */
  readonly endBytes?: number | undefined;
  /** Names of the fields that outer layers had set before the handler ran and that are gone now. */
  readonly removed?: readonly string[] | undefined;
  /** `Set-Cookie` lines that outer layers had set before the handler ran and that leave with the response. */
  readonly outerCookies?: readonly string[] | undefined;
  /** The handler has asked for a token that belongs to this client alone. */
  readonly shows?: OwnedByClient | undefined;
  /** An `ETag` that the framework made by itself: clients may hold it, but it is not stored. */
  readonly frameworkEtag?: string | undefined;
  /** What the handler threw, where the framework made this response of it. */
  readonly thrown?: Error | undefined;
  /** Where outer layers have had their say already: what they did. */
  readonly late?: LateChanges | undefined;
}

/** Where an adapter reports the response of one run of the handler, in this order: head, chunks, then `end` or `abort`; or `fail`. */
export interface Fill {
  readonly origin: OriginRequest;
  /** The fill inside which this one runs: of a cached route further out. */
  readonly within?: Fill | undefined;
  /** Which cache it belongs to. */
  readonly owner: object;
  /**
   * Leaves the response to a cached route of the same cache behind this one: its options hold, and nothing waits for this
   * fill any longer.
   */
  giveWay(): void;
  /**
   * The copy of the request that runs the handler for this fill has come to the route, as `request`. False where it would not
   * share its response with the original any more: middleware in front gave it another user, or another part of the key. The
   * handler then answers the copy as if there were no cache, and the fill has ended.
   */
  reached?(request: CacheRequest | undefined, native: unknown): boolean;
  /**
   * The head has arrived. `body` is given when the whole body is known with it; then no chunk and no end follow.
   */
  head(head: ReportedHead, body?: Uint8Array): HeadAction;
  /** A piece of the body. The bytes may be reused by the caller afterwards. */
  chunk(bytes: Uint8Array): void;
  /** The body is complete. `endBytes`: how many of its bytes came with the end, where outer layers can tell. */
  end(endBytes?: number): void;
  /** The handler threw. True when the client got a stored response instead, so the error is dealt with. */
  fail(error: Error): boolean;
  /** The handler failed, and the framework answers for it: the cause, should this be the renewal of a stored response. */
  noteError?(error: Error): void;
  /** The response was cut off before its body was complete: by the client leaving or by the handler giving up. */
  abort(): void;
}
