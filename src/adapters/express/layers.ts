/** How Express 4 and 5 keep their routes: read here, never changed. */

/**
 * A pattern in all its spellings. Only regular expressions have several: text, source, text, … Texts are joined with texts
 * and sources with sources, so that many expressions on one way have no more names than one.
 */
export type Pattern = readonly string[];

export function spellingsOf(path: unknown): Pattern {
  if (typeof path === "string") return [path];
  return path instanceof RegExp ? [String(path), path.source] : [];
}

export function joined(base: Pattern, path: Pattern): Pattern {
  if (path.length === 0) return path;
  const { length } = base.length > path.length ? base : path;
  return Array.from({ length }, (_, at) => `${base[at % base.length]}${path[at % path.length]}`);
}

/** A layer of a router, as far as Express 4 and 5 agree on it or are told apart by it. */
export interface Layer {
  readonly name?: unknown;
  readonly handle: unknown;
  readonly route?: unknown;
  /** Express 5: mounted on `/`. */
  readonly slash?: unknown;
  /** Express 5, by path. */
  readonly matchers?: readonly Match[];
  /** Express 5.3: the path or paths as they were given. */
  readonly rawPath?: unknown;
  /** Express 4. */
  readonly regexp?: RegExp & { readonly fast_slash?: boolean };
  readonly keys?: readonly { readonly name: unknown }[];
}

export type Match = (
  path: string,
) => false | { readonly path: string; readonly params: Readonly<Record<string, unknown>> };

export function parentOf(app: unknown): unknown {
  return (app as { parent?: unknown }).parent;
}

const NO_LAYERS: readonly Layer[] = [];

/** The layers of a router, or of an app: `_router` in Express 4, whose `router` throws, and `router` in Express 5. */
export function stackOf(handle: unknown): readonly Layer[] {
  if (typeof handle !== "function") return NO_LAYERS;
  const { stack, _router: own } = handle as { stack?: unknown; _router?: { stack?: unknown } };
  if (Array.isArray(stack)) return stack as readonly Layer[];
  if (own !== undefined) return Array.isArray(own.stack) ? (own.stack as readonly Layer[]) : NO_LAYERS;
  const isApp = typeof (handle as { handle?: unknown }).handle === "function" && !("lazyrouter" in handle);
  const router = isApp ? (handle as { router?: { stack?: unknown } }).router : undefined;
  return Array.isArray(router?.stack) ? (router.stack as readonly Layer[]) : NO_LAYERS;
}

export function withoutClosingSlash(text: string): string {
  return text.endsWith("/") ? text.slice(0, -1) : text;
}

/** What Express 4 makes of a path that is a text ends like this. */
export const MADE_OF_TEXT: RegExp = /\(\?=\\\/\|\$\)$/;

/** The parts of an expression between the `|` that are in no group and no class. */
export function alternativesOf(source: string): readonly string[] {
  const parts: string[] = [];
  let depth = 0;
  let isClass = false;
  let start = 0;
  for (let at = 0; at < source.length; at += 1) {
    const character = source[at];
    if (character === "\\") at += 1;
    else if (character === "[" || character === "]") isClass = character === "[";
    else if (isClass) continue;
    else if (character === "(") depth += 1;
    else if (character === ")") depth -= 1;
    else if (character === "|" && depth === 0) {
      parts.push(source.slice(start, at));
      start = at + 1;
    }
  }
  return [...parts, source.slice(start)];
}
