import type { Context } from "hono";
import { sentPath } from "../web/request.ts";
import { property } from "../web/property.ts";

/** The pattern this middleware stands on, and that of the handler that was reached. */
export function patternsOf(context: Context, own: number): readonly string[] {
  // Its successor, of hono/route, is not in the oldest version we support.
  // oxlint-disable-next-line typescript/no-deprecated
  const { matchedRoutes: matched } = context.req;
  return [own, context.req.routeIndex].flatMap((index) => matched[index]?.path ?? []);
}

/**
 * The patterns of all routes of the outermost app, with those of the apps it holds; `undefined` for what is no app of Hono.
 * One request tells only the routes that match it.
 */
export function allPatterns(app: unknown): readonly string[] | undefined {
  const routes = property(app, "routes");
  return Array.isArray(routes) ? routes.map((route) => String(property(route, "path"))) : undefined;
}

/**
 * What the router matched, where middleware put another request in place or a `getPath` made a path of its own, and what
 * the client sent, where this app is mounted in another one.
 */
export function otherPaths(context: Context, { url }: Request): readonly string[] | undefined {
  const { path: matched } = context.req;
  const start = url.indexOf("/", url.indexOf("://") + 3);
  const end = pathEnd(url, start);
  const sent = sentPath(context.env, url);
  const isSame = matched.length === end - start ? url.startsWith(matched, start) : false;
  if (isSame || isDecoded(matched, url.slice(start, end))) return sent === undefined ? undefined : [sent];
  const search = url.slice(end).split("#", 1)[0] ?? "";
  return sent === undefined ? [matched + search] : [matched + search, sent];
}

function pathEnd(url: string, start: number): number {
  for (let at = start; at < url.length; at += 1) {
    const code = url.charCodeAt(at);
    if (code === QUESTION_MARK || code === HASH) return at;
  }
  return url.length;
}

const QUESTION_MARK = 0x3f;
const HASH = 0x23;

/** True for what Hono makes of a path: decoded, and without its closing slash where the app is not strict. */
function isDecoded(matched: string, path: string): boolean {
  const own = path.includes("%") ? decoded(path) : path;
  return own === matched || own === `${matched}/`;
}

function decoded(path: string): string {
  try {
    return decodeURI(path.replaceAll("%25", "%2525"));
  } catch {
    return path;
  }
}
