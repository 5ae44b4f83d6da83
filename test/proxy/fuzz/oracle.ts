/** A second opinion, as simple as can be: which responses must never answer the next request without asking again. */

import type { ProfileName } from "../../../src/options/profiles.ts";

/**
 * Why a response to a plain GET must not be reused, or `undefined` when that is not plain to see. It reads the bytes line by
 * line and knows no quoted strings: what follows a quote on its line is left out of account.
 */
export function mustAskAgain(head: string, bodyBytes: number, profile: ProfileName): string | undefined {
  const [statusLine = "", ...lines] = head.split("\r\n");
  const status = Number(statusLine.split(" ")[1]);
  const fields = lines.map((line) => {
    const colon = line.indexOf(":");
    return { name: line.slice(0, Math.max(colon, 0)).toLowerCase(), value: trimmed(line.slice(colon + 1)) };
  });
  const valuesOf = (name: string): string[] => fields.filter((field) => field.name === name).map(({ value }) => value);
  const has = (name: string): boolean => fields.some((field) => field.name === name);

  if (status === 206) return "a part nobody asked for";
  const lengths = valuesOf("content-length");
  if (!has("transfer-encoding") && lengths.some((length) => /^\d+$/.test(length) && Number(length) > bodyBytes)) {
    return "a body cut off";
  }
  const vary = valuesOf("vary").flatMap((value) => value.split(",").map(trimmed));
  if (vary.includes("*")) return "Vary: *";

  const cacheControl = valuesOf("cache-control");
  const words = cacheControl.flatMap(plainWords);
  if (!has("cdn-cache-control")) {
    if (words.includes("private")) return "private";
    if (words.includes("no-store") && !/must-understand/i.test(cacheControl.join())) return "no-store";
    if (status === 200 && words.includes("no-cache")) return "no-cache";
    if (status === 200 && /^max-age=0$/i.test(cacheControl.join())) return "max-age=0";
  }
  if (profile !== "proxy") return undefined;
  if (has("set-cookie")) return "Set-Cookie";
  const names = vary.map((name) => name.toLowerCase());
  if (names.includes("cookie") || names.includes("authorization")) return "varies by identity";
  if (!has("cache-control") && !has("cdn-cache-control") && !has("expires")) return "no lifetime";
  return undefined;
}

/** First words of the list members before any quote. */
function plainWords(line: string): string[] {
  const quote = line.indexOf('"');
  const members = (quote === -1 ? line : line.slice(0, quote)).split(",");
  if (quote !== -1) members.pop();
  return members.map((member) => /^[!#$%&'*+\-.^_`|~0-9A-Za-z]*/.exec(trimmed(member))?.[0].toLowerCase() ?? "");
}

function trimmed(text: string): string {
  return text.replace(/^[ \t]+|[ \t]+$/g, "");
}
