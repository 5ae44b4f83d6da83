/**
 * Every error Reprise throws or reports: class, code and wording.
 *
 * A message has four parts: who was called, what was expected, what arrived, and the cure. A value that may hold a secret
 * is described, never printed.
 */

/** An error with a stable `code`, printed as Node prints its own: `TypeError [ERR_INVALID_STORE]: …`. */
export type CodedError<E extends Error = Error> = E & { readonly code: string };

function coded<E extends Error>(error: E, code: string): CodedError<E> {
  const plainHeader = `${error.name}: `;
  const codedHeader = `${error.name} [${code}]: `;
  if (error.stack?.startsWith(plainHeader)) error.stack = codedHeader + error.stack.slice(plainHeader.length);
  Object.defineProperty(error, "code", { value: code, enumerable: true });
  Object.defineProperty(error, "toString", { value: () => codedHeader + error.message });
  return error as CodedError<E>;
}

function sentence(where: string, expected: string, got: unknown, cure: string): string {
  muteRejections(got);
  return `${where}: expected ${expected}, got ${describeValue(got)}.${cure === "" ? "" : `\n${cure}`}`;
}

/** More than any refused list has; what a value of this size holds beyond that is not looked at. */
const MAX_MUTED_PARTS = 10_000;

/**
 * Marks the promises inside a refused value as handled: no code awaits them, and an unhandled rejection would end the process.
 * Looks into arrays, plain objects, Maps and Sets; a thenable that is no promise is not started.
 */
export function muteRejections(value: unknown): void {
  const open: unknown[] = [value];
  const seen = new Set<unknown>();
  for (let part = open.pop(); part !== undefined || open.length > 0; part = open.pop()) {
    if (typeof part !== "object" || part === null || seen.has(part) || seen.size >= MAX_MUTED_PARTS) continue;
    seen.add(part);
    try {
      if (isPromise(part)) void Promise.prototype.then.call(part, undefined, () => {});
      else open.push(...membersOf(part));
    } catch {
      // It poses as what it is not, and throws when it is looked at.
    }
  }
}

function isPromise(value: object): boolean {
  return value instanceof Promise || Object.prototype.toString.call(value) === "[object Promise]";
}

function membersOf(value: object): readonly unknown[] {
  if (ArrayBuffer.isView(value)) return [];
  if (Array.isArray(value)) return value.slice(0, MAX_MUTED_PARTS);
  if (value instanceof Map) return [...value].flat().slice(0, MAX_MUTED_PARTS);
  if (value instanceof Set) return [...value].slice(0, MAX_MUTED_PARTS);
  // Not by reading: a getter may do something.
  const members = Object.values(Object.getOwnPropertyDescriptors(value)).slice(0, MAX_MUTED_PARTS);
  return members.map((member): unknown => member.value);
}

/** A value as an error message shows it: short, on one line, and without the contents of objects. */
export function describeValue(value: unknown): string {
  if (typeof value === "string") {
    const shown = withoutUserInfo(value);
    return JSON.stringify(shown.length > 80 ? `${shown.slice(0, 77)}…` : shown);
  }
  if (typeof value === "function") return value.name === "" ? "a function" : `the function ${value.name}`;
  if (Array.isArray(value)) return `an array of ${value.length}`;
  if (typeof value === "bigint") return value < MAX_SHOWN && value > -MAX_SHOWN ? `${value}n` : "a large BigInt";
  if (typeof value !== "object" || value === null) return String(value);
  const { constructor } = value;
  return typeof constructor === "function" && constructor !== Object && constructor.name !== ""
    ? `an instance of ${constructor.name}`
    : "an object";
}

const MAX_SHOWN = 10n ** 80n;

/** A text without what may be a password in it: the user of a URL, and what a server says it was sent. */
export function withoutUserInfo(text: string): string {
  return text.replace(/\b([a-z][a-z0-9+.-]*:\/\/)\S*@/gi, "$1***@").replace(/,? with args beginning with:[\s\S]*/i, "");
}

/** A store was made with something that cannot work. */
export function invalidStore(where: string, expected: string, got: unknown, cure: string): CodedError<TypeError> {
  return coded(new TypeError(sentence(where, expected, got, cure)), "ERR_INVALID_STORE");
}

/** An option has the right shape and a value out of range. */
export function invalidOption(where: string, expected: string, got: unknown, cure: string): CodedError<RangeError> {
  return coded(new RangeError(sentence(where, expected, got, cure)), "ERR_INVALID_OPTION");
}

/** A callback of an option is `async`, or gave a promise or something else that answers nothing. */
export function invalidCallback(where: string, expected: string, got: unknown, cure: string): CodedError<TypeError> {
  return coded(new TypeError(sentence(where, expected, got, cure)), "ERR_INVALID_CALLBACK");
}

/** `redisStore({ url })` needs a client package and found none. */
export function redisClientMissing(): CodedError {
  const message =
    'redisStore({ url }): expected the package "redis" or "ioredis" to be installed, found neither.\n' +
    "Run `npm install redis`, or create a client yourself and pass { client }.";
  return coded(new Error(message), "ERR_REDIS_CLIENT_MISSING");
}

/** The connection to a store could not be made or was lost. `reason` must be free of secrets. */
export function storeUnreachable(address: string, reason: string): CodedError {
  const cure = UNREACHABLE_CURES.find(({ sign }) => sign.test(reason))?.cure;
  const message = `${address}: ${reason}${cure === undefined ? "" : `\n${cure}`}`;
  return coded(new Error(message), "ERR_STORE_UNREACHABLE");
}

const UNREACHABLE_CURES: readonly { readonly sign: RegExp; readonly cure: string }[] = [
  { sign: /WRONGPASS/, cure: "Check the user name and the password." },
  { sign: /NOAUTH/, cure: "The server asks for a password: give one." },
  { sign: /NOPERM/, cure: "Give this user the permissions it lacks." },
  { sign: /ENOTFOUND|EAI_AGAIN/, cure: "Check the host name." },
  { sign: /ECONNREFUSED/, cure: "Check host and port, and that a server runs there." },
  { sign: /time(d )?out|no answer within/i, cure: "Check host and port, and that no firewall is in between." },
];

/** A store did not answer within its deadline. */
export function storeTimeout(operation: string, deadlineMs: number): CodedError {
  return coded(new Error(`${operation}: no answer within ${deadlineMs} ms`), "ERR_STORE_TIMEOUT");
}

/** Too many operations of a store are waiting for an answer. */
export function storeOverloaded(operation: string, bound: string): CodedError {
  return coded(
    new Error(`${operation}: skipped, ${bound} operations already wait for an answer`),
    "ERR_STORE_OVERLOADED",
  );
}

/** A store was waited for, and cannot be used. `reason`: the last trouble it had or, if there was none, what is known. */
export function storeNotReady(store: string, timeoutMs: number, reason: Error | string): CodedError {
  const [text, options] = typeof reason === "string" ? [reason, {}] : [reason.message, { cause: reason }];
  const message = `cache.ready(): no answer of ${store} within ${timeoutMs} ms: ${text}`;
  return coded(new Error(message, options), "ERR_STORE_NOT_READY");
}

/** A store answered an operation with an error. `reason` must be free of secrets. */
export function storeOperationFailed(operation: string, reason: string): CodedError {
  return coded(new Error(`${operation}: ${withoutUserInfo(reason)}`), "ERR_STORE_OPERATION");
}

/** What is under a key is nothing that this process can use. `entry`: its hash, which tells nothing of the request. */
export function storeEntryUnreadable(entry: string): CodedError {
  const message =
    `get: the entry ${entry} is damaged, from another application, or sealed with another integrityKey: it counts as a miss.\n` +
    "Give all processes the same integrityKey, or none.";
  return coded(new Error(message), "ERR_STORE_ENTRY_UNREADABLE");
}

/** A purge may not hold in other processes, because the store did not say that it has it. */
export function purgeNotAcknowledged(prefix: string, targets: number, reason: string): CodedError {
  const message =
    `purge of ${targets} ${targets === 1 ? "target" : "targets"} under ${JSON.stringify(prefix)}: Redis did not acknowledge it, ${withoutUserInfo(reason)}.\n` +
    "It holds in this process and is tried again when Redis is next read; until then other processes may serve what it names. " +
    "Purge again later if this process may end before that.";
  return coded(new Error(message), "ERR_PURGE_NOT_ACKNOWLEDGED");
}

/** A secret that anybody can guess, or none at all. It is never printed. */
export function invalidSecret(where: string, got: string): CodedError<RangeError> {
  const message = `${where}: expected a text or a Uint8Array of at least 16 bytes, got ${got}.\nMake one with \`openssl rand -base64 32\` and give it to all processes.`;
  return coded(new RangeError(message), "ERR_INVALID_OPTION");
}

/** A store is not used until it answers again. */
export function storeSuspended(failures: string, last: Error): CodedError {
  const message = `${failures} failed, the last one with "${last.message}"; not used until it answers again`;
  return coded(new Error(message), "ERR_STORE_SUSPENDED");
}

/** A purge names a pattern that no route of this process has. */
export function unknownRoute(route: string, hint: string): CodedError {
  const message = `purge({ route: ${describeValue(route)} }): no route has this pattern. ${hint}`;
  return coded(new Error(message), "ERR_UNKNOWN_ROUTE");
}

/** A span of time that is none. */
export function invalidDuration(where: string, got: unknown, cure: string): CodedError<RangeError> {
  const expected = 'whole seconds > 0 or a duration such as 30, "30s", "5m", "1h", "7d" or { hours: 1 }';
  return coded(new RangeError(sentence(where, expected, got, cure)), "ERR_INVALID_DURATION");
}

/** An option that does not exist, most often a misspelt one. */
export function unknownOption(where: string, name: string, known: readonly string[]): CodedError<TypeError> {
  const message = `${where}: there is no option ${describeValue(name)}.\nThe options are ${known.join(", ")}.`;
  return coded(new TypeError(message), "ERR_UNKNOWN_OPTION");
}

/** An argument of a cached function, or a value for a key, without a canonical text. */
export function unstableArgument(subject: string, what: string, cure: string, cause?: unknown): CodedError<TypeError> {
  return coded(
    new TypeError(`${subject} is ${what}. ${cure}`, cause === undefined ? {} : { cause }),
    "ERR_UNSTABLE_ARGUMENT",
  );
}

/** A name that cannot stand at the start of a key. */
export function invalidFunctionName(where: string, name: unknown, cure: string): CodedError<TypeError> {
  const text = `${where}: expected a name of letters, digits and any of _ . $ : -, got ${describeValue(name)}. ${cure}`;
  return coded(new TypeError(text), "ERR_INVALID_FUNCTION_NAME");
}

/** Something was to be cached that is no function, or none with one result. */
export function invalidFunction(where: string, got: string, cure: string): CodedError<TypeError> {
  return coded(
    new TypeError(`${where}: expected a function with one result, got ${got}. ${cure}`),
    "ERR_INVALID_FUNCTION",
  );
}

/** Two functions of one cache under one name. */
export function duplicateFunctionName(name: string): CodedError<TypeError> {
  const text = `wrap(${JSON.stringify(name)}, …): this cache has a function of that name already, and the two would share their results.`;
  return coded(new TypeError(`${text} Give one of them another name.`), "ERR_DUPLICATE_FUNCTION_NAME");
}

/** A callback of an option answered something that is no answer; the function runs as it would without the cache. */
export function invalidCallbackResult(where: string, expected: string, got: unknown): CodedError<TypeError> {
  const cure = isThenable(got)
    ? "It is asked for an answer at once and not awaited: decide by what is known already, or inside the function."
    : "Return it on every path of the callback.";
  const text = sentence(where, expected, got, cure);
  return coded(new TypeError(text), "ERR_INVALID_CALLBACK_RESULT");
}

function isThenable(value: unknown): boolean {
  return typeof (value as { then?: unknown } | null | undefined)?.then === "function";
}

/**
 * A cached function called itself, and the inner call has the key of the outer one. Whether the outer run waits for it
 * cannot be told.
 */
export function recursiveCall(call: string): CodedError {
  const message =
    `${call} calls itself with the same arguments, and would wait for its own result.\n` +
    "Call the function that was wrapped, or pass other arguments: those that are ignored do not count. What the run starts " +
    "and does not wait for, a timer say, counts as inside of it until it ends: start that outside of the function.";
  return coded(new Error(message), "ERR_RECURSIVE_CALL");
}

/** A call of a function that reads `this`, from outside of its objects. */
export function unknownThis(name: string, method: string): CodedError<TypeError> {
  const message =
    `${name}: ${method}() needs the object that the function is called on, and it is not the only one or not known here.\n` +
    `Say which one: ${method}.call(object, …).`;
  return coded(new TypeError(message), "ERR_UNKNOWN_THIS");
}

/** A class whose instances cannot be told from those of another one by its name. */
export function indistinctClass(subject: string, problem: string): CodedError<TypeError> {
  const message =
    `${subject}: \`this\` is an instance of ${problem}, so its results cannot be told from those of another class.\n` +
    "Give the class a name of its own, or declare the cached method in it.";
  return coded(new TypeError(message), "ERR_INDISTINCT_CLASS");
}

/** A result that would come back different. `path` is where the part is: `.users[0]`, empty for the result itself. */
export function unkeepableResult(path: string, what: string): CodedError<TypeError> & { readonly path: string } {
  const at = path === "" ? "the result" : `the result at ${path}`;
  const message =
    `${at} is ${what}; it is returned and not kept.\n` +
    "Plain objects, arrays, Date, Map, Set, RegExp, URL, BigInt and binary data come back as they were.";
  return Object.assign(coded(new TypeError(message), "ERR_UNKEEPABLE_RESULT"), { path });
}

/** `@Cached` where it cannot work, or without what it needs there. */
export function invalidDecoration(where: string, problem: string): CodedError<TypeError> {
  return coded(new TypeError(`${where}: ${problem}`), "ERR_INVALID_DECORATION");
}

/** What was thrown, as an error: JavaScript throws anything. */
export function asError(thrown: unknown): Error {
  if (thrown instanceof Error) return thrown;
  return new Error(typeof thrown === "string" ? thrown : `not an error was thrown but ${describeValue(thrown)}`, {
    cause: thrown,
  });
}

/** The server behind a proxy gave no response. */
export function upstreamFailed(cause: string): CodedError {
  return coded(new Error(`the upstream gave no response (${cause})`), "ERR_UPSTREAM");
}

/** The command line cannot mean anything: one line for the user, exit code 2. */
export function usageError(line: string): CodedError {
  return coded(new Error(line), "ERR_USAGE");
}

/** A command cannot do its work on this machine: one line for the user, exit code 1. */
export function commandFailed(line: string): CodedError {
  return coded(new Error(line), "ERR_COMMAND_FAILED");
}
