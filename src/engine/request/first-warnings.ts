/** How a warning is given. */
export interface WarningSink {
  /** Must not throw. */
  readonly warn: (message: string) => void;
  /** Asked at each warning. */
  readonly isDevelopment: () => boolean;
}

/** What is warned of comes from strangers: past so many warnings a route gives no more. */
const MAX_PER_ROUTE = 32;
const MAX_SUBJECT_LENGTH = 100;

/** Warnings that are given once for each route and subject. */
export class FirstWarnings {
  readonly #sink: WarningSink;
  readonly #given = new WeakMap<object, Set<string>>();

  constructor(sink: WarningSink) {
    this.#sink = sink;
  }

  once(route: object, subject: string, message: () => string): void {
    const given = this.#given.get(route) ?? new Set();
    const known = subject.slice(0, MAX_SUBJECT_LENGTH);
    if (given.size >= MAX_PER_ROUTE || given.has(known)) return;
    this.#given.set(route, given.add(known));
    this.#sink.warn(message());
  }

  /** Like `once`, but silent in production. */
  inDevelopment(route: object, subject: string, message: () => string): void {
    if (this.#sink.isDevelopment()) this.once(route, subject, message);
  }
}
