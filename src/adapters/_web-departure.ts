/**
 * When a response of the web family leaves, and what outer layers did to it until then.
 *
 * A handler returns its response, and layers around it go on: a session that is saved sets its cookie a moment later, on
 * the same `Response`, on a copy, or through the framework's context. Storing waits for
 * the departure, because a response that leaves with a visitor's cookie must not be stored. The departure is `writeHead` on
 * servers of `node:http`, and in Hono when it hands the response out. Elsewhere it is when the body is first read.
 */

import type { LastLook, LateChanges } from "../engine/exchange.ts";
import { clearTimeout, setTimeout } from "../real-time.ts";

/** The head of a response as it leaves. */
export interface LeavingHead {
  cookies(): readonly string[];
  get(name: string): string | undefined;
  set(name: string, value: string): void;
  delete(name: string): void;
}

/** How an adapter knows that a response leaves. */
export interface Exit {
  /** Calls `leaves` once with the head. */
  watch(leaves: (head: LeavingHead) => void): void;
  /** How long to wait for that, in milliseconds. */
  readonly limitMs: number;
}

/** No layer is expected to keep a response longer; one that is never sent must not keep others waiting. */
export const UNSENT_LIMIT_MS = 500;

/** What is known when a response is given to outer layers. */
export interface Given {
  /** Its headers at that time, with what outer layers had set before the handler ran. */
  readonly headers: Headers;
  /** The freshness among them, flat. */
  readonly freshness: readonly string[];
  /** The headers as they would be without it. */
  readonly plain: Headers;
}

/** A response of which nothing is known cannot be told from one with a cookie. */
const UNKNOWN: LateChanges = { setsCookie: false, cacheControl: "no-store" };

/** One response on its way out: calls `lastLook` once, when every outer layer has had its say. */
export class Departure {
  /** Settles right after the last look. */
  readonly left: Promise<void>;
  readonly #given: Given;
  readonly #cookies: readonly string[];
  readonly #cacheControl: string | null;
  readonly #lastLook: LastLook;
  #resolve: () => void = () => {};
  #timer: ReturnType<typeof setTimeout> | undefined;
  #fields: readonly string[] | undefined;

  /** `overdue` is called at the limit. By default nothing is known then, and nothing is stored. */
  constructor(given: Given, lastLook: LastLook, limitMs: number, overdue?: () => void) {
    this.#given = given;
    this.#cookies = given.headers.getSetCookie();
    this.#cacheControl = given.headers.get("cache-control");
    this.#lastLook = lastLook;
    this.left = new Promise((resolve) => {
      this.#resolve = resolve;
    });
    this.#timer = setTimeout(overdue ?? ((): void => void this.#look(UNKNOWN)), limitMs);
    (this.#timer as { unref?: () => void }).unref?.();
  }

  get isOver(): boolean {
    return this.#fields !== undefined;
  }

  /** A promise while it is not over. */
  get pending(): Promise<void> | undefined {
    return this.isOver ? undefined : this.left;
  }

  /** The response leaves with this head, which can still be changed. */
  leave(head: LeavingHead): void {
    const changes = this.#changes(head);
    const fields = this.#look(changes);
    if (changes.setsCookie || changes.cacheControl !== undefined) this.#takeFreshness(head);
    for (let at = 0; at + 1 < fields.length; at += 2) head.set(fields[at] ?? "", fields[at + 1] ?? "");
  }

  /** Leaves early if an outer layer has just done what decides it. */
  leaveIfDecided(head: LeavingHead): void {
    if (this.isOver) return;
    const { setsCookie, cacheControl } = this.#changes(head);
    if (setsCookie || (cacheControl !== undefined && /private|no-store/i.test(cacheControl))) this.leave(head);
  }

  #look(changes: LateChanges): readonly string[] {
    if (this.#fields !== undefined) return this.#fields;
    clearTimeout(this.#timer);
    this.#fields = [];
    try {
      this.#fields = this.#lastLook(changes);
    } finally {
      this.#resolve();
    }
    return this.#fields;
  }

  #changes(head: LeavingHead): LateChanges {
    const known = new Set(this.#cookies);
    const setsCookie = head.cookies().some((cookie) => !known.has(cookie));
    const now = head.get("cache-control");
    const cacheControl = now === undefined || now === this.#cacheControl ? undefined : now;
    return { setsCookie, cacheControl };
  }

  /** Takes back what this cache promised, where it still stands. */
  #takeFreshness(head: LeavingHead): void {
    const { freshness, headers, plain } = this.#given;
    for (let at = 0; at < freshness.length; at += 2) {
      const name = freshness[at] ?? "";
      if (head.get(name) !== (headers.get(name) ?? undefined)) continue;
      const own = plain.get(name);
      if (own === null) head.delete(name);
      else head.set(name, own);
    }
  }
}

/** Headers as a head that can be changed, where they let themselves be. */
export function headersHead(headers: Headers): LeavingHead {
  return {
    cookies: () => headers.getSetCookie(),
    get: (name) => headers.get(name) ?? undefined,
    set: (name, value) => changing(() => headers.set(name, value)),
    delete: (name) => changing(() => headers.delete(name)),
  };
}

function changing(change: () => void): void {
  try {
    change();
  } catch {
    // Headers of a fetched response cannot be changed; the look itself has been taken.
  }
}

/** Takes notice of what is set on these headers later, whatever layer does it. */
export function watchHeaders(headers: Headers, departure: Departure): void {
  for (const method of ["append", "set"] as const) {
    const original = headers[method];
    const watched = function (this: Headers, name: string, value: string): void {
      original.call(this, name, value);
      departure.leaveIfDecided(headersHead(headers));
    };
    Object.defineProperty(headers, method, { value: watched, configurable: true, enumerable: false, writable: true });
  }
}
