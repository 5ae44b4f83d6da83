import type { ServerResponse } from "node:http";
import type { Reply } from "../engine/exchange.ts";

/** Writes a complete answer. Headers that outer layers set stay, where the reply has none of the same name. */
export function writeReply(response: ServerResponse, reply: Reply): void {
  // While it waited, a time limit of the application may have answered.
  if (response.headersSent || response.writableEnded) return;
  // The list form of writeHead is the fastest, but middleware that replaced writeHead may not know it.
  if (Object.hasOwn(response, "writeHead") || response.getHeaderNames().length > 0) {
    applyFields(response, reply.fields);
    response.statusCode = reply.status;
  } else {
    response.writeHead(reply.status, reply.fields as string[]);
  }
  if (reply.body === null) response.end();
  else response.end(reply.body);
}

/** Sets fields on a response, each in place of what was there; `Vary` is added to. */
export function applyFields(response: ServerResponse, fields: readonly string[]): void {
  const seen = new Set<string>();
  for (let at = 0; at + 1 < fields.length; at += 2) {
    const name = fields[at] ?? "";
    const value = fields[at + 1] ?? "";
    if (seen.has(name)) response.appendHeader(name, value);
    else response.setHeader(name, name === "vary" ? mergedVary(response.getHeader("vary"), value) : value);
    seen.add(name);
  }
}

function mergedVary(outer: number | string | readonly string[] | undefined, value: string): string {
  if (outer === undefined) return value;
  const names = `${String(outer)}, ${value}`.split(",").map((name) => name.trim());
  const byLowerCase = new Map(names.filter((name) => name !== "").map((name) => [name.toLowerCase(), name]));
  return [...byLowerCase.values()].join(", ");
}
