import type { RequestHandler } from "express";
import {
  alternativesOf,
  joined,
  MADE_OF_TEXT,
  parentOf,
  spellingsOf,
  stackOf,
  withoutClosingSlash,
  type Layer,
  type Pattern,
} from "./layers.ts";

/** More middleware than this is made in a loop or for each request, and is not remembered. */
const MOST_MIDDLEWARE = 1_000;

/** All routes of the applications in which the middleware of one cache stands, as far as they can be read. */
export class ExpressRoutes {
  readonly #middleware: RequestHandler[] = [];
  readonly #apps = new Set<unknown>();
  #lastApp: unknown;

  /** Middleware of the cache was made: it stands in one of the applications. */
  noteMiddleware(middleware: RequestHandler): void {
    if (this.#middleware.length < MOST_MIDDLEWARE) this.#middleware.push(middleware);
  }

  /** A request came through this app. */
  noteApp(app: unknown): void {
    if (app === this.#lastApp) return;
    this.#lastApp = app;
    for (let each = app; each !== undefined && each !== null && !this.#apps.has(each); each = parentOf(each)) {
      this.#apps.add(each);
    }
  }

  /**
   * The patterns of all routes and of all paths that middleware is mounted on. `undefined` while there may be more: an app
   * or the path of a router cannot be read, or middleware of the cache stands where no known app leads.
   */
  read(): readonly string[] | undefined {
    if (this.#middleware.length === MOST_MIDDLEWARE) return undefined;
    const middleware = new Set<unknown>(this.#middleware);
    const walk: Walk = { apps: this.#apps, middleware, found: new Set(), patterns: [], around: [] };
    const outermost = [...this.#apps].filter((app) => !this.#apps.has(parentOf(app)));
    try {
      const isWhole = outermost.every((app) => collect(app, [""], walk));
      return isWhole && walk.found.size === middleware.size ? walk.patterns : undefined;
    } catch {
      // A version of Express that is built in another way.
      return undefined;
    }
  }
}

interface Walk {
  readonly apps: ReadonlySet<unknown>;
  readonly middleware: ReadonlySet<unknown>;
  /** Middleware of the cache that was met. */
  readonly found: Set<unknown>;
  readonly patterns: string[];
  /** The routers around the one that is read. A router may be mounted in itself. */
  readonly around: unknown[];
}

/** Reads a router or an app that is mounted on `base`. False if something in it cannot be read. */
function collect(outer: unknown, base: Pattern, walk: Walk): boolean {
  if (walk.around.includes(outer)) return false;
  walk.around.push(outer);
  const layers = stackOf(outer);
  const isWhole = collectMounted(outer, base, walk) && layers.every((layer) => collectLayer(layer, base, walk));
  walk.around.pop();
  return isWhole;
}

function collectLayer(layer: Layer, base: Pattern, walk: Walk): boolean {
  if (layer.name === "mounted_app") return true;
  const route = layer.route as { path?: unknown; stack?: readonly { handle: unknown }[] } | undefined;
  if (route !== undefined) {
    for (const path of [route.path].flat(Infinity)) walk.patterns.push(...joined(base, spellingsOf(path)));
    for (const { handle } of route.stack ?? []) note(handle, walk);
    return true;
  }
  const isOwn = note(layer.handle, walk);
  if (!isOwn && stackOf(layer.handle).length === 0) return true;
  const mounts = mountsOf(layer);
  return mounts?.every((mount) => collectMount(layer, joined(base, mount), isOwn, walk)) === true;
}

/** Middleware outside of routes is named by the path that it is mounted on. */
function collectMount({ handle }: Layer, path: Pattern, isOwn: boolean, walk: Walk): boolean {
  if (!isOwn) return collect(handle, path, walk);
  // On all paths it is named by the routes behind it.
  walk.patterns.push(...path.filter((text) => text !== ""));
  return true;
}

/** True for middleware of the cache. */
function note(handle: unknown, { middleware, found }: Walk): boolean {
  if (!middleware.has(handle)) return false;
  found.add(handle);
  return true;
}

/** An app in an app is called by a function that does not tell which one it is: it is known once it has answered. */
function collectMounted(outer: unknown, base: Pattern, walk: Walk): boolean {
  const functions = stackOf(outer).filter(({ name }) => name === "mounted_app");
  const mounted = [...walk.apps].filter((app) => parentOf(app) === outer);
  if (functions.length !== mounted.length) return false;
  return mounted.every((app) => {
    const paths = [(app as { mountpath?: unknown }).mountpath].flat(Infinity);
    return paths.every((path) => {
      const mount = mountAt(path);
      return mount.length > 0 && collect(app, joined(base, mount), walk);
    });
  });
}

/** The paths that a layer is mounted on; `undefined` if they cannot be read. */
function mountsOf({ slash, regexp, rawPath, keys = [] }: Layer): readonly Pattern[] | undefined {
  if (slash === true || regexp?.fast_slash === true) return [[""]];
  const paths = regexp === undefined ? [rawPath].flat(Infinity) : pathsOf(regexp, keys);
  const mounts = paths.map(mountAt);
  return mounts.every((mount) => mount.length > 0) ? mounts : undefined;
}

function mountAt(path: unknown): Pattern {
  return spellingsOf(typeof path === "string" ? withoutClosingSlash(path) : path);
}

/** What Express 4 has made of a parameter that stands for a whole segment, with or without a limit of its own. */
const SEGMENT = /\(\?:\\\/\([^()]+\)\)(?!\?)/g;
const END_OF_PATH = /(?:\\\/)?\??\(\?=\\\/\|\$\)$/;

/** The paths that an expression of Express 4 was made of: texts, or `undefined` for one that cannot be told. */
function pathsOf(regexp: RegExp, keys: NonNullable<Layer["keys"]>): readonly unknown[] {
  const alternatives = alternativesOf(regexp.source);
  if (alternatives.length === 1 && !MADE_OF_TEXT.test(regexp.source)) return [regexp];
  const names = keys.values();
  return alternatives.map((source) => {
    if (!MADE_OF_TEXT.test(source)) return undefined;
    const text = source
      .replace(/^\^/, "")
      .replace(END_OF_PATH, "")
      .replaceAll(SEGMENT, () => `/:${String(names.next().value?.name)}`)
      .replaceAll(/\\([/.-])/g, "$1");
    return /[\\^$()[\]|*+?{}]/.test(text) ? undefined : text;
  });
}
