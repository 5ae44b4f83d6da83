/** More would be of no help to a developer, and routes are made in a loop somewhere. */
const MOST_ROUTES = 1_000;

/** What routes of this process are called, by the name that purges know them by: for the developer who mistypes one. */
export class KnownRoutes {
  readonly #texts = new Map<string, string>();

  get texts(): readonly string[] {
    return [...this.#texts.values()];
  }

  /** False once there may be routes that are not remembered. */
  get isComplete(): boolean {
    return this.#texts.size < MOST_ROUTES;
  }

  has(name: string): boolean {
    return this.#texts.has(name);
  }

  add(name: string, text: string): void {
    if (this.isComplete && !this.#texts.has(name)) this.#texts.set(name, text);
  }
}
