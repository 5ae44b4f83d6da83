import { asError, duplicateFunctionName, recursiveCall, unknownThis } from "../errors.ts";
import { performance } from "../real-time.ts";
import { tagName } from "../tags.ts";
import type { FoundEntry, PurgeReceipt, PurgeTarget, PutResult, StoreEntry } from "../http.ts";
import { callKey } from "./call-key.ts";
import { CallbackFault } from "./callback.ts";
import type { Cached, FunctionCacheContext, FunctionEvent, NotStoredReason, OptionsOf } from "./contract.ts";
import { classOf, Receivers } from "./method.ts";
import { callName, functionName, methodCallName, methodName } from "./names.ts";
import { isInside, runAs } from "./own-runs.ts";
import { registerFunction } from "./registry.ts";
import { sourceDigest } from "./source-digest.ts";
import { readsThis } from "./source-text.ts";
import { InFlight, type Flight, type FlightEnd, type Run } from "./in-flight.ts";
import { resolveFunctionOptions, type AnyOptions, type FunctionRules } from "./options.ts";
import { decodeValue, encodeValue, readValue, valueEntry, type EncodedValue, type StoredValue } from "./value-codec.ts";

/**
 * Caches the results of a function by its arguments.
 *
 * Calls with equal arguments that overlap run the function once. What it throws goes to all of them and is not kept.
 * `this` is passed on, but is not in the key: what an instance holds must not change the result, or `key` must name it.
 *
 * @param name starts every key of the function; a function that had it before in `context` is no longer cached
 * @throws TypeError `ERR_DUPLICATE_FUNCTION_NAME` when the same function is wrapped under `name` again
 * @example
 * const rates = wrapFunction(context, "rates", fetchRates, { expire: "10m" });
 * await rates("EUR");
 * await rates.purge("EUR");
 */
export function wrapFunction<F extends CallableFunction>(
  context: FunctionCacheContext,
  name: string,
  fn: F,
  options: OptionsOf<F> = {},
): Cached<F> {
  const rules = resolveFunctionOptions(context, name, fn, options as unknown as AnyOptions);
  const calls = new FunctionCalls(context, name, fn as unknown as CalledFunction, rules);
  if (rules.method?.isProvisional !== true) {
    const replaces = registerFunction(context, name, { fn, retire: (successor) => calls.retire(successor) });
    if (replaces) calls.forget();
  }
  function cached(this: unknown, ...args: unknown[]): Promise<unknown> {
    return calls.call(this, args);
  }
  // Frameworks read both: Express tells an error handler by its length.
  Object.defineProperty(cached, "name", { value: fn.name, configurable: true });
  Object.defineProperty(cached, "length", { value: fn.length, configurable: true });
  /** `rates.purge("EUR")` is called on the function, and names no object. */
  const named = (self: unknown): unknown => (self === cached ? undefined : self);
  const wrapper = Object.assign(cached, {
    purge(this: unknown, ...args: unknown[]): Promise<void> {
      return unawaited(calls.purge(named(this), args));
    },
    purgeAll: () => unawaited(calls.purgeAll()),
    refresh(this: unknown, ...args: unknown[]): Promise<unknown> {
      return unawaited(calls.refresh(named(this), args));
    },
    keyOf(this: unknown, ...args: unknown[]): string {
      return calls.keyOf(named(this), args);
    },
    cacheName: name,
  });
  copyProperties(fn, wrapper);
  return wrapper as unknown as Cached<F>;
}

/** What was put on a function, which its type promises of the wrapper too. What the wrapper has itself stays. */
function copyProperties(fn: object, wrapper: object): void {
  for (const key of Reflect.ownKeys(fn)) {
    const descriptor = Object.getOwnPropertyDescriptor(fn, key);
    if (descriptor === undefined || OF_ANY_FUNCTION.has(key) || Object.hasOwn(wrapper, key)) continue;
    Object.defineProperty(wrapper, key, descriptor);
  }
}

/** Of functions in sloppy mode, and of constructors. */
const OF_ANY_FUNCTION: ReadonlySet<string | symbol> = new Set(["arguments", "caller", "prototype"]);

/** Furthest a result may come from the future and still be new: clocks of machines that share a store differ. */
const CLOCK_TOLERANCE_MS = 2000;

/** Awaited, a failure throws. Not awaited, it is in the events, and must not end the process. */
function unawaited<T>(promise: Promise<T>): Promise<T> {
  promise.catch(() => {});
  return promise;
}

/** A purge that fails carries the new result, so that it is not lost. */
async function withResult<Purged>(value: unknown, purged: Promise<Purged>): Promise<Purged> {
  try {
    return await purged;
  } catch (error) {
    const failure = asError(error);
    Object.defineProperty(failure, "result", { value, configurable: true });
    throw failure;
  }
}

type CalledFunction = (this: unknown, ...args: unknown[]) => unknown;

interface Call {
  readonly self: unknown;
  readonly args: unknown[];
  readonly key: string;
  /** Digests of the function and the classes that decide its result: the key has no more of them than names. */
  readonly madeBy: string;
  /** When it was made, on the clock of `performance.now()`: a purge acknowledged before that must hold for its result. */
  readonly arrivalMs: number;
}

/** A result: the function's own object for the caller it ran for and, if it may be shared, what copies are made from. */
interface Filled {
  readonly value: unknown;
  readonly encoded: EncodedValue | undefined;
  /** What may be stored of it. */
  readonly entry?: StoreEntry;
}

class FunctionCalls {
  readonly #context: FunctionCacheContext;
  readonly #name: string;
  readonly #fn: CalledFunction;
  readonly #rules: FunctionRules;
  readonly #inFlight: InFlight;
  readonly #receivers: Receivers | undefined;
  #isRetired = false;
  /** The function that has this name now has the same source text. */
  #isLikeSuccessor = false;
  /** What another function of this name has stored is being purged. */
  #forgetting: Promise<void> | undefined;

  constructor(context: FunctionCacheContext, name: string, fn: CalledFunction, rules: FunctionRules) {
    this.#context = context;
    this.#name = name;
    this.#fn = fn;
    this.#rules = rules;
    this.#inFlight = new InFlight(context.fillDeadlineMs);
    if (rules.keyReadsThis || readsThis(fn)) this.#receivers = new Receivers();
  }

  /** Not an async function, so that a hit on a store that answers at once costs one promise. */
  call(self: unknown, args: unknown[]): Promise<unknown> {
    this.#receivers?.note(self);
    if (this.#forgetting !== undefined) return this.#forgetting.then(() => this.call(self, args));
    try {
      const call = this.#callOf(self, args);
      return typeof call === "string" ? this.#plainCall(self, args) : this.#answer(call);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /** The function without the cache. */
  #plainCall(self: unknown, args: unknown[]): Promise<unknown> {
    try {
      return Promise.resolve(this.#fn.apply(self, args));
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /** A call that takes part, or why it does not; the events say more where that is a mistake. */
  #callOf(self: unknown, args: unknown[]): Call | "unwanted" | "failed" {
    if (this.#rules.isOff) return "unwanted";
    const anyCall = `${this.#context.prefix} ${this.#name}(…)`;
    try {
      if (!this.#rules.takesPart(self, args)) return "unwanted";
      const classes = new Set<object>();
      const key = callKey(this.#rules.keyRules, self, args, classes);
      if (!this.#isRetired) {
        return { self, args, key, madeBy: this.#madeBy(self, classes), arrivalMs: performance.now() };
      }
      if (this.#isLikeSuccessor) this.#context.warn(`functions ${this.#name}`, sameFunctions(this.#name));
      this.#reportNotStored({ key }, "replaced", duplicateFunctionName(this.#name));
    } catch (error) {
      if (error instanceof CallbackFault) {
        const { callback, error: cause } = error;
        this.#report({ type: "callback-failed", callback, key: anyCall, name: this.#name, error: cause });
      } else if (isIndistinctClass(error)) this.#reportNotStored({ key: anyCall }, "class", error);
      else throw error;
    }
    return "failed";
  }

  /** What a result must be made by to be one of this call. */
  #madeBy(self: unknown, classes: ReadonlySet<object>): string {
    let digests = sourceDigest(this.#fn);
    const ownClass = this.#rules.method === undefined ? undefined : classOf(self);
    if (ownClass !== undefined) digests += `.${sourceDigest(ownClass)}`;
    for (const each of classes) digests += `.${sourceDigest(each)}`;
    return digests;
  }

  /** Another function has this name now: the two must not share their results. */
  retire(successor: unknown): void {
    this.#isRetired = true;
    this.#isLikeSuccessor = typeof successor === "function" && sourceDigest(successor) === sourceDigest(this.#fn);
    this.#inFlight.purgeWhere(() => true);
  }

  /** Purges what another function of this name has stored, before anything is looked up. */
  forget(): void {
    const forgotten = this.#purgeTargets([{ kind: "name", text: functionName(this.#name) }], `${this.#name}(…)`);
    // One that is not acknowledged is reported, and holds in this process.
    this.#forgetting = forgotten.then(
      () => (this.#forgetting = undefined),
      () => (this.#forgetting = undefined),
    );
  }

  keyOf(self: unknown, args: unknown[]): string {
    try {
      return callKey(this.#rules.keyRules, this.#receiver(self, "keyOf", this.#rules.keyReadsThis), args);
    } catch (error) {
      throw error instanceof CallbackFault ? error.error : error;
    }
  }

  async purge(self: unknown, args: unknown[]): Promise<void> {
    const { method } = this.#rules;
    const key = this.#keyToPurge(self, args);
    if (method === undefined) return void (await this.#purgeKey(key));
    // The same call on objects of subclasses has keys of its own.
    const call = callName(this.#name, key);
    this.#inFlight.purgeWhere((other) => callName(this.#name, other) === call);
    const name = method.isProvisional ? methodCallName(method.purgedAs ?? "", key) : call;
    await this.#purgeTargets(
      [
        { kind: "key", text: key },
        { kind: "name", text: name },
      ],
      key,
    );
  }

  async purgeAll(): Promise<void> {
    const { method } = this.#rules;
    const name = method?.isProvisional === true ? methodName(method.purgedAs ?? "") : functionName(this.#name);
    this.#inFlight.purgeWhere(() => true);
    await this.#purgeTargets([{ kind: "name", text: name }], `${this.#name}(…)`);
  }

  #keyToPurge(self: unknown, args: unknown[]): string {
    const { keyRules, keyReadsThis } = this.#rules;
    const receiver = this.#receiver(self, "purge", keyReadsThis);
    try {
      return callKey({ ...keyRules, classMarks: undefined }, receiver, args);
    } catch (error) {
      throw error instanceof CallbackFault ? error.error : error;
    }
  }

  /** The object a call is about: the named one or, without one, the only one there is. */
  #receiver(self: unknown, method: string, isNeeded: boolean): unknown {
    if (self !== undefined || this.#receivers === undefined) return self;
    const { only } = this.#receivers;
    if (only === undefined && isNeeded) throw unknownThis(this.#name, method);
    return only;
  }

  #purgeKey(key: string): Promise<PurgeReceipt> {
    this.#inFlight.purge(key);
    return this.#purgeTargets([{ kind: "key", text: key }], key);
  }

  async #purgeTargets(targets: readonly PurgeTarget[], key: string): Promise<PurgeReceipt> {
    const { prefix, purges } = this.#context;
    try {
      return await purges.purge(prefix, targets, { soft: false });
    } catch (error) {
      this.#report({ type: "store-failed", operation: "purge", key, error: asError(error) });
      throw error;
    }
  }

  /** Callers who come meanwhile get the old result. */
  async refresh(self: unknown, args: unknown[]): Promise<unknown> {
    if (this.#forgetting !== undefined) await this.#forgetting;
    const { keyReadsThis } = this.#rules;
    const receiver = this.#receiver(self, "refresh", keyReadsThis || (this.#receivers?.isUnknown ?? false));
    const call = this.#callOf(receiver, args);
    if (call === "unwanted") return this.#plainCall(receiver, args);
    if (call === "failed") return this.#refreshUnkept(receiver, args);
    this.#refuseRecursion(call);
    await this.#connected(call);
    const run = this.#inFlight.begin(call.key);
    try {
      const { value, entry } = await this.#result(call);
      await this.#replace(call, value, entry);
      return value;
    } finally {
      this.#inFlight.end(run);
    }
  }

  /** The new result is not kept, so the old one is purged, or all results where the call has no key. */
  async #refreshUnkept(self: unknown, args: unknown[]): Promise<unknown> {
    const value = await this.#plainCall(self, args);
    await withResult(value, this.#purgeCall(self, args));
    return value;
  }

  #purgeCall(self: unknown, args: unknown[]): Promise<void> {
    try {
      this.#keyToPurge(self, args);
    } catch {
      return this.purgeAll();
    }
    return this.purge(self, args);
  }

  /**
   * A result from before the purge log was read for the first time cannot be told from one that was purged. A look-up waits
   * for the first connection, within its deadline, and reads the log.
   */
  async #connected({ key }: Call): Promise<void> {
    if (!this.#context.fence.hasRead()) await this.#read(key);
  }

  #answer(call: Call): Promise<unknown> {
    const state = this.#inFlight.state(call.key);
    if (state?.flight !== undefined) {
      this.#refuseRecursion(call);
      return this.#wait(call, state.flight);
    }
    const entry = this.#onItsWay(call, state?.beingStored) ?? this.#read(call.key);
    if (entry instanceof Promise) return this.#lookUp(call, entry);
    const stored = readValue(entry, call.madeBy);
    if (this.#reuses(call, stored)) return Promise.resolve(stored.value);
    this.#refuseRecursion(call);
    return this.#fill(call, this.#inFlight.takeOff(call.key), stored);
  }

  /** A call from inside a run of the same call would wait for that run, which waits for it. */
  #refuseRecursion({ key }: Call): void {
    if (isInside(this, key)) throw recursiveCall(key.slice(key.indexOf(" ") + 1));
  }

  /** The first of several overlapping calls asks the store for all of them. */
  async #lookUp(call: Call, entry: Promise<FoundEntry | undefined>): Promise<unknown> {
    const flight = this.#inFlight.takeOff(call.key);
    // A store that has not answered at the deadline is one that has nothing.
    const stored = readValue(await Promise.race([entry, flight.ended.then(() => undefined)]), call.madeBy);
    if (this.#reuses(call, stored)) {
      flight.end({ type: "value", copy: stored.copy, entry: stored.entry });
      return stored.value;
    }
    try {
      this.#refuseRecursion(call);
    } catch (error) {
      flight.end({ type: "alone" });
      throw error;
    }
    return this.#fill(call, flight, stored);
  }

  #fill(call: Call, flight: Flight, stored: StoredValue | undefined): Promise<unknown> {
    if (stored !== undefined && this.#mayStandIn(stored)) return this.#fillOrStandIn(call, flight, stored);
    return this.#fillOrFail(call, flight);
  }

  async #fillOrFail(call: Call, flight: Flight): Promise<unknown> {
    try {
      return landed(flight, await this.#runOnce(call));
    } catch (error) {
      flight.end({ type: "failed", error });
      throw error;
    }
  }

  /** Runs the function; where that fails or takes too long, the stale value is returned. */
  async #fillOrStandIn(call: Call, flight: Flight, stale: StoredValue): Promise<unknown> {
    const standIn: FlightEnd = { type: "value", copy: stale.copy, entry: stale.entry };
    flight.atDeadline = standIn;
    try {
      const filled = await Promise.race([this.#runOnce(call), flight.ended.then(() => undefined)]);
      if (filled !== undefined) return landed(flight, filled);
    } catch (error) {
      if (!this.#mayStandIn(stale)) {
        flight.end({ type: "failed", error });
        throw error;
      }
    }
    flight.end(standIn);
    this.#reportFound(call, stale, this.#ageMs(stale));
    return stale.value;
  }

  /** The result of another call's flight, in a copy of this caller's own. */
  async #wait(call: Call, flight: Flight): Promise<unknown> {
    const end = await flight.ended;
    if (end.type === "failed") throw end.error;
    if (end.type === "value") {
      if (flight.beganAtMs >= call.arrivalMs) return end.copy();
      // A purge may have come after the flight began and before this call: one of the calls that wait looks, for all.
      const isClear = end.entry === undefined || this.#isClear(call, end.entry);
      return isClear && this.#context.fence.maySharePast(call.arrivalMs) ? end.copy() : this.#answer(call);
    }
    return (await this.#runOnce(call)).value;
  }

  async #renewInBackground(call: Call): Promise<void> {
    const renewal = this.#inFlight.beginRenewal(call.key);
    if (renewal === undefined) return;
    try {
      await this.#run(call, renewal.run);
    } catch {
      // Reported where it was thrown; the stale value stays as it is.
    } finally {
      this.#inFlight.endRenewal(renewal);
    }
  }

  async #runOnce(call: Call): Promise<Filled> {
    const run = this.#inFlight.begin(call.key);
    try {
      return await this.#run(call, run);
    } finally {
      this.#inFlight.end(run);
    }
  }

  /** Calls the function, and stores its result if that may be kept. */
  async #run(call: Call, run: Run): Promise<Filled> {
    const filled = await this.#result(call);
    if (filled.entry !== undefined) this.#store(call, run, filled.entry);
    return filled;
  }

  /** Calls the function, and makes of its result what may be stored. */
  async #result(call: Call): Promise<Filled> {
    // While the store was asked the caller may have changed an object it passed: the result would belong to another key.
    const wasUnchanged = this.#hasKeyStill(call);
    const tags = wasUnchanged ? this.#tags(call) : undefined;
    const requestedAtMs = this.#context.now();
    const generation = this.#context.fence.take();
    const value = await this.#value(call);
    if (!this.#mayKeep(call, value, wasUnchanged) || tags === undefined) return { value, encoded: undefined };
    const names = [...tags.map(tagName), ...this.#names(call)];
    const kept = this.#encode(call, value, (encoded) => this.#entry(call, encoded, requestedAtMs, names, generation));
    if (kept === undefined) return { value, encoded: undefined };
    const { encoded, entry } = kept;
    if (this.#isClear(call, entry)) return { value, encoded, entry };
    // A call that came after the purge must not get it either.
    if (!this.#isPurged(call, entry)) return { value, encoded: undefined, entry };
    this.#reportNotStored(call, "purged");
    return { value, encoded: undefined };
  }

  async #value(call: Call): Promise<unknown> {
    try {
      return await runAs(this, call.key, () => this.#fn.apply(call.self, call.args));
    } catch (error) {
      this.#reportNotStored(call, "threw", error);
      throw error;
    }
  }

  /** False, and an event, for a result that belongs to other arguments, to another function, or is not wanted. */
  #mayKeep(call: Call, value: unknown, wasUnchanged: boolean): boolean {
    if (this.#isRetired) this.#reportNotStored(call, "replaced");
    else if (!wasUnchanged || !this.#hasKeyStill(call)) this.#reportNotStored(call, "arguments-changed");
    else return this.#isWanted(call, value);
    return false;
  }

  #hasKeyStill(call: Call): boolean {
    try {
      return callKey(this.#rules.keyRules, call.self, call.args) === call.key;
    } catch {
      return false;
    }
  }

  #tags(call: Call): readonly string[] | undefined {
    try {
      return this.#rules.tags(call.self, call.args);
    } catch (error) {
      this.#reportNotStored(call, "tags", error);
      return undefined;
    }
  }

  #isWanted(call: Call, value: unknown): boolean {
    try {
      if (this.#rules.wantsStored(call.self, value)) return true;
      this.#reportNotStored(call, "store-when");
    } catch (error) {
      this.#reportNotStored(call, "store-when", error);
    }
    return false;
  }

  #encode(
    call: Call,
    value: unknown,
    entryOf: (encoded: EncodedValue) => StoreEntry,
  ): { readonly encoded: EncodedValue; readonly entry: StoreEntry } | undefined {
    try {
      const encoded = encodeValue(value);
      return { encoded, entry: entryOf(encoded) };
    } catch (error) {
      this.#reportNotStored(call, "not-serializable", error);
      return undefined;
    }
  }

  /** What the entry can be purged by besides its tags and its key. */
  #names({ key }: Call): readonly string[] {
    const names = [functionName(this.#name)];
    const { method } = this.#rules;
    if (method === undefined) return names;
    if (!key.startsWith(`${this.#context.prefix} ${this.#name}(`)) names.push(callName(this.#name, key));
    const { purgedAs } = method;
    if (purgedAs !== undefined) names.push(methodName(purgedAs), methodCallName(purgedAs, key));
    return names;
  }

  #entry(
    { madeBy }: Call,
    encoded: EncodedValue,
    requestedAtMs: number,
    names: readonly string[],
    generation: string,
  ): StoreEntry {
    const { freshnessLifetimeSeconds, staleWhileRevalidateSeconds, staleIfErrorSeconds } = this.#rules;
    const times = {
      requestedAtMs,
      receivedAtMs: this.#context.now(),
      freshnessLifetimeSeconds,
      staleWhileRevalidateSeconds,
      staleIfErrorSeconds,
    };
    return valueEntry(encoded, times, madeBy, names, generation);
  }

  #isClear({ key }: Call, entry: StoreEntry): boolean {
    return this.#context.fence.isClear(key, entry);
  }

  #isPurged({ key }: Call, entry: StoreEntry): boolean {
    return this.#context.fence.isPurged(key, entry);
  }

  /** An entry that was handed to the store and may not be there yet; the store itself is asked where it could be purged. */
  #onItsWay(call: Call, entry: StoreEntry | undefined): StoreEntry | undefined {
    if (entry === undefined || !this.#context.fence.maySharePast(call.arrivalMs)) return undefined;
    return this.#isClear(call, entry) ? entry : undefined;
  }

  /** Purges the old result, which other processes may have in memory, and stores the new one in its place if it may be. */
  async #replace(call: Call, value: unknown, entry: StoreEntry | undefined): Promise<void> {
    const { fence } = this.#context;
    const known = fence.take();
    // The generation it gets is to hide no purge that came while the function ran.
    const isCurrent = entry !== undefined && this.#isClear(call, entry);
    if (entry !== undefined && !isCurrent) this.#reportNotStored(call, "purged");
    const receipt = await withResult(value, this.#purgeKey(call.key));
    if (!isCurrent) return;
    // With a purge in between that was not known, the result may be from before that.
    const generation = fence.positionAfter(receipt, known);
    if (generation === undefined) return this.#reportNotStored(call, "purged");
    // Runs that began before the purge are barred, and this result is not one of theirs.
    const run = this.#inFlight.begin(call.key);
    this.#store(call, run, { ...entry, generation });
    this.#inFlight.end(run);
  }

  /** Hands a result to the store, without waiting for it. */
  #store(call: Call, run: Run, entry: StoreEntry): void {
    const outdated = this.#inFlight.outdated(run);
    if (outdated !== undefined) return this.#reportNotStored(call, outdated);
    if (this.#context.store.isAvailable?.() === false) return this.#reportNotStored(call, "store-unavailable");
    const { freshnessLifetimeSeconds, staleWhileRevalidateSeconds, staleIfErrorSeconds } = this.#rules;
    const retainMs = (freshnessLifetimeSeconds + Math.max(staleWhileRevalidateSeconds, staleIfErrorSeconds)) * 1_000;
    const { key } = call;
    const stored = { type: "stored", key, name: this.#name, freshnessLifetimeSeconds } as const;
    const write = this.#guard("put", key, () => {
      const written = this.#context.store.put(key, entry, retainMs);
      const tell = (result: PutResult): void =>
        result === "stored" ? this.#report(stored) : this.#reportNotKept(call, entry);
      return written instanceof Promise ? written.then(tell) : tell(written);
    });
    this.#inFlight.storing(run, entry, write instanceof Promise ? write : undefined);
  }

  #read(key: string): FoundEntry | undefined | Promise<FoundEntry | undefined> {
    return this.#guard("get", key, () => this.#context.store.get(key));
  }

  /** Trouble in the store is reported, and counts as nothing found or not kept. */
  #guard<T>(
    operation: "get" | "put",
    key: string,
    action: () => T | Promise<T>,
  ): T | undefined | Promise<T | undefined> {
    const failed = (error: unknown): undefined => {
      this.#report({ type: "store-failed", operation, key, error: asError(error) });
    };
    try {
      const result = action();
      return result instanceof Promise ? result.catch(failed) : result;
    } catch (error) {
      return failed(error);
    }
  }

  /** True where the stored value may be returned without waiting. A stale one is renewed in the background. */
  #reuses(call: Call, stored: StoredValue | undefined): stored is StoredValue {
    if (stored === undefined) return false;
    const ageMs = this.#ageMs(stored);
    const freshMs = freshForMs(stored);
    if (ageMs >= freshMs + stored.staleWhileRevalidateSeconds * 1_000) return false;
    this.#reportFound(call, stored, ageMs);
    if (ageMs >= freshMs) void this.#renewInBackground(call);
    return true;
  }

  #mayStandIn(stale: StoredValue): boolean {
    return this.#ageMs(stale) < freshForMs(stale) + stale.staleIfErrorSeconds * 1_000;
  }

  #ageMs(stored: StoredValue): number {
    const ageMs = this.#context.now() - stored.receivedAtMs;
    // From the future, beyond what clocks of machines differ: how old it is cannot be known.
    return ageMs < -CLOCK_TOLERANCE_MS ? Infinity : Math.max(0, ageMs);
  }

  #reportFound(call: Call, found: StoredValue, ageMs: number): void {
    const ttlSeconds = Math.floor(freshForMs(found) / 1_000) - Math.floor(ageMs / 1_000);
    this.#report({ type: "found", key: call.key, name: this.#name, ttlSeconds });
  }

  #reportNotKept(call: Call, entry: StoreEntry): void {
    this.#reportNotStored(call, this.#isPurged(call, entry) ? "purged" : "store-failed");
  }

  #reportNotStored({ key }: Pick<Call, "key">, because: NotStoredReason, thrown?: unknown): void {
    const event = { type: "not-stored", key, name: this.#name, because } as const;
    this.#report(thrown === undefined ? event : { ...event, error: asError(thrown) });
  }

  #report(event: FunctionEvent): void {
    this.#context.report(event);
  }
}

/** How long a value was fresh: to the end of its lifetime, or to the soft purge that came before. */
function freshForMs({ freshnessLifetimeSeconds, outdatedAtMs, receivedAtMs }: StoredValue): number {
  const lifetimeMs = freshnessLifetimeSeconds * 1_000;
  return outdatedAtMs === undefined ? lifetimeMs : Math.min(lifetimeMs, Math.max(0, outdatedAtMs - receivedAtMs));
}

/** Ends a flight with the result of its run. What may not be kept is not shared either. */
function landed(flight: Flight, { value, encoded, entry }: Filled): unknown {
  if (encoded === undefined || entry === undefined) flight.end({ type: "alone" });
  else flight.end({ type: "value", copy: () => decodeValue(encoded), entry });
  return value;
}

function sameFunctions(name: string): string {
  return (
    `${name}: a function of this name with the same source text was wrapped later, and both are called. The cache cannot ` +
    "tell them apart: here it keeps the results of the later one alone, and another process may keep those of the other one.\n" +
    `Give each a name of its own: wrap(name, …), @Cached({ name }).`
  );
}

function isIndistinctClass(error: unknown): boolean {
  return (error as { code?: unknown } | null)?.code === "ERR_INDISTINCT_CLASS";
}
