import type { CacheEvent } from "./engine/cache-events.ts";
import type { Logger, PurgeTarget } from "./http.ts";

/** Writes one line for each event: what happened, to what, and why. */
export function logEvent(logger: Logger, event: CacheEvent): void {
  switch (event.type) {
    case "outcome": {
      const { outcome } = event;
      if (outcome.hit) logger.info(`found ${event.method} ${event.url} (${outcome.ttlSeconds ?? 0} s left)`);
      else
        logger.debug(`forwarded ${event.method} ${event.url}: ${outcome.forwarded ?? "none"}${aside(outcome.detail)}`);
      return;
    }
    case "found":
      return logger.info(`found ${event.subject} (${event.ttlSeconds} s left)`);
    case "stored":
      return logger.info(`stored ${event.subject} for ${event.freshnessLifetimeSeconds} s${bytes(event.bodyBytes)}`);
    case "not-stored":
      return logger.info(`not stored ${event.subject}: ${event.because}${aside(event.error?.message)}`);
    case "revalidation-failed":
      return logger.warn(`could not revalidate ${event.subject}: ${event.error.message}`);
    case "callback-failed":
      return logger.warn(`${event.callback} threw for ${event.subject}, ${effectOf(event)}: ${event.error.message}`);
    case "purged":
      return logger.info(`purged ${event.targets.map(targetText).join(", ")}${event.soft ? " (soft)" : ""}`);
    case "purge-failed":
      return logger.warn(`could not purge ${event.targets.map(targetText).join(", ")}: ${event.error.message}`);
    case "connecting":
      return logger.info(`connecting to ${event.store} at ${event.address}`);
    case "connected":
      return logger.info(`connected to ${event.store} at ${event.address}`);
    case "connection-failed":
      return logger.warn(
        `cannot reach ${event.store} at ${event.address}; serving without it until it reconnects: ${reason(event)}`,
      );
    case "operation-failed":
      return logger.warn(`${event.store} ${event.operation} failed: ${event.error.message}`);
  }
}

function effectOf({ callback }: Extract<CacheEvent, { type: "callback-failed" }>): string {
  return callback === "purges" ? "which purges only its own URL" : "which is not cached";
}

function targetText(target: PurgeTarget): string {
  return target.kind === "all" ? "all" : target.text;
}

function aside(text: string | undefined): string {
  return text === undefined ? "" : ` (${text})`;
}

function bytes(count: number | undefined): string {
  return count === undefined ? "" : ` (${count} bytes)`;
}

/** What went wrong, without the address that the error names once more. */
function reason({ address, error }: Extract<CacheEvent, { type: "connection-failed" }>): string {
  const named = `${address}: `;
  return error.message.startsWith(named) ? error.message.slice(named.length) : error.message;
}
