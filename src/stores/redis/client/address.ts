/** The address of a client for logs: never with credentials. */

interface HostOptions {
  host?: unknown;
  port?: unknown;
  path?: unknown;
}

/** A URL without user name, password and query; `redis` when it is none. */
export function urlAddress(url: string): string {
  if (!URL.canParse(url)) return "redis";
  const { protocol, host, pathname } = new URL(url);
  return `${protocol}//${host}${pathname === "/" ? "" : pathname}`;
}

/** The address of a client's connection options; `redis` when they name none. */
export function hostAddress(options: HostOptions | undefined): string {
  if (typeof options?.path === "string") return options.path;
  const { host, port } = options ?? {};
  if (typeof host !== "string" && typeof port !== "number") return "redis";
  return `redis://${typeof host === "string" ? host : "127.0.0.1"}:${typeof port === "number" ? port : 6379}`;
}

/** The addresses of the nodes a client begins with, in one text. */
export function nodesAddress(addresses: readonly string[]): string {
  const named = addresses.filter((address) => address !== "redis");
  return named.length === 0 ? "redis" : named.join(",");
}

/** `list` as an array of objects, empty when it is none. */
export function objectsOf(list: unknown): readonly Record<string, unknown>[] {
  if (!Array.isArray(list)) return [];
  return list.filter((item): item is Record<string, unknown> => typeof item === "object" && item !== null);
}
