import { asError } from "../../errors.ts";
import type { Lease } from "../../http.ts";
import type { Engine } from "../state.ts";

type Operation = "get" | "put" | "delete" | "acquire-lease" | "release-lease";

/**
 * Calls the store so that its trouble never becomes the request's: a throw or a rejection is reported and counts as
 * nothing found.
 */
export function guardStore<T>(
  engine: Engine,
  operation: Operation,
  call: () => T | Promise<T>,
): T | undefined | Promise<T | undefined> {
  try {
    const result = call();
    if (!(result instanceof Promise)) return result;
    return result.catch((error: unknown) => reportFailure(engine, operation, error));
  } catch (error) {
    return reportFailure(engine, operation, error);
  }
}

export function releaseLease(engine: Engine, lease: Lease): void {
  void guardStore(engine, "release-lease", () => lease.release());
}

function reportFailure(engine: Engine, operation: Operation, error: unknown): undefined {
  engine.report?.({ type: "operation-failed", store: engine.store.name, operation, error: asError(error) });
  return undefined;
}
