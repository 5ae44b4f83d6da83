import type { LiveResponse, LiveVarySpec } from "./stored-entry.ts";

/** The stored response that answers a request, if there is one (RFC 9111 §4.1). */
export interface Selected {
  /** The key the response to this request has, or will have as far as is known. */
  readonly key: string;
  readonly live: LiveResponse | undefined;
  /** The resource is stored, but not for the fields this request presents. */
  readonly varyMiss: boolean;
  /** Its last response could not be shared: for a while its requests do not wait for each other. */
  readonly isHitForMiss?: boolean;
  /** A stored part of the resource, where the whole is not stored and a part is asked for. */
  readonly part?: LiveResponse;
}

/** What this process remembers of a resource whose responses vary. */
export interface VarySpec extends LiveVarySpec {
  /** Until when the store keeps the record of `names`. */
  readonly keptUntilMs: number;
  /** Digests of the keys of variants stored by this process, to bound them, and until when the store keeps each. */
  readonly variants: Map<string, number>;
}
