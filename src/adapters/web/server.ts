/** What servers and runtimes hand to a handler of the web family besides the request. */

import type { Exit, LeavingHead } from "./departure.ts";
import { incomingOf, isFromServer } from "./from-server.ts";
import { property } from "./property.ts";

/** The response of a server of `node:http`, as far as it is looked at. */
export interface NodeOutgoing {
  writeHead(status: number, ...rest: unknown[]): unknown;
  getHeader(name: string): unknown;
  readonly headersSent: boolean;
}

/** `waitUntil` of Workers and of srvx: keeps what runs in the background alive. */
export type WaitUntil = (work: Promise<unknown>) => void;

/**
 * Node's response to this request: `@hono/node-server` gives it beside the request (`{ outgoing }`), srvx on the request
 * (`runtime.node.res`). `undefined` for a request that the application made itself with the same bindings.
 */
export function outgoingOf(request: Request, ...beside: readonly unknown[]): NodeOutgoing | undefined {
  const outgoing = besideOrOn(request, beside);
  if (outgoing === undefined) return undefined;
  const incoming = incomingOf(request, ...beside);
  return incoming === undefined || isFromServer(request, incoming) ? outgoing : undefined;
}

function besideOrOn(request: Request, beside: readonly unknown[]): NodeOutgoing | undefined {
  for (const value of beside) {
    const outgoing = property(value, "outgoing");
    if (isOutgoing(outgoing)) return outgoing;
  }
  const response = property(property(property(request, "runtime"), "node"), "res");
  return isOutgoing(response) ? response : undefined;
}

/** The `waitUntil` among the further arguments of a handler, or of the request. */
export function waitUntilOf(...candidates: readonly unknown[]): WaitUntil | undefined {
  for (const candidate of candidates) {
    const waitUntil = property(candidate, "waitUntil");
    if (typeof waitUntil === "function") return (waitUntil as WaitUntil).bind(candidate);
  }
  return undefined;
}

function isOutgoing(value: unknown): value is NodeOutgoing {
  return typeof property(value, "writeHead") === "function" && typeof property(value, "getHeader") === "function";
}

/** A server that writes the head does so after every layer; the limit only counts where it never writes any. */
const NODE_LIMIT_MS = 10_000;

/** The exit of a response through `node:http`. `current`: the response as a framework has it when it leaves. */
export function nodeExit(outgoing: NodeOutgoing, current?: () => Response): Exit {
  return {
    limitMs: NODE_LIMIT_MS,
    isApart: true,
    watch(leaves) {
      // oxlint-disable-next-line typescript/unbound-method -- it is called on the response
      const { writeHead } = outgoing;
      const isOwn = Object.hasOwn(outgoing, "writeHead");
      outgoing.writeHead = function (this: NodeOutgoing, status: number, ...rest: unknown[]): unknown {
        // An interim response (103) is not the one that is waited for.
        if (status >= 100 && status < 200 && status !== 101) return writeHead.call(this, status, ...rest);
        if (isOwn) outgoing.writeHead = writeHead;
        else Reflect.deleteProperty(outgoing, "writeHead");
        const at = rest.findIndex((argument) => typeof argument === "object" && argument !== null);
        const list = new HeadList(outgoing, status, at === -1 ? undefined : rest[at], current?.());
        leaves(list);
        if (list.isChanged) rest[at === -1 ? rest.length : at] = list.content;
        return writeHead.call(this, status, ...rest);
      };
    },
  };
}

type HeaderArgument = Record<string, unknown> | unknown[] | undefined;

/** The headers in a call of `writeHead`: an object, or a flat list; and those that were set before. */
class HeadList implements LeavingHead {
  readonly status: number;
  readonly response: Response | undefined;
  isChanged = false;
  content: HeaderArgument;
  readonly #outgoing: NodeOutgoing;

  constructor(outgoing: NodeOutgoing, status: number, content: unknown, response: Response | undefined) {
    this.#outgoing = outgoing;
    this.status = status;
    this.response = response;
    // A list may be of pairs, too.
    this.content = Array.isArray(content) ? content.flat() : { ...(content as Record<string, unknown>) };
  }

  cookies(): readonly string[] {
    return this.#lines("set-cookie");
  }

  get(name: string): string | undefined {
    const lines = this.#lines(name);
    return lines.length === 0 ? undefined : lines.join(", ");
  }

  set(name: string, value: string): void {
    this.delete(name);
    if (Array.isArray(this.content)) this.content.push(name, value);
    else if (this.content !== undefined) this.content[name] = value;
  }

  delete(name: string): void {
    this.isChanged = true;
    const { content } = this;
    if (Array.isArray(content)) {
      for (let at = content.length - 2; at >= 0; at -= 2) {
        if (String(content[at]).toLowerCase() === name) content.splice(at, 2);
      }
    } else if (content !== undefined) {
      for (const known of Object.keys(content)) if (known.toLowerCase() === name) delete content[known];
    }
  }

  #lines(name: string): string[] {
    const lines: string[] = [];
    const add = (value: unknown): void => {
      if (value === undefined || value === null) return;
      for (const line of Array.isArray(value) ? (value as unknown[]) : [value]) lines.push(String(line));
    };
    const { content } = this;
    if (Array.isArray(content)) {
      for (let at = 0; at + 1 < content.length; at += 2) {
        if (String(content[at]).toLowerCase() === name) add(content[at + 1]);
      }
    } else if (content !== undefined) {
      for (const [known, value] of Object.entries(content)) if (known.toLowerCase() === name) add(value);
    }
    // What `writeHead` is given takes the place of what was set before.
    if (lines.length === 0) add(this.#outgoing.getHeader(name));
    return lines;
  }
}
