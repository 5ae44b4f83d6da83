import type { CacheRequest, Fields, ResponseHead, StoredResponse } from "../../src/http.ts";

/** 2026-03-01T12:00:00Z: the present of these tests. */
export const NOW_MS: number = Date.UTC(2026, 2, 1, 12);

export function requestOf(given: Partial<CacheRequest> = {}): CacheRequest {
  return { method: "GET", scheme: "https", authority: "api.example", path: "/", fields: {}, ...given };
}

export function headOf(fields: Fields, status = 200): ResponseHead {
  return { status, fields };
}

/** Received at {@link NOW_MS}, fresh for a minute, with nothing allowed beyond that. */
export function storedOf(given: Partial<StoredResponse> = {}): StoredResponse {
  return {
    status: 200,
    fields: {},
    body: new Uint8Array(),
    varyFields: [],
    requestedAtMs: NOW_MS,
    receivedAtMs: NOW_MS,
    correctedInitialAgeSeconds: 0,
    freshnessLifetimeSeconds: 60,
    lifetimeFrom: "fields",
    staleWhileRevalidateSeconds: 0,
    staleIfErrorSeconds: 0,
    mayServeStale: true,
    requiresRevalidation: false,
    hasOriginValidator: true,
    names: [],
    generation: "",
    ...given,
  };
}

/**
 * Runs `work` on an input of about a megabyte; quadratic code would need minutes, so the ceiling can be generous. Counts the
 * CPU's time: what a busy machine does meanwhile is not the work's.
 */
export function elapsedMs(work: () => unknown): number {
  const started = process.cpuUsage();
  work();
  const { user, system } = process.cpuUsage(started);
  return (user + system) / 1000;
}

export const LINEAR_CEILING_MS = 1500;
export const MEGABYTE = 1_000_000;
