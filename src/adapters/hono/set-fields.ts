/**
 * Names of the fields that code behind `cached()` sets. The value may be the one that a layer in front had set for this
 * client: the field is the handler's all the same, and is stored.
 */

import type { Context } from "hono";

/** What is noted for a context: each cached route on its way has a set of names. */
const noted = new WeakMap<Context, Set<string>[]>();

/** Notes from now on the names, in lower case, of what is set on the response of this context. */
export function noteSetFields(context: Context): ReadonlySet<string> {
  const names = new Set<string>();
  const known = noted.get(context);
  if (known !== undefined) {
    known.push(names);
    return names;
  }
  const all = [names];
  noted.set(context, all);
  watch(context, (name) => {
    for (const each of all) each.add(name.toLowerCase());
  });
  return names;
}

type Note = (name: string) => void;
type Maker = (data: unknown, init?: unknown, headers?: unknown) => unknown;

/** Methods of a context that make a response, and whether they name its type. */
const MAKERS = { newResponse: false, body: false, text: true, json: true, html: true } as const;

function watch(context: Context, note: Note): void {
  const { header } = context;
  context.header = (name, value, options) => {
    if (value !== undefined) note(name);
    header(name, value, options);
  };
  /** What a response was given that the context has made; its other fields were there before. */
  const given = new WeakMap<object, readonly string[]>();
  const remembered = (made: unknown, names: string[]): unknown => {
    if (!(made instanceof Response)) return made;
    given.set(made, names);
    watchHeaders(made.headers, (name) => names.push(name));
    return made;
  };
  const methods = context as unknown as Record<string, Maker>;
  for (const [name, namesType] of Object.entries(MAKERS)) {
    const make = methods[name];
    if (make === undefined) continue;
    methods[name] = (data, init, headers) => {
      const names = [...namesIn(headersOfInit(init)), ...namesIn(headers), ...(namesType ? ["content-type"] : [])];
      const made = make(data, init, headers);
      if (!(made instanceof Promise)) return remembered(made, names);
      return made.then((response: unknown) => remembered(response, names));
    };
  }
  watchResponse(context, note, (response) => given.get(response));
}

/** Notes what is set on `c.res.headers`, and what a response brings that is put in place. */
function watchResponse(
  context: Context,
  note: Note,
  givenTo: (response: Response) => readonly string[] | undefined,
): void {
  // The end of the context is being watched for: this is no first run.
  if (Object.hasOwn(context, "res")) return;
  const prototype = Object.getPrototypeOf(context) as object;
  const current = (): Response => Reflect.get(prototype, "res", context) as Response;
  const watched = new WeakSet<Headers>();
  // What was read may have been copied, with the fields of layers in front.
  let isRead = false;
  Object.defineProperty(context, "res", {
    configurable: true,
    get(): Response {
      const response = current();
      isRead = true;
      if (!watched.has(response.headers)) {
        watched.add(response.headers);
        watchHeaders(response.headers, note);
      }
      return response;
    },
    set(response: Response | undefined) {
      Reflect.set(prototype, "res", response, context);
      if (response === undefined || isRead) return;
      // Else Hono has laid the fields of the response before over those of this one, but for the type.
      const isAsGiven = current() === response;
      for (const name of givenTo(response) ?? response.headers.keys())
        if (isAsGiven || name === "content-type") note(name);
    },
  });
}

function watchHeaders(headers: Headers, note: Note): void {
  for (const method of ["append", "set"] as const) {
    const original = headers[method];
    const noting = function (this: Headers, name: string, value: string): void {
      original.call(this, name, value);
      note(name);
    };
    Object.defineProperty(headers, method, { value: noting, configurable: true, enumerable: false, writable: true });
  }
}

function headersOfInit(init: unknown): unknown {
  return typeof init === "object" && init !== null ? (init as { headers?: unknown }).headers : undefined;
}

/** The names of headers in any form that a `Response` or a method of a context takes. */
function namesIn(headers: unknown): readonly string[] {
  if (typeof headers !== "object" || headers === null) return [];
  if (headers instanceof Headers) return [...headers.keys()];
  return Array.isArray(headers) ? headers.map((pair) => String((pair as unknown[])[0])) : Object.keys(headers);
}
