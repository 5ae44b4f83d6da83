import { subscribe, unsubscribe } from "node:diagnostics_channel";
import type { Request, Response } from "express";
import type { Fill } from "../../engine/exchange.ts";
import { asError } from "../../errors.ts";

/** Where Express 5.3 and later publishes errors of handlers. It costs all requests a little while anything listens. */
const ERRORS = "tracing:express.router.request:error";

/**
 * Tells a renewal what its handler threw: Express gives an error to the functions behind the handler only, and a renewal has
 * no client who would see their answer. Listens until the response of the renewal closes.
 */
export function watchErrors(request: Request, response: Response, fill: Fill): void {
  const hear = (message: unknown): void => {
    const { req, error } = message as { req?: unknown; error?: unknown };
    if (req === request) fill.noteError?.(asError(error));
  };
  subscribe(ERRORS, hear);
  response.once("close", () => unsubscribe(ERRORS, hear));
}
