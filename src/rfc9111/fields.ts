import type { Fields } from "../http.ts";

const NO_LINES: readonly string[] = Object.freeze([]);

/**
 * Value of a field as one text, or `undefined` when the field is absent.
 *
 * Several lines are joined with `", "` (RFC 9110 §5.3). `name` is lower-case.
 *
 * @example fieldValue({ vary: ["Accept", "Origin"] }, "vary") // "Accept, Origin"
 */
export function fieldValue(fields: Fields, name: string): string | undefined {
  if (!Object.hasOwn(fields, name)) return undefined;
  const value = fields[name];
  if (value === undefined || typeof value === "string") return value;
  return value.length === 0 ? undefined : value.join(", ");
}

/**
 * The lines of a field in the order they came; empty when the field is absent. `name` is lower-case.
 *
 * @example fieldLines({ age: "7" }, "age") // ["7"]
 */
export function fieldLines(fields: Fields, name: string): readonly string[] {
  if (!Object.hasOwn(fields, name)) return NO_LINES;
  const value = fields[name];
  if (value === undefined) return NO_LINES;
  return typeof value === "string" ? [value] : value;
}

/** True when the field has at least one line, even an empty one. `name` is lower-case. */
export function hasField(fields: Fields, name: string): boolean {
  if (!Object.hasOwn(fields, name)) return false;
  const value = fields[name];
  return value !== undefined && (typeof value === "string" || value.length > 0);
}

/**
 * Members of a list field over all its lines (RFC 9110 §5.6.1): trimmed, empty members dropped.
 *
 * A comma inside a quoted string separates nothing. A quote that never closes on its line is plain data, so it cannot
 * hide the members behind it.
 *
 * @example listMembers(['a, "b,c",', "d"]) // ["a", '"b,c"', "d"]
 */
export function listMembers(lines: readonly string[]): string[] {
  const members: string[] = [];
  for (const line of lines) {
    if (line.indexOf('"') === -1) pushPlainMembers(members, line);
    else pushQuotedMembers(members, line);
  }
  return members;
}

function pushPlainMembers(members: string[], line: string): void {
  let start = 0;
  for (;;) {
    const comma = line.indexOf(",", start);
    pushTrimmed(members, line, start, comma === -1 ? line.length : comma);
    if (comma === -1) return;
    start = comma + 1;
  }
}

function pushQuotedMembers(members: string[], line: string): void {
  let start = 0;
  let quotesClose = true;
  for (let at = 0; at < line.length; at++) {
    const code = line.charCodeAt(at);
    if (code === COMMA) {
      pushTrimmed(members, line, start, at);
      start = at + 1;
    } else if (code === QUOTE && quotesClose) {
      const end = closingQuote(line, at);
      // Looked for once per line: behind an open quote there is no closed one, and the scan stays linear.
      if (end === -1) quotesClose = false;
      else at = end;
    }
  }
  pushTrimmed(members, line, start, line.length);
}

/** Index of the quote that closes the one at `open`, or -1 (RFC 9110 §5.6.4). */
function closingQuote(text: string, open: number): number {
  for (let at = open + 1; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code === QUOTE) return at;
    if (code === BACKSLASH) at++;
  }
  return -1;
}

function pushTrimmed(members: string[], line: string, from: number, to: number): void {
  let start = from;
  let end = to;
  while (start < end && isWhitespace(line.charCodeAt(start))) start++;
  while (end > start && isWhitespace(line.charCodeAt(end - 1))) end--;
  if (end > start) members.push(line.slice(start, end));
}

/** Text without the optional whitespace around it (RFC 9110 §5.6.3). @internal */
export function trimWhitespace(text: string): string {
  let start = 0;
  let end = text.length;
  while (start < end && isWhitespace(text.charCodeAt(start))) start++;
  while (end > start && isWhitespace(text.charCodeAt(end - 1))) end--;
  return start === 0 && end === text.length ? text : text.slice(start, end);
}

/**
 * Content of a quoted string without its quotes and backslashes, or `undefined` when `text` is not exactly one.
 * @internal
 */
export function unquoted(text: string): string | undefined {
  if (text.length < 2 || text.charCodeAt(0) !== QUOTE) return undefined;
  if (closingQuote(text, 0) !== text.length - 1) return undefined;
  const content = text.slice(1, -1);
  return content.indexOf("\\") === -1 ? content : content.replace(/\\(.)/gs, "$1");
}

/** @internal */
export function isWhitespace(code: number): boolean {
  return code === 0x20 || code === 0x09;
}

const QUOTE = 0x22;
const COMMA = 0x2c;
const BACKSLASH = 0x5c;

/** 1 where an ASCII code may stand in a token (RFC 9110 §5.6.2). */
const TOKEN_CODES: Uint8Array = codeTable(
  "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ",
);

function codeTable(allowed: string): Uint8Array {
  const table = new Uint8Array(128);
  for (let at = 0; at < allowed.length; at++) table[allowed.charCodeAt(at)] = 1;
  return table;
}

/** @internal */
export function isTokenCode(code: number): boolean {
  return code < 128 && TOKEN_CODES[code] === 1;
}

/** True for a token, the grammar of field names in any case (RFC 9110 §5.1). */
export function isFieldName(text: string): boolean {
  for (let at = 0; at < text.length; at++) {
    if (!isTokenCode(text.charCodeAt(at))) return false;
  }
  return text.length > 0;
}

/**
 * True for text that may be sent as a field value: no control character but the tab, nothing above U+00FF
 * (RFC 9110 §5.5). Whitespace at the ends is not looked at.
 */
export function isFieldValue(text: string): boolean {
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code < 0x20 ? code !== 0x09 : code === 0x7f || code > 0xff) return false;
  }
  return true;
}

const HOP_BY_HOP: ReadonlySet<string> = new Set([
  "connection",
  "keep-alive",
  "proxy-authenticate",
  "proxy-authentication-info",
  "proxy-authorization",
  "proxy-connection",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
]);

/** True for a lower-case name that ends at the next hop, whether `Connection` names it or not. @internal */
export function isHopByHop(name: string): boolean {
  return HOP_BY_HOP.has(name);
}

/** Empty fields without a prototype, so that a field named `__proto__` is a field. @internal */
export function emptyFields(): Record<string, string | readonly string[]> {
  return Object.create(null) as Record<string, string | readonly string[]>;
}

/**
 * A copy without the fields that end at the next hop: `Connection` and what it names, `Keep-Alive`, `TE`, `Trailer`,
 * `Transfer-Encoding`, `Upgrade` and the fields of a proxy (RFC 9111 §3.1, RFC 9110 §7.6.1).
 *
 * The result has no prototype.
 */
export function endToEndFields(fields: Fields): Fields {
  const named = connectionOptions(fields);
  const kept = emptyFields();
  for (const name of Object.keys(fields)) {
    const value = fields[name];
    if (value === undefined || HOP_BY_HOP.has(name) || named?.has(name) === true) continue;
    kept[name] = value;
  }
  return kept;
}

function connectionOptions(fields: Fields): ReadonlySet<string> | undefined {
  if (!hasField(fields, "connection")) return undefined;
  return new Set(listMembers(fieldLines(fields, "connection")).map((member) => member.toLowerCase()));
}

/** An entity tag: `W/"v1"` is `{ weak: true, opaque: "v1" }` (RFC 9110 §8.8.3). */
export interface EntityTag {
  readonly weak: boolean;
  /** The text between the quotes. It has no escapes: a backslash is a character like others. */
  readonly opaque: string;
}

/** The entity tag `text` is, or `undefined` where it does not follow the grammar of RFC 9110 §8.8.3 exactly. */
export function parseEntityTag(text: string): EntityTag | undefined {
  const weak = text.startsWith('W/"');
  const open = weak ? 2 : 0;
  const end = text.length - 1;
  if (end <= open || text.charCodeAt(open) !== QUOTE || text.charCodeAt(end) !== QUOTE) return undefined;
  return isOpaqueTag(text, open + 1, end) ? { weak, opaque: text.slice(open + 1, end) } : undefined;
}

function isOpaqueTag(text: string, start: number, end: number): boolean {
  for (let at = start; at < end; at++) {
    const code = text.charCodeAt(at);
    if (code < 0x21 || code === QUOTE || code === 0x7f || code > 0xff) return false;
  }
  return true;
}

/**
 * The entity tags of `If-None-Match` or `If-Match`, or `"*"` when that is all there is (RFC 9110 §13.1.2).
 *
 * A malformed member is skipped. A comma or backslash inside an entity tag is part of it.
 *
 * @example parseEntityTagList(['"a", W/"b"']) // [{ weak: false, opaque: "a" }, { weak: true, opaque: "b" }]
 */
export function parseEntityTagList(lines: readonly string[]): EntityTag[] | "*" {
  const tags: EntityTag[] = [];
  let stars = 0;
  let others = 0;
  for (const line of lines) {
    let at = 0;
    while (at < line.length) {
      const code = line.charCodeAt(at);
      if (code === COMMA || isWhitespace(code)) {
        at++;
        continue;
      }
      const end = entityTagEnd(line, at);
      if (end !== -1) {
        const tag = parseEntityTag(line.slice(at, end));
        if (tag !== undefined) tags.push(tag);
        others++;
        at = end;
        continue;
      }
      const comma = line.indexOf(",", at + 1);
      const memberEnd = comma === -1 ? line.length : comma;
      if (trimWhitespace(line.slice(at, memberEnd)) === "*") stars++;
      else others++;
      at = memberEnd;
    }
  }
  return stars > 0 && others === 0 ? "*" : tags;
}

/** End of the quoted member that starts at `start`, or -1 when the member there is not one. */
function entityTagEnd(line: string, start: number): number {
  const open = line.startsWith('W/"', start) ? start + 2 : start;
  if (line.charCodeAt(open) !== QUOTE) return -1;
  const close = line.indexOf('"', open + 1);
  if (close === -1) return -1;
  let next = close + 1;
  while (next < line.length && isWhitespace(line.charCodeAt(next))) next++;
  return next === line.length || line.charCodeAt(next) === COMMA ? close + 1 : -1;
}
