/**
 * When a response of the web family leaves, and what outer layers did to it until then.
 *
 * A handler returns its response, and layers around it go on: a session that is saved sets its cookie a moment later, on
 * the same `Response`, on a copy, or through the framework's context. Storing waits for
 * the departure, because a response that leaves with a visitor's cookie must not be stored. The departure is `writeHead` on
 * servers of `node:http`, and in Hono when it hands the response out. Elsewhere it is when the body is first read.
 */

import type { LastLook, LateChanges } from "../../engine/exchange.ts";
import { clearTimeout, setTimeout } from "../../real-time.ts";
import { mergedVary } from "../shared/merged-vary.ts";
import { addedVary } from "../shared/outer-vary.ts";

/** The head of a response as it leaves. */
export interface LeavingHead {
  readonly status: number;
  /** The response it belongs to, where that is known. */
  readonly response?: Response | undefined;
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
  /** True where the head is written apart from the `Response`: what is set then leaves that as it is. */
  readonly isApart?: boolean | undefined;
}

/** No layer is expected to keep a response longer; one that is never sent must not keep others waiting. */
export const UNSENT_LIMIT_MS = 500;

/** A response of which nothing is known cannot be told from one with a cookie. */
const UNKNOWN: LateChanges = { setsCookie: false, cacheControl: "no-store" };

/** Fields that name the content that was given: wrong on another response. */
const VALIDATORS = ["etag", "last-modified"] as const;
const OF_CONTENT = [...VALIDATORS, "content-range"] as const;

/** A field of this cache's freshness, with what stands under its name while the response is among outer layers. */
interface Promised {
  readonly name: string;
  readonly value: string;
  readonly given: string | undefined;
  readonly plain: string | undefined;
}

/** Names that are kept back of a `Vary`, and the whole of it. */
export interface WithheldVary {
  readonly names: string;
  readonly whole: string;
}

/** What is known when a response is given to outer layers. */
export class Given {
  readonly cookies: readonly string[];
  readonly freshness: readonly Promised[];
  readonly #status: number;
  readonly #withheldVary: string;
  readonly #wholeVary: string;
  readonly #coding: string | null;
  #response: Response | undefined;
  readonly #fields: Readonly<Record<string, string | undefined>>;
  readonly #marks: readonly string[];
  readonly #generated: readonly string[];

  /**
   * @param headers as outer layers get them, with what they had set before the handler ran
   * @param plain the same without freshness
   * @param freshness what may be promised, flat
   * @param marks names of the fields by which the response is known as this cache's
   * @param withheld names of `Vary` that are added as the response leaves
   * @param generated what this cache made up and adds as the response leaves, flat
   */
  constructor(
    status: number,
    headers: Headers,
    plain: Headers,
    freshness: readonly string[],
    marks: readonly string[],
    withheld: WithheldVary | undefined,
    generated: readonly string[],
  ) {
    this.#generated = generated;
    this.#status = status;
    this.#withheldVary = withheld?.names ?? "";
    this.#wholeVary = withheld?.whole ?? "";
    this.#coding = headers.get("content-encoding");
    this.cookies = headers.getSetCookie();
    const fields: Record<string, string | undefined> = {};
    for (const name of ["cache-control", "vary", ...OF_CONTENT, ...marks])
      fields[name] = headers.get(name) ?? undefined;
    this.#fields = fields;
    this.#marks = [...marks, ...VALIDATORS].filter((name) => fields[name] !== undefined);
    this.freshness = promises(freshness, headers, plain);
  }

  get(name: string): string | undefined {
    return this.#fields[name];
  }

  /** The response that outer layers get. */
  is(response: Response): void {
    this.#response = response;
  }

  /** True for the response of a layer that made another body of the given one; a coded body is the same one. */
  isRewritten(head: LeavingHead): boolean {
    const { response } = head;
    const given = this.#response;
    if (response === undefined || given === undefined || response === given) return false;
    return response.body !== given.body && this.#isAsCoded(head);
  }

  /** Adds the names of `Vary` that frameworks would have laid over those of a layer. */
  completeVary(head: LeavingHead): void {
    if (this.#withheldVary === "") return;
    const now = head.get("vary");
    const isAsGiven = now === this.#fields["vary"];
    head.set("vary", isAsGiven ? this.#wholeVary : mergedVary(now, this.#withheldVary));
  }

  /** Adds what this cache made up, where no layer has set its own. A body in another coding is not the same byte by byte. */
  completeGenerated(head: LeavingHead): void {
    for (let at = 0; at + 1 < this.#generated.length; at += 2) {
      const [name = "", value = ""] = [this.#generated[at], this.#generated[at + 1]];
      if (head.get(name) !== undefined) continue;
      head.set(name, name === "etag" && !this.#isAsCoded(head) ? `W/${value}` : value);
    }
  }

  #isAsCoded(head: LeavingHead): boolean {
    return (head.get("content-encoding") ?? null) === this.#coding;
  }

  /** Names of `Vary` that are no news. */
  get knownVary(): readonly string[] {
    return [this.#fields["vary"] ?? "", this.#withheldVary];
  }

  /** True for a status that is not the given one, nor what a layer makes of it for a condition or a range. */
  isReplaced({ status }: LeavingHead): boolean {
    return status !== this.#status && !(this.#status === 200 && (status === 304 || status === 206));
  }

  /** True while a field of this cache tells that it is not the response of a layer instead. */
  isMarked(head: LeavingHead): boolean {
    if (head.status === 304) return true;
    return this.#marks.some((name) => head.get(name)?.includes(this.#fields[name] ?? "") === true);
  }
}

function promises(freshness: readonly string[], headers: Headers, plain: Headers): Promised[] {
  const all: Promised[] = [];
  for (let at = 0; at + 1 < freshness.length; at += 2) {
    const name = freshness[at] ?? "";
    const [given, own] = [headers.get(name) ?? undefined, plain.get(name) ?? undefined];
    all.push({ name, value: freshness[at + 1] ?? "", given, plain: own });
  }
  return all;
}

/** One response on its way out: calls `lastLook` once, when every outer layer has had its say. */
export class Departure {
  /** Settles right after the last look. */
  readonly left: Promise<void> | undefined;
  readonly #given: Given;
  readonly #lastLook: LastLook | undefined;
  #resolve: () => void = () => {};
  #timer: ReturnType<typeof setTimeout> | undefined;
  #fields: readonly string[] | undefined;
  #isLeaving = false;

  /** `overdue` is called at the limit. By default nothing is known then, and nothing is stored. */
  constructor(given: Given, lastLook: LastLook | undefined, limitMs: number, overdue?: () => void) {
    this.#given = given;
    this.#lastLook = lastLook;
    if (lastLook === undefined) return;
    this.left = new Promise((resolve) => {
      this.#resolve = resolve;
    });
    this.#timer = setTimeout(overdue ?? ((): void => void this.#look(UNKNOWN)), limitMs);
    (this.#timer as { unref?: () => void }).unref?.();
  }

  /** The response that outer layers get. */
  give(response: Response): void {
    this.#given.is(response);
  }

  get isOver(): boolean {
    return this.#lastLook === undefined || this.#fields !== undefined;
  }

  /** A promise while it is not over. */
  get pending(): Promise<void> | undefined {
    return this.isOver ? undefined : this.left;
  }

  /** The response leaves with this head, which can still be changed. */
  leave(head: LeavingHead): void {
    const isReplaced = this.#given.isReplaced(head);
    const changes = this.#changes(head, isReplaced);
    const fields = this.#look(changes);
    const isOther = isReplaced || this.#given.isRewritten(head);
    const isFree = !changes.setsCookie && !this.#hasLateCacheControl(head);
    const isOurs = !isOther && this.#given.isMarked(head);
    this.#setFreshness(head, isFree && isOurs);
    if (isOther) this.#takeContentFields(head);
    if (isOurs) this.#given.completeGenerated(head);
    this.#given.completeVary(head);
    for (let at = 0; at + 1 < fields.length; at += 2) head.set(fields[at] ?? "", fields[at + 1] ?? "");
  }

  /** Takes notice of what an outer layer has just set: leaves early where that decides it. */
  changed(head: LeavingHead): void {
    if (this.#isLeaving) return;
    this.#isLeaving = true;
    const { setsCookie, cacheControl } = this.#changes(head, false);
    if (this.#lastLook === undefined) {
      if (setsCookie || cacheControl !== undefined) this.#setFreshness(head, false);
    } else if (!this.isOver && (setsCookie || (cacheControl !== undefined && /private|no-store/i.test(cacheControl)))) {
      this.leave(head);
    }
    this.#isLeaving = false;
  }

  #look(changes: LateChanges): readonly string[] {
    if (this.#lastLook === undefined) return [];
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

  #changes(head: LeavingHead, isReplaced: boolean): LateChanges {
    const given = this.#given;
    const known = new Set(given.cookies);
    const setsCookie = head.cookies().some((cookie) => !known.has(cookie));
    const replacedBy = isReplaced ? head.status : undefined;
    return {
      setsCookie,
      vary: addedVary(given.knownVary, head.get("vary") ?? ""),
      cacheControl: this.#hasLateCacheControl(head) ? head.get("cache-control") : undefined,
      replacedBy,
    };
  }

  /** True where an outer layer has set a `Cache-Control`. */
  #hasLateCacheControl(head: LeavingHead): boolean {
    const now = head.get("cache-control");
    return now !== undefined && now !== this.#given.get("cache-control");
  }

  /** Promises what this cache does, or takes it back; where a layer has set a field of that name, it stays. */
  #setFreshness(head: LeavingHead, isFresh: boolean): void {
    for (const { name, value, given, plain } of this.#given.freshness) {
      if (head.get(name) !== given) continue;
      const wanted = isFresh ? value : plain;
      if (wanted === given) continue;
      if (wanted === undefined) head.delete(name);
      else head.set(name, wanted);
    }
  }

  /** Another content has another tag, date and range. */
  #takeContentFields(head: LeavingHead): void {
    for (const name of OF_CONTENT) {
      const own = this.#given.get(name);
      if (own !== undefined && head.get(name) === own) head.delete(name);
    }
  }
}

/** The head of a response, which can be changed where its headers let themselves be. */
export function headOfResponse(response: Response): LeavingHead {
  const { status, headers } = response;
  return {
    status,
    response,
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

/** Takes notice of what is set on this response's headers later, whatever layer does it. */
export function watchHeaders(response: Response, departure: Departure): void {
  const { headers } = response;
  for (const method of ["append", "set"] as const) {
    const original = headers[method];
    const watched = function (this: Headers, name: string, value: string): void {
      original.call(this, name, value);
      departure.changed(headOfResponse(response));
    };
    Object.defineProperty(headers, method, { value: watched, configurable: true, enumerable: false, writable: true });
  }
}
