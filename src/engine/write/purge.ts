import { asError } from "../../errors.ts";
import type { PurgeReceipt, PurgeTarget } from "../../http.ts";
import type { Engine } from "../state.ts";
import { withKeyedUris } from "../request/purge-names.ts";

/** A purge that is done or under way; it never rejects, and gives `undefined` where it was not acknowledged. */
export type Purging = PurgeReceipt | undefined | Promise<PurgeReceipt | undefined>;

/** Purges on behalf of a request: trouble is reported and never becomes the request's. */
export function purge(engine: Engine, named: readonly PurgeTarget[], soft: boolean): Purging {
  if (named.length === 0) return undefined;
  const targets = withKeyedUris(engine, named);
  const acknowledged = (receipt: PurgeReceipt): PurgeReceipt => {
    engine.report?.({ type: "purged", targets, soft });
    return receipt;
  };
  const failed = (error: unknown): undefined => {
    engine.report?.({ type: "purge-failed", targets, error: asError(error) });
  };
  try {
    const receipt = engine.purges.purge(engine.prefix, targets, { soft });
    return isThenable(receipt) ? Promise.resolve(receipt).then(acknowledged, failed) : acknowledged(receipt);
  } catch (error) {
    return failed(error);
  }
}

/** Also true of promises that are not the platform's own. */
function isThenable(receipt: PurgeReceipt | Promise<PurgeReceipt>): receipt is Promise<PurgeReceipt> {
  return "then" in receipt;
}
