import type { Request, RequestHandler } from "express";

/*
 * The pattern of a route, with the patterns of the paths that routers and apps around it are mounted on.
 *
 * Express tells a handler its route's own path, and of what is around it only the concrete path (`baseUrl`). So the way to
 * the route is looked for in the stacks of the routers, which are read and never changed. Where it is not found, because a
 * function of the application's calls a router, the concrete path stands in its place.
 */

/** Where a request was at one moment of its way through the routers. */
export interface Place {
  readonly app: unknown;
  readonly route: { readonly path?: unknown; readonly stack?: readonly { readonly handle: unknown }[] } | undefined;
  readonly baseUrl: string;
}

export function placeOf(request: Request): Place {
  return { app: request.app, route: request.route as Place["route"], baseUrl: request.baseUrl };
}

export function isSamePlace(one: Place, other: Place): boolean {
  return one.route === other.route && one.baseUrl === other.baseUrl;
}

/**
 * What the route at this place is called: `/users/:id`, one name for each path it has. A regular expression is called by its
 * text and by its source. `middleware` that is on no route is called by the path it is mounted on.
 */
export function patternsAt({ app, route, baseUrl }: Place, middleware?: RequestHandler): readonly string[] {
  const isOnRoute = middleware === undefined || route?.stack?.some(({ handle }) => handle === middleware) === true;
  if (route !== undefined && isOnRoute) {
    const base = basePattern(app, baseUrl, (layer) => layer.route === route);
    return pathTexts(route.path).map((path) => base + path);
  }
  if (middleware === undefined || baseUrl === "") return [];
  return [basePattern(app, baseUrl, ({ handle }) => handle === middleware)];
}

function pathTexts(path: unknown): readonly string[] {
  if (typeof path === "string") return [path];
  if (path instanceof RegExp) return [String(path), path.source];
  return Array.isArray(path) ? path.flat(Infinity).flatMap(pathTexts) : [];
}

/** A layer of a router, as far as Express 4 and 5 agree on it or are told apart by it. */
interface Layer {
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

type Match = (path: string) => false | { readonly path: string; readonly params: Readonly<Record<string, unknown>> };

function basePattern(app: unknown, baseUrl: string, isGoal: (layer: Layer) => boolean): string {
  if (baseUrl === "") return "";
  const apps = withParents(app);
  try {
    return search(stackOf(apps[0]), baseUrl, apps.slice(1), isGoal) ?? baseUrl;
  } catch {
    // A version of Express that is built in another way.
    return baseUrl;
  }
}

/** The outermost app first. */
function withParents(app: unknown): readonly unknown[] {
  const apps: unknown[] = [];
  for (let each = app; each !== undefined && each !== null && !apps.includes(each);) {
    apps.unshift(each);
    each = (each as { parent?: unknown }).parent;
  }
  return apps;
}

/** The patterns of the layers on the way to the goal, when their paths together are `path`. */
function search(
  stack: readonly Layer[],
  path: string,
  apps: readonly unknown[],
  isGoal: (layer: Layer) => boolean,
): string | undefined {
  for (const layer of stack) {
    if (layer.route !== undefined) {
      if (path === "" && isGoal(layer)) return "";
      continue;
    }
    const mount = mountOf(layer, path);
    if (mount === undefined) continue;
    const rest = path.slice(mount.length);
    if (rest === "" && isGoal(layer)) return mount.pattern;
    const found = search(
      stackOf(layer.name === "mounted_app" ? apps[0] : layer.handle),
      rest,
      innerApps(layer, apps),
      isGoal,
    );
    if (found !== undefined) return mount.pattern + found;
  }
  return undefined;
}

/** An app that is mounted on another one is called by a function that does not tell which app it is. */
function innerApps(layer: Layer, apps: readonly unknown[]): readonly unknown[] {
  return layer.name === "mounted_app" ? apps.slice(1) : apps;
}

const NO_LAYERS: readonly Layer[] = [];

/** The layers of a router, or of an app: `_router` in Express 4, whose `router` throws, and `router` in Express 5. */
function stackOf(handle: unknown): readonly Layer[] {
  if (typeof handle !== "function") return NO_LAYERS;
  const { stack, _router: own } = handle as { stack?: unknown; _router?: { stack?: unknown } };
  if (Array.isArray(stack)) return stack as readonly Layer[];
  if (own !== undefined) return Array.isArray(own.stack) ? (own.stack as readonly Layer[]) : NO_LAYERS;
  const isApp = typeof (handle as { handle?: unknown }).handle === "function" && !("lazyrouter" in handle);
  const router = isApp ? (handle as { router?: { stack?: unknown } }).router : undefined;
  return Array.isArray(router?.stack) ? (router.stack as readonly Layer[]) : NO_LAYERS;
}

interface Mount {
  /** How much of the path it takes. */
  readonly length: number;
  readonly pattern: string;
}

const WHOLE: Mount = { length: 0, pattern: "" };

function mountOf(layer: Layer, path: string): Mount | undefined {
  if (layer.slash === true || layer.regexp?.fast_slash === true) return WHOLE;
  const mount = layer.regexp === undefined ? mountOfMatchers(layer, path) : mountOfRegExp(layer.regexp, layer, path);
  if (mount === undefined || !path.slice(0, mount.length).endsWith("/")) return mount;
  // `baseUrl` has no closing slash.
  return { length: mount.length - 1, pattern: mount.pattern };
}

function withoutClosingSlash(text: string): string {
  return text.endsWith("/") ? text.slice(0, -1) : text;
}

function mountOfMatchers({ matchers, rawPath }: Layer, path: string): Mount | undefined {
  for (const [at, match] of (matchers ?? []).entries()) {
    const found = match(path);
    if (found === false || !path.startsWith(found.path)) continue;
    const given: unknown = Array.isArray(rawPath) ? rawPath[at] : rawPath;
    if (typeof given === "string") return { length: found.path.length, pattern: withoutClosingSlash(given) };
    if (given instanceof RegExp) return { length: found.path.length, pattern: String(given) };
    return { length: found.path.length, pattern: withoutClosingSlash(probed(match, found.path)) };
  }
  return undefined;
}

const PROBE = "~probe~";

/** The pattern that `match` was made of, as far as another segment in place of each one shows which of them are parameters. */
function probed(match: Match, path: string): string {
  const segments = path.split("/");
  const patterns = segments.map((segment, at) => {
    if (segment === "") return segment;
    const other = segments.with(at, PROBE).join("/");
    const found = match(other);
    if (found === false || found.path !== other) return segment;
    for (const [name, value] of Object.entries(found.params)) {
      if (value === PROBE) return `:${name}`;
      if (Array.isArray(value) && value.includes(PROBE)) return `*${name}`;
    }
    return segment;
  });
  return patterns.filter((each, at) => !each.startsWith("*") || each !== patterns[at - 1]).join("/");
}

/** What Express 4 makes of a path that is a text ends like this. */
const MADE_OF_TEXT = /\(\?=\\\/\|\$\)$/;

function mountOfRegExp(regexp: RegExp, { keys = [] }: Layer, path: string): Mount | undefined {
  const match = new RegExp(regexp.source, `${regexp.flags.replaceAll(/[gy]/g, "")}d`).exec(path);
  if (match === null || match.index !== 0) return undefined;
  const { length } = match[0];
  if (!MADE_OF_TEXT.test(regexp.source)) return { length, pattern: String(regexp) };
  let pattern = "";
  let at = 0;
  for (const [index, [start, end] = [0, 0]] of (match.indices ?? []).entries()) {
    if (index === 0 || end === 0 || start < at) continue;
    const name = keys[index - 1]?.name;
    pattern += path.slice(at, start) + (typeof name === "string" ? `:${name}` : "*");
    at = end;
  }
  return { length, pattern: withoutClosingSlash(pattern + path.slice(at, length)) };
}
