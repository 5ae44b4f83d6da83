/** Notes which fields are set on a response, also where one gets the value that it had. */

import type { ServerResponse } from "node:http";

/** Every other way to set a field comes down to these two. */
const SETTERS = ["setHeader", "appendHeader"] as const;

type Setter = (name: string, value: never) => ServerResponse;

export class SetFields {
  readonly #response: ServerResponse;
  readonly #names = new Set<string>();
  /** The setters as outer layers left them, and what notes their calls. */
  readonly #watched: { readonly name: string; readonly own: PropertyDescriptor | undefined; readonly note: Setter }[] =
    [];

  constructor(response: ServerResponse) {
    this.#response = response;
    for (const name of SETTERS) this.#watch(name);
  }

  has(name: string): boolean {
    return this.#names.has(name);
  }

  /** Puts the setters back, but for those that code behind the route has replaced: its own go on calling what they know. */
  stop(): void {
    for (const { name, own, note } of this.#watched) {
      if (Reflect.get(this.#response, name) !== note) continue;
      if (own === undefined) Reflect.deleteProperty(this.#response, name);
      else Object.defineProperty(this.#response, name, own);
    }
  }

  #watch(name: (typeof SETTERS)[number]): void {
    const response = this.#response;
    const set: Setter = response[name];
    if (typeof set !== "function") return;
    const note: Setter = (field, value) => {
      const result = set.call(response, field, value);
      // After the call: what Node refuses has set nothing.
      this.#names.add(field.toLowerCase());
      return result;
    };
    this.#watched.push({ name, own: Object.getOwnPropertyDescriptor(response, name), note });
    Object.defineProperty(response, name, { value: note, configurable: true, writable: true });
  }
}
