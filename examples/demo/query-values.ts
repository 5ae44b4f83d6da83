/** Values of a request's query, checked. */
import type { Request } from "express";

/** The client's mistake; answered with this status and message. */
export class RequestError extends Error {
  readonly status: number;

  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

export function textFrom(request: Request, name: string, fallback?: string): string {
  const value = request.query[name] ?? fallback;
  if (typeof value === "string" && value.trim() !== "") return value;
  throw new RequestError(400, `${name}: expected a text, for example ?${name}=…`);
}

export function numberFrom(request: Request, name: string, min: number, max: number, fallback?: number): number {
  const value = request.query[name];
  if (value === undefined && fallback !== undefined) return fallback;
  const number = typeof value === "string" && value.trim() !== "" ? Number(value) : Number.NaN;
  if (number >= min && number <= max) return number;
  throw new RequestError(400, `${name}: expected a number from ${min} to ${max}`);
}
