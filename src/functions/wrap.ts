import { asError, duplicateFunctionName } from "../errors.ts";
import { performance } from "../real-time.ts";
import { tagName } from "../tags.ts";
import type { PurgeReceipt, PurgeVerdict, StoreEntry } from "../types.ts";
import { callKey } from "./call-key.ts";
import type {
  CachedFunction,
  FunctionCacheContext,
  FunctionEvent,
  FunctionOptions,
  NotStoredReason,
} from "./contract.ts";
import { InFlight, type Flight, type FlightEnd, type Run } from "./in-flight.ts";
import { resolveFunctionOptions, type FunctionRules } from "./options.ts";
import { decodeValue, encodeValue, readValue, valueEntry, type EncodedValue, type StoredValue } from "./value-codec.ts";

/**
 * Caches the results of a function by its arguments.
 *
 * Calls with equal arguments that overlap run the function once. What it throws goes to all of them and is not kept.
 * `this` is passed on, but is not in the key: what an instance holds must not change the result.
 *
 * @param name starts every key of the function; unique within `context`
 * @throws TypeError `ERR_DUPLICATE_FUNCTION_NAME` when `context` has a function of that name already
 * @example
 * const rates = wrapFunction(context, "rates", fetchRates, { expire: "10m" });
 * await rates("EUR");
 * await rates.purge("EUR");
 */
export function wrapFunction<Args extends unknown[], Result>(
  context: FunctionCacheContext,
  name: string,
  fn: (...args: Args) => Result,
  options: FunctionOptions<Args, Awaited<Result>> = {},
): CachedFunction<Args, Awaited<Result>> {
  const rules = resolveFunctionOptions(context, name, fn, options);
  registerName(context, name);
  const calls = new FunctionCalls(context, name, fn, rules);
  function cached(this: unknown, ...args: Args): Promise<Awaited<Result>> {
    return calls.call(this, args) as Promise<Awaited<Result>>;
  }
  // Frameworks read both: Express tells an error handler by its length.
  Object.defineProperty(cached, "name", { value: fn.name, configurable: true });
  Object.defineProperty(cached, "length", { value: fn.length, configurable: true });
  return Object.assign(cached, {
    purge(...args: Args): Promise<void> {
      const purged = calls.purge(args);
      // Awaited, a failure throws. Not awaited, it is in the events, and must not end the process.
      purged.catch(() => {});
      return purged;
    },
    refresh: (...args: Args) => calls.refresh(args) as Promise<Awaited<Result>>,
    keyOf: (...args: Args) => callKey(rules.keyRules, args),
    cacheName: name,
  });
}

/** Furthest a result may come from the future and still be new: clocks of machines that share a store differ. */
const CLOCK_TOLERANCE_MS = 2000;

const namesInUse = new WeakMap<FunctionCacheContext, Set<string>>();

function registerName(context: FunctionCacheContext, name: string): void {
  const names = namesInUse.get(context) ?? new Set();
  if (names.has(name)) throw duplicateFunctionName(name);
  names.add(name);
  namesInUse.set(context, names);
}

interface Call<Args> {
  readonly self: unknown;
  readonly args: Args;
  readonly key: string;
  /** When it was made, on the clock of `performance.now()`: a purge acknowledged before that must hold for its result. */
  readonly sinceMs: number;
}

/** A result: the function's own object for the caller it ran for and, if it may be shared, what copies are made from. */
interface Filled {
  readonly value: unknown;
  readonly encoded: EncodedValue | undefined;
  /** What may be stored of it. */
  readonly entry?: StoreEntry;
}

class FunctionCalls<Args extends unknown[], Result> {
  readonly #context: FunctionCacheContext;
  readonly #name: string;
  readonly #fn: (...args: Args) => Result;
  readonly #rules: FunctionRules<Args, Awaited<Result>>;
  readonly #inFlight: InFlight;

  constructor(
    context: FunctionCacheContext,
    name: string,
    fn: (...args: Args) => Result,
    rules: FunctionRules<Args, Awaited<Result>>,
  ) {
    this.#context = context;
    this.#name = name;
    this.#fn = fn;
    this.#rules = rules;
    this.#inFlight = new InFlight(context.fillDeadlineMs);
  }

  /** Not an async function, so that a hit on a store that answers at once costs one promise. */
  call(self: unknown, args: Args): Promise<unknown> {
    try {
      if (this.#rules.when?.(...args) === false) return Promise.resolve(this.#fn.apply(self, args));
      const call = { self, args, key: callKey(this.#rules.keyRules, args), sinceMs: performance.now() };
      return this.#answer(call);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  async purge(args: Args): Promise<void> {
    const key = callKey(this.#rules.keyRules, args);
    this.#inFlight.purge(key);
    await this.#purgeKey(key);
  }

  async #purgeKey(key: string): Promise<PurgeReceipt> {
    const { prefix, purges } = this.#context;
    try {
      return await purges.purge(prefix, [{ kind: "key", text: key }], { soft: false });
    } catch (error) {
      this.#report({ type: "store-failed", operation: "purge", key, error: asError(error) });
      throw error;
    }
  }

  /** Those who call meanwhile get the old result. */
  async refresh(args: Args): Promise<unknown> {
    const call = { self: undefined, args, key: callKey(this.#rules.keyRules, args), sinceMs: performance.now() };
    const run = this.#inFlight.begin(call.key);
    try {
      const { value, entry } = await this.#result(call);
      if (entry !== undefined) await this.#replace(call, run, entry);
      return value;
    } finally {
      this.#inFlight.end(run);
    }
  }

  #answer(call: Call<Args>): Promise<unknown> {
    const state = this.#inFlight.state(call.key);
    if (state?.flight !== undefined) return this.#wait(call, state.flight);
    const entry = this.#onItsWay(call, state?.beingStored) ?? this.#read(call.key);
    if (entry instanceof Promise) return this.#lookUp(call, entry);
    const stored = readValue(entry);
    if (this.#reuses(call, stored)) return Promise.resolve(stored.value);
    return this.#fill(call, this.#inFlight.takeOff(call.key), stored);
  }

  /** The first of several overlapping calls asks the store for all of them. */
  async #lookUp(call: Call<Args>, entry: Promise<StoreEntry | undefined>): Promise<unknown> {
    const flight = this.#inFlight.takeOff(call.key);
    // A store that has not answered at the deadline is one that has nothing.
    const stored = readValue(await Promise.race([entry, flight.ended.then(() => undefined)]));
    if (!this.#reuses(call, stored)) return this.#fill(call, flight, stored);
    flight.end({ type: "value", copy: stored.copy, entry: stored.entry });
    return stored.value;
  }

  #fill(call: Call<Args>, flight: Flight, stored: StoredValue | undefined): Promise<unknown> {
    if (stored !== undefined && this.#mayStandIn(stored)) return this.#fillOrStandIn(call, flight, stored);
    return this.#fillOrFail(call, flight);
  }

  async #fillOrFail(call: Call<Args>, flight: Flight): Promise<unknown> {
    try {
      return landed(flight, await this.#runOnce(call));
    } catch (error) {
      flight.end({ type: "failed", error });
      throw error;
    }
  }

  /** Runs the function; where that fails or takes too long, the stale value is returned. */
  async #fillOrStandIn(call: Call<Args>, flight: Flight, stale: StoredValue): Promise<unknown> {
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
  async #wait(call: Call<Args>, flight: Flight): Promise<unknown> {
    const end = await flight.ended;
    if (end.type === "failed") throw end.error;
    if (end.type === "value") {
      if (flight.beganAtMs >= call.sinceMs) return end.copy();
      // Somebody may have purged after the flight began and before this call: one of those who wait looks, for all.
      const isUnpurged = end.entry === undefined || this.#verdict(call, end.entry) === "valid";
      return isUnpurged && this.#knowsPurgesBefore(call) ? end.copy() : this.#answer(call);
    }
    return (await this.#runOnce(call)).value;
  }

  async #renewInBackground(call: Call<Args>): Promise<void> {
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

  async #runOnce(call: Call<Args>): Promise<Filled> {
    const run = this.#inFlight.begin(call.key);
    try {
      return await this.#run(call, run);
    } finally {
      this.#inFlight.end(run);
    }
  }

  /** Calls the function, and stores its result if that may be kept. */
  async #run(call: Call<Args>, run: Run): Promise<Filled> {
    const filled = await this.#result(call);
    if (filled.entry !== undefined) this.#store(call, run, filled.entry);
    return filled;
  }

  /** Calls the function, and makes of its result what may be stored. */
  async #result(call: Call<Args>): Promise<Filled> {
    // While the store was asked the caller may have changed an object it passed: the result would belong to another key.
    const isUnchanged = this.#hasKeyStill(call);
    const tags = isUnchanged ? this.#tags(call) : undefined;
    const requestedAtMs = this.#context.now();
    const generation = this.#context.purges.generation(this.#context.prefix);
    const value = await this.#value(call);
    if (!isUnchanged) this.#reportNotStored(call, "arguments-changed");
    if (!isUnchanged || !this.#isWanted(call, value)) return { value, encoded: undefined };
    const encoded = this.#encode(call, value);
    if (encoded === undefined || tags === undefined) return { value, encoded };
    const entry = this.#entry(encoded, requestedAtMs, tags, generation);
    const verdict = this.#verdict(call, entry);
    if (verdict === "valid") return { value, encoded, entry };
    // Those who called after the purge must not get it either.
    if (verdict !== "purged") return { value, encoded: undefined, entry };
    this.#reportNotStored(call, "purged");
    return { value, encoded: undefined };
  }

  async #value(call: Call<Args>): Promise<Awaited<Result>> {
    try {
      return await this.#fn.apply(call.self, call.args);
    } catch (error) {
      this.#reportNotStored(call, "threw", error);
      throw error;
    }
  }

  #hasKeyStill(call: Call<Args>): boolean {
    try {
      return callKey(this.#rules.keyRules, call.args) === call.key;
    } catch {
      return false;
    }
  }

  #tags(call: Call<Args>): readonly string[] | undefined {
    try {
      return this.#rules.tags(...call.args);
    } catch (error) {
      this.#reportNotStored(call, "tags", error);
      return undefined;
    }
  }

  #isWanted(call: Call<Args>, value: Awaited<Result>): boolean {
    try {
      if (this.#rules.storeWhen?.(value) !== false) return true;
      this.#reportNotStored(call, "store-when");
    } catch (error) {
      this.#reportNotStored(call, "store-when", error);
    }
    return false;
  }

  #encode(call: Call<Args>, value: unknown): EncodedValue | undefined {
    try {
      return encodeValue(value);
    } catch (error) {
      this.#reportNotStored(call, "not-serializable", error);
      return undefined;
    }
  }

  #entry(encoded: EncodedValue, requestedAtMs: number, tags: readonly string[], generation: string): StoreEntry {
    const { freshnessLifetimeSeconds, staleWhileRevalidateSeconds, staleIfErrorSeconds } = this.#rules;
    const times = {
      requestedAtMs,
      receivedAtMs: this.#context.now(),
      freshnessLifetimeSeconds,
      staleWhileRevalidateSeconds,
      staleIfErrorSeconds,
    };
    return valueEntry(encoded, times, tags.map(tagName), generation);
  }

  #verdict({ key }: Call<Args>, entry: StoreEntry): PurgeVerdict {
    const { prefix, purges } = this.#context;
    return purges.judge(prefix, key, entry);
  }

  #knowsPurgesBefore({ sinceMs }: Call<Args>): boolean {
    const { prefix, purges } = this.#context;
    return purges.verifiedAtMs(prefix) >= sinceMs;
  }

  /** An entry that was handed to the store and may not be there yet; the store itself is asked where it could be purged. */
  #onItsWay(call: Call<Args>, entry: StoreEntry | undefined): StoreEntry | undefined {
    if (entry === undefined || !this.#knowsPurgesBefore(call)) return undefined;
    return this.#verdict(call, entry) === "valid" ? entry : undefined;
  }

  /** Stores a result in place of the old one, which other processes may have in memory. */
  async #replace(call: Call<Args>, run: Run, entry: StoreEntry): Promise<void> {
    const { prefix, purges } = this.#context;
    const known = purges.generation(prefix);
    // The generation it gets is to hide no purge that came while the function ran.
    if (this.#verdict(call, entry) !== "valid") return this.#reportNotStored(call, "purged");
    try {
      const { before, after } = await this.#purgeKey(call.key);
      // With a purge in between that was not known, the result may be from before that.
      if (before === known) this.#store(call, run, { ...entry, generation: after });
      else this.#reportNotStored(call, "purged");
    } catch {
      // Reported; the purge is tried again.
    }
  }

  /** Hands a result to the store, without waiting for it. */
  #store(call: Call<Args>, run: Run, entry: StoreEntry): void {
    const outdated = this.#inFlight.outdated(run);
    if (outdated !== undefined) return this.#reportNotStored(call, outdated);
    if (this.#context.store.isAvailable?.() === false) return this.#reportNotStored(call, "store-unavailable");
    const { freshnessLifetimeSeconds, staleWhileRevalidateSeconds, staleIfErrorSeconds } = this.#rules;
    const retainMs = (freshnessLifetimeSeconds + Math.max(staleWhileRevalidateSeconds, staleIfErrorSeconds)) * 1_000;
    const { key } = call;
    const stored = { type: "stored", key, name: this.#name, freshnessLifetimeSeconds } as const;
    const write = this.#guard("put", key, () => {
      const written = this.#context.store.put(key, entry, retainMs);
      const tell = (isKept: void | boolean): void =>
        isKept === false ? this.#reportNotStored(call, "store-failed") : this.#report(stored);
      return written instanceof Promise ? written.then(tell) : tell(written);
    });
    this.#inFlight.storing(run, entry, write instanceof Promise ? write : undefined);
  }

  #read(key: string): StoreEntry | undefined | Promise<StoreEntry | undefined> {
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
  #reuses(call: Call<Args>, stored: StoredValue | undefined): stored is StoredValue {
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

  #reportFound(call: Call<Args>, found: StoredValue, ageMs: number): void {
    const ttlSeconds = Math.floor(freshForMs(found) / 1_000) - Math.floor(ageMs / 1_000);
    this.#report({ type: "found", key: call.key, name: this.#name, ttlSeconds });
  }

  #reportNotStored(call: Call<Args>, because: NotStoredReason, thrown?: unknown): void {
    const event = { type: "not-stored", key: call.key, name: this.#name, because } as const;
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
function landed(flight: Flight, { value, encoded }: Filled): unknown {
  flight.end(encoded === undefined ? { type: "alone" } : { type: "value", copy: () => decodeValue(encoded) });
  return value;
}
