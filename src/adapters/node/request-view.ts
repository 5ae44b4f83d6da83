import type { IncomingHttpHeaders, IncomingMessage } from "node:http";

/** Makes `request.url` and the framework's copies of it those of another target. */
export type ShowTarget = (which: "sent" | "shown") => void;

/**
 * A request as its handler sees it, and as its client sent it. Code in front of the cached route reads the request once more
 * when the response leaves (loggers, metrics): then it is the client's request again.
 */
export class RequestView {
  readonly #request: IncomingMessage;
  readonly #showTarget: ShowTarget;
  readonly #sent: IncomingHttpHeaders;
  readonly #shown: IncomingHttpHeaders;
  readonly #cookies: Readonly<Record<string, unknown>>;
  #isShown = false;

  /**
   * @param shown the fields that the handler sees
   * @param hidesCookies `cookie-parser` in front has read cookies that the handler is not to see
   */
  constructor(request: IncomingMessage, shown: IncomingHttpHeaders, hidesCookies: boolean, showTarget: ShowTarget) {
    this.#request = request;
    this.#showTarget = showTarget;
    this.#sent = request.headers;
    this.#shown = shown;
    this.#cookies = hidesCookies ? parsedCookies(request) : {};
  }

  /** For the handler. */
  show(): void {
    if (this.#isShown) return;
    this.#isShown = true;
    const request = this.#request;
    request.headers = this.#shown;
    for (const name of Object.keys(this.#cookies)) Object.assign(request, { [name]: Object.create(null) as object });
    this.#showTarget("shown");
  }

  /** Runs code of the front while the handler is at work. */
  asSent<Result>(run: () => Result): Result {
    if (!this.#isShown) return run();
    this.hide();
    try {
      return run();
    } finally {
      this.show();
    }
  }

  /** For code in front of the route. What the handler put in place of the fields stays. */
  hide(): void {
    if (!this.#isShown) return;
    this.#isShown = false;
    const request = this.#request;
    if (request.headers === this.#shown) request.headers = this.#sent;
    Object.assign(request, this.#cookies);
    this.#showTarget("sent");
  }
}

/** What `cookie-parser` has made of the cookies. */
function parsedCookies(request: IncomingMessage): Record<string, unknown> {
  const parsed: Record<string, unknown> = {};
  for (const name of ["cookies", "signedCookies"]) {
    const value = (request as unknown as Record<string, unknown>)[name];
    if (typeof value === "object" && value !== null) parsed[name] = value;
  }
  return parsed;
}
