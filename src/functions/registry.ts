import { duplicateFunctionName } from "../errors.ts";
import type { FunctionCacheContext } from "./contract.ts";

/** A wrapped function, as far as another one of the same name concerns it. */
interface Registered {
  readonly fn: unknown;
  /** Takes the function out of the cache: another one has its name. */
  readonly retire: (successor: unknown) => void;
}

const registered = new WeakMap<FunctionCacheContext, Map<string, Registered>>();

/**
 * Gives `name` to a function. One that had it before is retired: a module that is loaded anew wraps its functions again.
 *
 * @returns true where another function was retired, whose results must not be taken for this one's
 * @throws TypeError `ERR_DUPLICATE_FUNCTION_NAME` for the same function again
 */
export function registerFunction(context: FunctionCacheContext, name: string, entry: Registered): boolean {
  const names = registered.get(context) ?? new Map<string, Registered>();
  registered.set(context, names);
  const known = names.get(name);
  if (known !== undefined && known.fn === entry.fn) throw duplicateFunctionName(name);
  names.set(name, entry);
  known?.retire(entry.fn);
  return known !== undefined;
}
