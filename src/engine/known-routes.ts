/** More would be of no help to a developer, and routes are made in a loop somewhere. */
const MOST_ROUTES = 1_000;

/** What routes of this process are called, by the name that purges know them by: for the developer who mistypes one. */
export class KnownRoutes {
  readonly #texts = new Map<string, string>();
  /** Routes of the application of which no response has been stored: their patterns are not known yet. */
  readonly #awaited = new Set<object>();

  get texts(): readonly string[] {
    return [...this.#texts.values()];
  }

  /** False once there may be routes that are not remembered. */
  get isComplete(): boolean {
    return this.#texts.size < MOST_ROUTES && this.#awaited.size < MOST_ROUTES;
  }

  /** True when every route that the application has made has told its pattern. */
  get isEveryRouteKnown(): boolean {
    return this.isComplete && this.#awaited.size === 0;
  }

  has(name: string): boolean {
    return this.#texts.has(name);
  }

  add(name: string, text: string): void {
    if (this.isComplete && !this.#texts.has(name)) this.#texts.set(name, text);
  }

  /** The application has a route with these rules, whose pattern is not known. */
  expect(rules: object): void {
    if (this.isComplete) this.#awaited.add(rules);
  }

  /** The route with these rules has told what it is called. */
  found(rules: object): void {
    this.#awaited.delete(rules);
  }
}
