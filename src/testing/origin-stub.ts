/** A handler from `Request` to `Response` that answers what a test says, when it says so. */

/** Fields of a reply by name. */
export type ReplyFields = Readonly<Record<string, string>>;

/** A reply with a status: `{ status: 404, headers: { "cache-control": "max-age=5" } }`. */
export interface ReplyInit {
  readonly status?: number;
  readonly headers?: ReplyFields;
}

/** What a reply's body is made of. A stream serves one request; the others serve any number. */
export type ReplyBody = string | Uint8Array | ReadableStream<Uint8Array> | null;

/** Requests that arrived and are not answered yet. */
export interface Hold {
  /** How many wait at the moment. */
  readonly waiting: number;
  /** Lets the one that came first go on; the hold stays. */
  releaseOne(): void;
  /** Lets all go on and ends the hold. */
  release(): void;
}

/** The handler below a cache, in the hands of a test. */
export interface OriginStub {
  /** The handler itself, to be wrapped: `cached("5m", origin.handler)`. */
  readonly handler: (request: Request) => Promise<Response>;
  /** Every request that reached the handler, in the order they came. */
  readonly requests: readonly Request[];
  /** From now on the handler answers this: 200 unless `init` names another status; or whatever `body` as a function makes. */
  replies(body: ReplyBody | ((request: Request) => Response | Promise<Response>), init?: ReplyFields | ReplyInit): void;
  /** From now on the handler throws `error`. */
  fails(error?: Error): void;
  /**
   * From now on requests wait before they are answered. What they get is what the stub replies when they are let go,
   * not when they came.
   */
  holds(): Hold;
}

/**
 * A handler for tests of a cache: says what it was asked, answers what it is told, and waits when it is told to.
 * Until it is told anything it answers 200 with the body `ok`.
 *
 * @example
 * const origin = originStub();
 * const handler = fetchCache(createCache())("5m", origin.handler);
 * origin.replies("v1", { "content-language": "en" });
 * await handler(new Request("http://test/"));
 * await handler(new Request("http://test/"));
 * origin.requests.length; // 1
 *
 * @example
 * const hold = origin.holds();
 * const both = [handler(request), handler(request.clone())];
 * hold.waiting; // 1 once the event loop has turned: the second waits for the first, not for the origin
 * hold.release();
 */
export function originStub(): OriginStub {
  const requests: Request[] = [];
  let answer: (request: Request) => Response | Promise<Response> = () => new Response("ok");
  let gate: Gate | undefined;
  return {
    requests,
    async handler(request) {
      requests.push(request);
      await gate?.pass();
      return answer(request);
    },
    replies(body, init = {}) {
      if (typeof body === "function") answer = body;
      else answer = () => new Response(body as ConstructorParameters<typeof Response>[0], responseInit(init));
    },
    fails(error = new Error("the origin failed")) {
      answer = () => {
        throw error;
      };
    },
    holds() {
      const held = new Gate(() => {
        if (gate === held) gate = undefined;
      });
      gate = held;
      return held;
    },
  };
}

class Gate implements Hold {
  readonly #onOpen: () => void;
  readonly #waiting: (() => void)[] = [];

  constructor(onOpen: () => void) {
    this.#onOpen = onOpen;
  }

  get waiting(): number {
    return this.#waiting.length;
  }

  pass(): Promise<void> {
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  releaseOne(): void {
    this.#waiting.shift()?.();
  }

  release(): void {
    this.#onOpen();
    for (const go of this.#waiting.splice(0)) go();
  }
}

function responseInit(init: ReplyFields | ReplyInit): { status?: number; headers: ReplyFields } {
  if (!isReplyInit(init)) return { headers: init };
  const { status, headers = {} } = init;
  return status === undefined ? { headers } : { status, headers };
}

/** No field is called `headers`, and a field's value is not a number. */
function isReplyInit(init: ReplyFields | ReplyInit): init is ReplyInit {
  return typeof init["status"] === "number" || typeof init["headers"] === "object";
}
