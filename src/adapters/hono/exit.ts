import type { Context } from "hono";
import { headOfResponse, UNSENT_LIMIT_MS, type Exit, type LeavingHead } from "../web/departure.ts";
import { nodeExit, outgoingOf } from "../web/server.ts";

/**
 * How a response leaves Hono. On Node the server's `writeHead` is the last moment. Elsewhere it is when Hono hands the
 * response out, which is after all its middleware.
 */
export function honoExit(context: Context, request: Request): Exit {
  const outgoing = outgoingOf(request, context.env);
  return outgoing === undefined ? handedOut(context) : nodeExit(outgoing, () => context.res);
}

type Leaves = (head: LeavingHead) => void;

const watched = new WeakMap<Context, Leaves[]>();

/**
 * The last that Hono does with a context is to read `finalized` and, right after it, `res`. A layer that does the same and
 * then changes the response at once is not the end. Should a version of Hono end otherwise, the limit ends the wait and
 * nothing is stored.
 */
function handedOut(context: Context): Exit {
  return {
    limitMs: UNSENT_LIMIT_MS,
    watch(leaves) {
      const others = watched.get(context);
      if (others !== undefined) return void others.push(leaves);
      const all = [leaves];
      watched.set(context, all);
      watchEnd(context, (response) => {
        watched.delete(context);
        for (const each of all) each(headOfResponse(response));
      });
    },
  };
}

function watchEnd(context: Context, ended: (response: Response) => void): void {
  const prototype = Object.getPrototypeOf(context) as object;
  let { finalized } = context;
  let justRead = false;
  let isLeaving = false;
  const { header, text } = context;
  // Both read `finalized`, and `res` in some versions, for a layer that may go on to read `res`.
  let isInside = false;
  const notTheEnd = <Args extends unknown[], Result>(method: (...args: Args) => Result) => {
    return (...args: Args): Result => {
      isInside = true;
      try {
        return method(...args);
      } finally {
        isInside = false;
        justRead = false;
        isLeaving = false;
      }
    };
  };
  context.header = notTheEnd(header);
  context.text = notTheEnd(text) as typeof text;
  const unwatch = (): void => {
    context.header = header;
    context.text = text;
    Reflect.deleteProperty(context, "res");
    Object.defineProperty(context, "finalized", {
      value: finalized,
      configurable: true,
      enumerable: true,
      writable: true,
    });
  };
  // The microtask runs before the caller of `app.fetch` has the response.
  const decideSoon = (response: Response): void => {
    isLeaving = true;
    const before = linesOf(response.headers);
    queueMicrotask(() => {
      const isEnd = isLeaving && linesOf(response.headers) === before;
      isLeaving = false;
      if (!isEnd) return;
      unwatch();
      ended(response);
    });
  };
  Object.defineProperty(context, "finalized", {
    configurable: true,
    enumerable: true,
    get() {
      justRead = finalized;
      if (justRead) queueMicrotask(() => (justRead = false));
      return finalized;
    },
    set(value: boolean) {
      finalized = value;
    },
  });
  Object.defineProperty(context, "res", {
    configurable: true,
    get(): Response {
      const response = Reflect.get(prototype, "res", context) as Response;
      if (!justRead || isInside) return response;
      if (!isLeaving) decideSoon(response);
      return response;
    },
    set(response: Response | undefined) {
      justRead = false;
      isLeaving = false;
      Reflect.set(prototype, "res", response, context);
    },
  });
}

function linesOf(headers: Headers): string {
  return JSON.stringify([...headers]);
}
