/** `reprise explain`: asks a URL once and says what a cache makes of the response, rule by rule. */

import { request as httpRequest, STATUS_CODES, validateHeaderName, validateHeaderValue } from "node:http";
import type { IncomingMessage } from "node:http";
import { request as httpsRequest } from "node:https";

import { createCache, type Explanation } from "../cache.ts";
import { commandFailed, describeValue, usageError } from "../errors.ts";
import { PROFILE_NAMES, type ProfileName } from "../options/profiles.ts";
import { DEFAULT_PROFILE, profileRoute } from "../proxy/profile.ts";
import type { CacheRequest, ResponseHead } from "../http.ts";
import { describeFlags, parseLine, type Flag, type Given, type ParsedLine } from "./flags.ts";
import type { Terminal } from "./terminal.ts";
import { readChoice, readDurationMs } from "./values.ts";

/** The flags of `reprise explain`, in the order of the help. */
export const EXPLAIN_FLAGS: readonly Flag[] = [
  { name: "header", value: '"<name>: <value>"', short: "H", repeats: true, help: "A field of the request." },
  {
    name: "profile",
    value: "<name>",
    default: DEFAULT_PROFILE,
    help: `How the cache decides: ${PROFILE_NAMES.join(", ")}.`,
  },
  { name: "method", value: "<method>", default: "GET", help: "Only GET and HEAD are sent; others are just explained." },
  { name: "timeout", value: "<time>", default: "10s", help: "Longest wait for the head of the response." },
  { name: "json", help: "Print the data instead of sentences." },
];

const HELP = `Usage: reprise explain <url> [flags]

Sends one request to the URL and says whether and how long a cache in front of it would keep the response. For example:

  reprise explain http://127.0.0.1:8000/users -H "Accept-Language: de"

Flags:
${describeFlags(EXPLAIN_FLAGS)}

Redirects are not followed, and the body is not read.
`;

/** Everything the command needs, read and checked. */
interface ExplainCommand {
  readonly url: URL;
  readonly method: string;
  /** By lower-case name, repeated ones joined. */
  readonly fields: Readonly<Record<string, string>>;
  readonly profile: ProfileName;
  readonly timeoutMs: number;
}

/** Runs the command; the result is the exit code, 0 whether the response can be cached or not. */
export async function explainCommand(args: readonly string[], terminal: Terminal): Promise<number> {
  const line = parseLine(args, EXPLAIN_FLAGS);
  if (line.given.has("help")) {
    terminal.out(HELP);
    return 0;
  }
  const command = readExplainCommand(line);
  const { url, method, profile, fields } = command;
  const requestedAtMs = Date.now();
  const head = method === "GET" || method === "HEAD" ? await headOf(command) : undefined;
  const cache = createCache();
  const request: CacheRequest = {
    method,
    scheme: url.protocol.slice(0, -1),
    authority: (fields["host"] ?? url.host).toLowerCase(),
    path: url.pathname + url.search,
    fields: { host: url.host, ...fields },
  };
  const route = cache.routeByHeaders(profileRoute(profile));
  const explanation = await route.explain(request, head === undefined ? {} : { head, requestedAtMs });
  await cache.close();
  const report = { method, url: url.href, profile, ...explanation };
  terminal.out(
    line.given.has("json") ? `${JSON.stringify(report, undefined, 2)}\n` : sentences(command, explanation, head),
  );
  return 0;
}

function readExplainCommand(line: ParsedLine): ExplainCommand {
  const read = <Value>(name: string, reader: (text: string, where: string) => Value): Value => {
    const byDefault = EXPLAIN_FLAGS.find((flag) => flag.name === name)?.default ?? "";
    const { text, where } = line.given.get(name) ?? { text: byDefault, where: `--${name}` };
    return reader(text, where);
  };
  return {
    url: urlOf(line.positionals),
    method: read("method", readMethod),
    fields: fieldsOf(line.repeated.get("header") ?? []),
    profile: read("profile", (text, where) => readChoice(text, where, PROFILE_NAMES)),
    timeoutMs: read("timeout", readDurationMs),
  };
}

function urlOf([text, ...more]: readonly string[]): URL {
  if (text === undefined) throw usageError("explain: which URL? For example: reprise explain http://127.0.0.1:8000/");
  if (more.length > 0) throw usageError(`explain: expected one URL, got ${more.length + 1}`);
  const example = "explain: expected a URL such as http://127.0.0.1:8000/users";
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || (url.protocol !== "http:" && url.protocol !== "https:")) {
    // A password is not to be shown.
    throw usageError(`${example}, got ${text.includes("@") ? "another text" : describeValue(text)}`);
  }
  if (url.username === "" && url.password === "") {
    url.hash = "";
    return url;
  }
  throw usageError(`${example}, without a user or password; send them with -H "Authorization: …"`);
}

function readMethod(text: string, where: string): string {
  try {
    validateHeaderName(text);
  } catch {
    throw usageError(`${where}: expected a method such as GET, got ${describeValue(text)}`);
  }
  return text.toUpperCase();
}

function fieldsOf(lines: readonly Given[]): Readonly<Record<string, string>> {
  const fields = new Map<string, string>();
  for (const { text, where } of lines) {
    const colon = text.indexOf(":");
    const name = text.slice(0, Math.max(0, colon)).trim().toLowerCase();
    const value = text.slice(colon + 1).trim();
    try {
      validateHeaderName(name);
      validateHeaderValue(name, value);
    } catch {
      // A value may be a secret.
      throw usageError(`${where}: expected a field such as "Accept: text/html"`);
    }
    if (name === "host" && !/^[\w.:[\]-]+$/.test(value)) {
      throw usageError(`${where}: expected a host with an optional port as Host, got ${describeValue(value)}`);
    }
    const known = fields.get(name);
    fields.set(name, known === undefined ? value : `${known}${name === "cookie" ? "; " : ", "}${value}`);
  }
  // No prototype: a field may be called `__proto__`.
  return Object.assign(Object.create(null) as Record<string, string>, Object.fromEntries(fields));
}

/** Asks the origin; its body is left where it is. */
async function headOf({ url, method, fields, timeoutMs }: ExplainCommand): Promise<ResponseHead> {
  const send = url.protocol === "https:" ? httpsRequest : httpRequest;
  return new Promise((resolve, reject) => {
    const outgoing = send(url, { method, agent: false, headers: { accept: "*/*", ...fields } });
    const timer = setTimeout(() => {
      reject(commandFailed(`${url.origin} did not answer within ${timeoutMs / 1000}s`));
      outgoing.destroy();
    }, timeoutMs);
    outgoing.once("response", (incoming) => {
      clearTimeout(timer);
      resolve({ status: incoming.statusCode ?? 0, fields: fieldLinesOf(incoming) });
      incoming.on("error", () => {});
      outgoing.destroy();
    });
    outgoing.on("error", (error: NodeJS.ErrnoException) => {
      clearTimeout(timer);
      reject(commandFailed(whyNoAnswer(url, error)));
    });
    outgoing.end();
  });
}

function fieldLinesOf({ headersDistinct }: IncomingMessage): ResponseHead["fields"] {
  const fields: Record<string, string | readonly string[]> = Object.create(null) as Record<string, string>;
  for (const [name, lines = []] of Object.entries(headersDistinct)) {
    const [line = ""] = lines;
    fields[name] = lines.length > 1 ? lines : line;
  }
  return fields;
}

function whyNoAnswer({ origin }: URL, { code = "", message }: NodeJS.ErrnoException): string {
  if (code.startsWith("HPE_")) return `what ${origin} answers is not valid HTTP (${code})`;
  if (code === "ECONNRESET") return `${origin} closed the connection without an answer`;
  if (/CERT|TLS|SSL|SELF_SIGNED|UNABLE_TO_VERIFY/.test(code)) {
    return `no secure connection to ${origin} could be made (${code})`;
  }
  return `${origin} cannot be reached (${code === "" ? message : code})`;
}

interface Paragraph {
  readonly label: string;
  readonly text: string;
  readonly because?: Explanation["because"];
}

function sentences(command: ExplainCommand, explanation: Explanation, head: ResponseHead | undefined): string {
  const { url, method, profile } = command;
  const answer = head === undefined ? " (not sent)" : ` → ${head.status} ${STATUS_CODES[head.status] ?? ""}`.trimEnd();
  const paragraphs = [...requestParagraphs(explanation), ...responseParagraphs(explanation)];
  const width = Math.max(...paragraphs.map(({ label }) => label.length)) + 2;
  const lines = paragraphs.flatMap(({ label, text, because }) => {
    const first = `${label.padEnd(width)}${text}`;
    return because === undefined ? [first] : [first, `${" ".repeat(width)}${ruleText(because)}`];
  });
  return `${method} ${url.href}${answer}\nProfile ${profile}\n\n${lines.join("\n")}\n`;
}

function ruleText({ rule, section }: Explanation["because"]): string {
  return section === undefined ? rule : `${rule} [${section}]`;
}

const KEY = { rule: "Method, host, path and query; Vary adds the fields it names.", section: "RFC 9111 §2" };
const AGE = { rule: "By its Age and Date, and by the time it took to arrive.", section: "RFC 9111 §4.2.3" };

function requestParagraphs({ action, because, detail, key }: Explanation): Paragraph[] {
  if (action === "bypass") return [{ label: "Request", text: `bypasses the cache (${detail ?? ""})`, because }];
  if (action === "pass") return [{ label: "Request", text: "goes to the origin as it is", because }];
  return [
    { label: "Request", text: action === "gateway-timeout" ? "answered with 504" : "takes part" },
    { label: "Key", text: JSON.stringify(key), because: KEY },
  ];
}

function responseParagraphs({ response }: Explanation): Paragraph[] {
  if (response === undefined) return [];
  const { stored, detail, because, lifetime, ageSeconds, vary, validators, stale, next } = response;
  const stateOf = stored ? "yes" : `no (${detail ?? ""})`;
  const paragraphs: Paragraph[] = [{ label: "Stored", text: stateOf, because }];
  if (lifetime.seconds === undefined) {
    if (detail !== "no-lifetime") paragraphs.push({ label: "Lifetime", text: "none", because: lifetime.because });
  } else {
    const from = lifetime.field === lifetime.from ? lifetime.from : `${lifetime.from} in ${lifetime.field ?? ""}`;
    const text = `${lifetime.seconds} s, from ${from}`;
    paragraphs.push({ label: "Lifetime", text, because: lifetime.because });
  }
  paragraphs.push({ label: "Age", text: `${ageSeconds} s on arrival`, because: AGE });
  const varies = Object.entries(vary.fields).map(([name, value]) => `${name}: ${value ?? "(absent)"}`);
  const varyText = varies.length === 0 ? "no field" : varies.join("; ");
  const { etag, lastModified } = validators;
  const known = [
    ...(etag === undefined ? [] : [`ETag ${etag}`]),
    ...(lastModified === undefined ? [] : [`Last-Modified ${lastModified}`]),
  ];
  const validatorsText = known.length === 0 ? "none" : known.join("; ");
  // What would follow from storing it does not follow.
  if (!stored) {
    const plain = [
      { label: "Vary", text: varyText },
      { label: "Validators", text: validatorsText },
      { label: "Second time", text: "the origin answers again" },
    ];
    return [...paragraphs, ...plain];
  }
  paragraphs.push(
    { label: "Vary", text: varyText, because: vary.because },
    { label: "Validators", text: validatorsText, because: validators.because },
    { label: "Once stale", text: staleText(stale), because: stale.because },
  );
  if (next !== undefined) {
    paragraphs.push({ label: "Second time", text: decisionText(next.decision), because: next.because });
  }
  return paragraphs;
}

function staleText({ whileRevalidateSeconds, ifErrorSeconds }: NonNullable<Explanation["response"]>["stale"]): string {
  return `stale-while-revalidate ${whileRevalidateSeconds} s, stale-if-error ${ifErrorSeconds} s`;
}

function decisionText(decision: NonNullable<Explanation["decision"]>): string {
  switch (decision.action) {
    case "reuse":
      return `answered from the cache; ${decision.ttlSeconds} s left`;
    case "reuse-and-revalidate":
      return "answered from the cache, and renewed in the background";
    case "revalidate":
      return "the origin is asked whether it still holds";
    case "forward":
      return "the origin answers";
    case "gateway-timeout":
      return "504";
  }
}
