import { channel, type Channel } from "node:diagnostics_channel";
import type { CacheEvent } from "./engine/cache-events.ts";

/** What a `node:diagnostics_channel` subscriber of `reprise:<type>` receives. */
export interface DiagnosticsMessage {
  /** Prefix of the cache. */
  readonly cache: string;
  readonly event: CacheEvent;
}

type Listener = (event: CacheEvent) => void;

/** Where everything a cache does can be heard. */
export interface CacheEvents {
  /**
   * Calls `listener` for each event of this type, or of every type for `"*"`. Returns what ends it.
   * A listener that throws misses that event; it cannot hurt a request.
   */
  on<Type extends CacheEvent["type"] | "*">(
    type: Type,
    listener: (event: Type extends "*" ? CacheEvent : Extract<CacheEvent, { type: Type }>) => void,
  ): () => void;
}

const EVENT_TYPES: Readonly<Record<CacheEvent["type"], true>> = {
  outcome: true,
  stored: true,
  "not-stored": true,
  found: true,
  "revalidation-failed": true,
  "callback-failed": true,
  purged: true,
  "purge-failed": true,
  connecting: true,
  connected: true,
  "connection-failed": true,
  "operation-failed": true,
};

/**
 * Hands events to listeners and to the diagnostics channels `reprise:outcome`, `reprise:stored`, … .
 * `report` is undefined without a listener, so that no event is built in vain.
 */
export class EventHub implements CacheEvents {
  readonly #prefix: string;
  readonly #listeners = new Set<Listener>();
  readonly #channels = new Map<string, Channel>();
  readonly #report: Listener = (event) => this.#deliver(event);

  constructor(prefix: string) {
    this.#prefix = prefix;
    for (const type of Object.keys(EVENT_TYPES)) this.#channels.set(type, channel(`reprise:${type}`));
  }

  get report(): Listener | undefined {
    if (this.#listeners.size > 0) return this.#report;
    for (const known of this.#channels.values()) if (known.hasSubscribers) return this.#report;
    return undefined;
  }

  on(type: CacheEvent["type"] | "*", listener: (event: never) => void): () => void {
    const filtered: Listener = (event) => {
      if (type === "*" || type === event.type) listener(event as never);
    };
    this.#listeners.add(filtered);
    return () => void this.#listeners.delete(filtered);
  }

  #deliver(event: CacheEvent): void {
    for (const listener of this.#listeners) {
      try {
        listener(event);
      } catch {
        // A listener is a guest on the request's path.
      }
    }
    const subscribed = this.#channels.get(event.type);
    if (subscribed?.hasSubscribers === true)
      subscribed.publish({ cache: this.#prefix, event } satisfies DiagnosticsMessage);
  }
}
