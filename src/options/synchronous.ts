import { invalidCallback } from "../errors.ts";

/**
 * Refuses a callback that is `async`: the cache asks for an answer at once, and waits for none.
 *
 * @throws TypeError `ERR_INVALID_CALLBACK`, naming the option and the cure
 */
export function refuseAsync(where: string, callback: object, cure: string): void {
  const kind = Object.prototype.toString.call(callback).slice(8, -1);
  if (kind.startsWith("Async")) throw invalidCallback(where, "a function that is not async", callback, cure);
}
