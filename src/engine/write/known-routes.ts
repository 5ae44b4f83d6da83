import { routeName } from "../request/route-name.ts";

/** More would be of no help to a developer, and routes are made in a loop somewhere. */
const MOST_ROUTES = 1_000;

/** All patterns of an application, read when they are needed; `undefined` while some of them cannot be read. */
export type ReadPatterns = () => readonly string[] | undefined;

/** What routes of this process are called: for the developer who mistypes a name or pattern in a purge. */
export class KnownRoutes {
  /** Names that routes were given, by the name that purges know them by. */
  readonly #names = new Map<string, string>();
  /** Patterns of routes that have answered. */
  readonly #answered = new Map<string, string>();
  readonly #sources = new Set<ReadPatterns>();

  /** False once there may be routes that are not remembered. */
  get isComplete(): boolean {
    return this.#names.size + this.#answered.size < MOST_ROUTES;
  }

  has(name: string): boolean {
    return this.#names.has(name) || this.#answered.has(name);
  }

  /** A route was given this name. */
  add(text: string): void {
    if (this.isComplete) this.#names.set(routeName(text), text);
  }

  /** A route of this pattern has answered. */
  addAnswered(pattern: string): void {
    if (this.isComplete) this.#answered.set(routeName(pattern), pattern);
  }

  /** An adapter can read the patterns of its application. */
  readFrom(source: ReadPatterns): void {
    this.#sources.add(source);
  }

  /** All that is known now. */
  read(): RouteList {
    const texts = new Map([...this.#names, ...this.#answered]);
    const read = [...this.#sources].map((source) => source());
    const patterns = new Map(read.flatMap((each) => each ?? []).map((pattern) => [routeName(pattern), pattern]));
    // A pattern that no source has is that of a route which none of them can see, and there may be more of these.
    const isWhole =
      this.isComplete && !read.includes(undefined) && [...this.#answered.keys()].every((name) => patterns.has(name));
    for (const [name, pattern] of patterns) if (!texts.has(name)) texts.set(name, pattern);
    return { texts, isWhole };
  }
}

export interface RouteList {
  /** As they were written, by the name that purges know them by. */
  readonly texts: ReadonlyMap<string, string>;
  /** There is no other route in this process. */
  readonly isWhole: boolean;
}
