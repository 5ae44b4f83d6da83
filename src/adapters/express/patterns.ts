import type { Request, RequestHandler } from "express";
import {
  alternativesOf,
  joined,
  MADE_OF_TEXT,
  parentOf,
  spellingsOf,
  stackOf,
  withoutClosingSlash,
  type Layer,
  type Match,
  type Pattern,
} from "./layers.ts";

/*
 * The pattern of a route, with the patterns of the paths that routers and apps around it are mounted on.
 *
 * Express tells a handler its route's own path, and of what is around it only the concrete path (`baseUrl`). So the way to
 * the route is looked for in the stacks of the routers, which are read and never changed. It begins at the app that the
 * server calls or, where a function stands between them, at the outermost app that is known.
 *
 * Two parts of a way cannot be read. A function of the application may call a router. And `app.use(path, inner)` hides
 * `inner` in a closure: it is known only as a `parent` of the app that answers, which an app has if it is mounted on an app,
 * not in a `Router`. The concrete path stands in place of these parts.
 */

/** Where a request was at one moment of its way through the routers. */
export interface Place {
  readonly app: unknown;
  readonly route: { readonly path?: unknown; readonly stack?: readonly { readonly handle: unknown }[] } | undefined;
  readonly baseUrl: string;
  /** The server that brought the request. */
  readonly server: unknown;
}

export function placeOf(request: Request): Place {
  const { server } = (request.socket ?? {}) as { server?: unknown };
  return { app: request.app, route: request.route as Place["route"], baseUrl: request.baseUrl, server };
}

export function isSamePlace(one: Place, other: Place): boolean {
  return one.route === other.route && one.baseUrl === other.baseUrl;
}

/**
 * Names of the route at this place: `/users/:id`, one for each path it has. A regular expression is named by its text and by
 * its source, on mount paths too. `middleware` that is on no route is named by the path it is mounted on.
 */
export function patternsAt(place: Place, middleware?: RequestHandler): readonly string[] {
  const { route, baseUrl } = place;
  const isOnRoute = middleware === undefined || route?.stack?.some(({ handle }) => handle === middleware) === true;
  if (route !== undefined && isOnRoute) {
    const bases = basePatterns(place, (layer) => layer.route === route);
    const paths = [route.path].flat(Infinity).map(spellingsOf);
    return bases.flatMap((base) => paths.flatMap((path) => joined(base, path)));
  }
  if (middleware === undefined || baseUrl === "") return [];
  return basePatterns(place, ({ handle }) => handle === middleware).flat();
}

function basePatterns({ app, baseUrl, server }: Place, isGoal: Way["isGoal"]): readonly Pattern[] {
  if (baseUrl === "") return [[""]];
  const apps = withParents(app);
  const way: Way = { apps, isGoal };
  const starts = [...new Set([...listenersOf(server), apps[0]])];
  try {
    return (
      firstFound(starts, (start) => search(start, baseUrl, way)) ??
      firstFound(starts, (start) => search(start, baseUrl, { ...way, passesUnknownApps: true })) ??
      searchBelow(baseUrl, way) ?? [[baseUrl]]
    );
  } catch {
    // A version of Express that is built in another way.
    return [[baseUrl]];
  }
}

/** The outermost app first. */
function withParents(app: unknown): readonly unknown[] {
  const apps: unknown[] = [];
  for (let each = app; each !== undefined && each !== null && !apps.includes(each); each = parentOf(each)) {
    apps.unshift(each);
  }
  return apps;
}

/** What a server calls with its requests. */
function listenersOf(server: unknown): readonly unknown[] {
  const { listeners } = (server ?? {}) as { listeners?: unknown };
  return typeof listeners === "function" ? (listeners.call(server, "request") as readonly unknown[]) : [];
}

function firstFound(
  starts: readonly unknown[],
  find: (start: unknown) => readonly Pattern[] | undefined,
): readonly Pattern[] | undefined {
  for (const start of starts) {
    const found = find(start);
    if (found !== undefined) return found;
  }
  return undefined;
}

/** How the layers to the goal are looked for. */
interface Way {
  readonly isGoal: (layer: Layer) => boolean;
  /** The app that answers and its parents, the outermost first. */
  readonly apps: readonly unknown[];
  /**
   * The path of a mounted app that is not among `apps` is taken as it is, up to one that is. Several such apps may be on the
   * path, and all ways are found, because it is not known which of them it is.
   */
  readonly passesUnknownApps?: boolean;
}

/** More would cost each response of the route, and help no purge. */
const MOST_WAYS = 8;

/** The patterns of the layers of `outer` on the way to the goal, when their paths together are `path`. */
function search(outer: unknown, path: string, way: Way): readonly Pattern[] | undefined {
  const ways: Pattern[] = [];
  for (const layer of stackOf(outer)) {
    if (layer.route !== undefined) {
      if (path === "" && way.isGoal(layer)) return [[""]];
      continue;
    }
    const mount = mountOf(layer, path);
    if (mount === undefined) continue;
    const rest = path.slice(mount.length);
    if (rest === "" && way.isGoal(layer)) return [mount.pattern];
    const found = searchInside(layer, outer, rest, way);
    if (found === undefined) continue;
    ways.push(...found.map((inner) => joined(mount.pattern, inner)));
    if (way.passesUnknownApps !== true) break;
  }
  return ways.length === 0 ? undefined : ways.slice(0, MOST_WAYS);
}

/** An app that is mounted on another one is called by a function that does not tell which app it is. */
function searchInside(layer: Layer, outer: unknown, path: string, way: Way): readonly Pattern[] | undefined {
  if (layer.name !== "mounted_app") return search(layer.handle, path, way);
  const inner = way.apps.find((app) => parentOf(app) === outer);
  if (inner !== undefined) return search(inner, path, way);
  return way.passesUnknownApps === true ? searchBelow(path, way) : undefined;
}

/** The way from the outermost known app that is anywhere below, with the concrete path up to there. */
function searchBelow(path: string, way: Way): readonly Pattern[] | undefined {
  for (let end = 0; end !== -1; end = end === path.length ? -1 : nextSegment(path, end)) {
    const found = search(way.apps[0], path.slice(end), way);
    if (found !== undefined) return found.map((inner) => joined([path.slice(0, end)], inner));
  }
  return undefined;
}

function nextSegment(path: string, from: number): number {
  const slash = path.indexOf("/", from + 1);
  return slash === -1 ? path.length : slash;
}

interface Mount {
  /** How much of the path it takes. */
  readonly length: number;
  readonly pattern: Pattern;
}

const WHOLE: Mount = { length: 0, pattern: [""] };

function mountOf(layer: Layer, path: string): Mount | undefined {
  if (layer.slash === true || layer.regexp?.fast_slash === true) return WHOLE;
  const mount = layer.regexp === undefined ? mountOfMatchers(layer, path) : mountOfRegExp(layer.regexp, layer, path);
  if (mount === undefined || !path.slice(0, mount.length).endsWith("/")) return mount;
  // `baseUrl` has no closing slash.
  return { length: mount.length - 1, pattern: mount.pattern };
}

function mountOfMatchers({ matchers, rawPath }: Layer, path: string): Mount | undefined {
  for (const [at, match] of (matchers ?? []).entries()) {
    const found = match(path);
    if (found === false || !path.startsWith(found.path)) continue;
    const given: unknown = Array.isArray(rawPath) ? rawPath[at] : rawPath;
    const pattern =
      given instanceof RegExp
        ? spellingsOf(given)
        : [withoutClosingSlash(typeof given === "string" ? given : probed(match, found.path))];
    return { length: found.path.length, pattern };
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

function mountOfRegExp(regexp: RegExp, { keys = [] }: Layer, path: string): Mount | undefined {
  const flags = regexp.flags.replaceAll(/[gy]/g, "");
  const match = new RegExp(regexp.source, `${flags}d`).exec(path);
  if (match === null || match.index !== 0) return undefined;
  const { length } = match[0];
  // Express 4 makes one expression of a list of paths.
  const alternatives = alternativesOf(regexp.source);
  const chosen = alternatives.find((each) => new RegExp(each, flags).exec(path)?.index === 0) ?? regexp.source;
  if (!MADE_OF_TEXT.test(chosen)) {
    // A list of expressions looks like one expression with alternatives, and its own flags are lost.
    const ofList = alternatives.length === 1 ? [] : [`/${chosen}/`, chosen];
    return { length, pattern: [...spellingsOf(regexp), ...ofList] };
  }
  let pattern = "";
  let at = 0;
  for (const [index, [start, end] = [0, 0]] of (match.indices ?? []).entries()) {
    if (index === 0 || end === 0 || start < at) continue;
    const name = keys[index - 1]?.name;
    pattern += path.slice(at, start) + (typeof name === "string" ? `:${name}` : "*");
    at = end;
  }
  return { length, pattern: [withoutClosingSlash(pattern + path.slice(at, length))] };
}
