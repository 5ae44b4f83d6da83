/** Requests that a cached handler was given: what answers them is read by the cache of that. */

const shown = new WeakSet<Request>();

/** Remembers a request that a cached handler is given. */
export function noteShown(request: Request): void {
  shown.add(request);
}

/** True for a request that came through a cached handler further out. */
export function isShown(request: Request): boolean {
  return shown.has(request);
}
