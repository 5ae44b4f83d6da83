import { mergedVary } from "../shared/merged-vary.ts";
import { countedVary } from "../shared/outer-vary.ts";
import type { Context } from "hono";
import { noteSetFields } from "./set-fields.ts";
import { fieldsOf, type OwnFields } from "../web/response.ts";
import type { OuterLayers } from "../web/respond.ts";

const NONE: ReadonlySet<string> = new Set();

/**
 * Headers that middleware in front of the handler had set before it ran. They belong to this request: they are never
 * stored, and they are on each response from the store, unless the handler took them away.
 */
export class OuterHeaders implements OuterLayers {
  readonly #headers: Headers;
  readonly #cookies: ReadonlySet<string>;
  readonly #isEmpty: boolean;
  readonly #context: Context;
  #setByHandler: ReadonlySet<string> = NONE;

  constructor(context: Context) {
    this.#context = context;
    // Not `context.res`: once that is made, Hono lays its headers over those of the handler's response.
    // A copy: those of a light response are the very ones that the handler goes on to set.
    this.#headers = new Headers(context.newResponse(null).headers);
    this.#cookies = new Set(this.#headers.getSetCookie());
    this.#isEmpty = this.#headers.keys().next().done === true;
  }

  /** The handler is about to run: what it sets from now on is its own. */
  watch(): void {
    if (!this.#isEmpty) this.#setByHandler = noteSetFields(this.#context);
  }

  own(headers: Headers): OwnFields {
    const fields: Record<string, string | readonly string[] | undefined> = { ...fieldsOf(headers) };
    const removed: string[] = [];
    if (this.#isEmpty) return { fields, removed };
    for (const [name, value] of this.#headers) {
      if (name === "set-cookie") continue;
      const now = headers.get(name);
      if (now === null) removed.push(name);
      else if (this.#setByHandler.has(name)) continue;
      // A `Cache-Control` set further out is meant for this response too.
      else if (now === value && name === "vary") fields[name] = countedVary(value);
      else if (now === value && name !== "cache-control") delete fields[name];
      if (fields[name] === "" && name === "vary") delete fields[name];
    }
    if (this.#cookies.size === 0) return { fields, removed };
    const cookies = headers.getSetCookie();
    const outerCookies: string[] = [];
    const own = cookies.filter((cookie) => {
      // A line once more was set once more.
      if (!this.#cookies.has(cookie) || outerCookies.includes(cookie)) return true;
      outerCookies.push(cookie);
      return false;
    });
    if (own.length === 0) delete fields["set-cookie"];
    else fields["set-cookie"] = own;
    if (outerCookies.length === 0) removed.push("set-cookie");
    return { fields, removed, outerCookies };
  }

  addTo(headers: Headers, removed: readonly string[]): void {
    if (this.#isEmpty) return;
    if (restricts(this.#headers.get("cache-control"))) {
      const names = [...headers.keys()];
      for (const name of names) if (PROMISES.test(name)) headers.delete(name);
    }
    for (const [name, value] of this.#headers) {
      if (removed.includes(name)) continue;
      if (name === "set-cookie") {
        headers.append(name, value);
        continue;
      }
      const own = headers.get(name);
      if (own === null) headers.set(name, value);
      else if (name === "cache-control" && restricts(value)) headers.set(name, withRestrictions(value, own));
      else if (name === "vary") headers.set(name, mergedVary(value, own));
    }
  }

  forbidsFreshness(headers: Headers): boolean {
    if (this.#isEmpty) return false;
    if (headers.getSetCookie().some((cookie) => this.#cookies.has(cookie))) return true;
    const outer = this.#headers.get("cache-control");
    const now = headers.get("cache-control");
    return outer !== null && now !== null && (now === outer || (restricts(outer) && now.startsWith(`${outer}, `)));
  }
}

/** Fields that promise freshness beside `Cache-Control`: to every cache, and to CDNs in their own languages. */
const PROMISES =
  /^(?:expires|(?:[a-z]+-)?cdn-cache-control|surrogate-control|edge-control|akamai-cache-control|x-accel-expires)$/;

const RESTRICTION = /private|no-store|no-cache/i;

/** True for a `Cache-Control` that keeps shared caches from storing, or from using it without asking. */
function restricts(cacheControl: string | null): boolean {
  return cacheControl !== null && RESTRICTION.test(cacheControl);
}

/** A restricting `Cache-Control` with what another one restricts besides. */
function withRestrictions(cacheControl: string, other: string): string {
  const more = other
    .split(",")
    .map((member) => member.trim())
    .filter((member) => RESTRICTION.test(member) && !cacheControl.toLowerCase().includes(member.toLowerCase()));
  return [cacheControl, ...more].join(", ");
}
