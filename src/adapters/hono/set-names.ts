import type { Context } from "hono";

/** Methods of a context that take fields as their third argument, or in an object as their second one. */
const MAKERS = ["body", "text", "json", "html", "newResponse"] as const;

type Method = (...args: unknown[]) => unknown;

/**
 * Notes the names of the fields that code sets through `context` while `run` goes on. The value alone does not tell: a handler
 * may set what middleware in front had set to the same.
 */
export async function notingNames<Result>(
  context: Context,
  note: (name: string) => void,
  run: () => Promise<Result>,
): Promise<Result> {
  const methods = context as unknown as Record<string, Method>;
  const originals = new Map<string, Method>();
  const watch = (method: string, look: (args: readonly unknown[]) => void): void => {
    const original = methods[method];
    if (original === undefined) return;
    const watched: Method = (...args) => {
      look(args);
      return original.apply(context, args);
    };
    originals.set(method, original);
    methods[method] = watched;
  };
  watch("header", ([name, value]) => {
    if (value !== undefined) note(String(name).toLowerCase());
  });
  for (const method of MAKERS)
    watch(method, ([, init, fields]) => {
      for (const name of [...namesIn(fields), ...namesIn((init as { headers?: unknown } | undefined)?.headers)])
        note(name);
    });
  try {
    return await run();
  } finally {
    for (const [method, original] of originals) methods[method] = original;
  }
}

function namesIn(fields: unknown): string[] {
  if (typeof fields !== "object" || fields === null) return [];
  const names =
    Symbol.iterator in fields ? [...(fields as Iterable<[string]>)].map(([name]) => name) : Object.keys(fields);
  return names.map((name) => name.toLowerCase());
}
