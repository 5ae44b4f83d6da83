/** Processes that share nothing but Redis, and the origin they all ask. */

import { type ChildProcess, execFileSync, fork } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

import { afterAll, beforeAll, onTestFinished } from "vitest";

import { type Reply, command } from "../redis/command.ts";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const WORKER = fileURLToPath(new URL("worker.mjs", import.meta.url));

interface Address {
  readonly host: string;
  readonly port: number;
}

/** Where Redis is: exactly one of the three. */
export interface WorkerSettings {
  readonly redisUrl?: string;
  /** Nodes of a Cluster. */
  readonly cluster?: readonly Address[];
  /** The name of a primary, and its Sentinels. */
  readonly sentinel?: { readonly name: string; readonly addresses: readonly Address[] };
  readonly prefix: string;
  readonly cacheOptions?: { readonly collapseDeadline?: string; readonly fillDeadline?: string };
  readonly storeOptions?: { readonly leaseMs?: number; readonly deadlineMs?: number };
  /** It serves `/hour/…` on a port of 127.0.0.1. */
  readonly listens?: boolean;
}

export interface Answer {
  readonly status: number;
  readonly body: string;
  readonly cacheStatus: string;
  readonly tookMs: number;
  /** Set in place of all the others where the handler threw. */
  readonly failed?: string;
}

/** One process. */
export interface Worker {
  readonly pid: number;
  /** Of its server, if it listens. */
  readonly port: number;
  /** What its store reported, and what nobody caught. */
  readonly failures: readonly string[];
  /** Asks for `path` through the cache, `count` times at once. */
  ask(
    path: string,
    count?: number,
    headers?: Record<string, string>,
    abortAfterMs?: number,
  ): Promise<readonly Answer[]>;
  /** Asks again and again, one after the other. */
  read(path: string, forMs: number, everyMs: number): Promise<readonly Answer[]>;
  /** Closes its cache; resolves with the time that took, in milliseconds. */
  close(): Promise<number>;
  /** The same after a SIGTERM. */
  closed(): Promise<number>;
  signal(signal: NodeJS.Signals): void;
  /** Resolves with exit code and signal when it is gone. */
  readonly gone: Promise<readonly [code: number | null, signal: string | null]>;
}

interface OriginAnswer {
  readonly status?: number;
  readonly headers?: Record<string, string>;
  readonly body?: string;
}

/** One run of a handler. */
interface Call {
  readonly pid: number;
  readonly path: string;
  readonly language: string | null;
  /** Of all calls of its path, from 1. */
  readonly number: number;
}

/** What is behind the caches of all workers. */
interface Origin {
  calls(path: string): readonly Call[];
  /** Most calls of `path` that were waiting for their answer at a time. */
  mostAtOnce(path: string): number;
  /** Resolves with the `number`th call of `path`, counted from 1, as soon as it came. */
  called(path: string, number?: number): Promise<Call>;
  /** What `path` answers, after `afterMs`: 200 and `<path> <number of the call>` unless told. `"never"`: nothing. */
  answers(path: string, answer: (call: Call) => OriginAnswer | "never", afterMs?: number): void;
}

/** The package, built into a folder of its own for the tests of a file; or that of `REPRISE_DIST`. */
export function builtPackage(): () => string {
  let folder = process.env["REPRISE_DIST"] ?? "";
  if (folder !== "") return () => folder;
  beforeAll(() => {
    // Below node_modules, so that the built files find their packages.
    const parent = join(ROOT, "node_modules", ".cache");
    mkdirSync(parent, { recursive: true });
    folder = mkdtempSync(join(parent, "reprise-"));
    const tsc = join(ROOT, "node_modules", "typescript", "bin", "tsc");
    execFileSync(process.execPath, [tsc, "-p", join(ROOT, "tsconfig.build.json"), "--outDir", folder], { cwd: ROOT });
  }, 60_000);
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  return () => folder;
}

export interface Fleet {
  readonly origin: Origin;
  /** Starts `count` processes that are connected when it resolves. */
  readonly start: (count: number, settings: WorkerSettings) => Promise<readonly Worker[]>;
  /** SIGKILL to all that are left. */
  readonly end: () => Promise<void>;
}

/** A fleet for the tests of a file, or, with `onTestFinished`, for one test. */
export function makeFleet(folder: () => string, atEnd: (end: () => Promise<void>) => void = onTestFinished): Fleet {
  const origin = new OriginInParent();
  const children = new Set<ChildProcess>();
  const end = async (): Promise<void> => {
    await Promise.all(
      [...children].map((child) => {
        const gone = once(child, "exit");
        child.kill("SIGKILL");
        return gone;
      }),
    );
    origin.end();
  };
  atEnd(end);
  const start = async (settings: WorkerSettings): Promise<Worker> => {
    const argument = JSON.stringify({ folder: folder(), storeOptions: {}, cacheOptions: {}, ...settings });
    const child = fork(WORKER, [argument], { stdio: ["ignore", "inherit", "inherit", "ipc"] });
    children.add(child);
    child.once("exit", () => children.delete(child));
    const worker = new ForkedWorker(child, origin);
    await worker.ready;
    return worker;
  };
  return {
    origin,
    start: (count, settings) => Promise.all(Array.from({ length: count }, () => start(settings))),
    end,
  };
}

type FromWorker =
  | { readonly type: "ready"; readonly port: number }
  | { readonly type: "closed"; readonly tookMs: number }
  | { readonly type: "origin"; readonly call: number; readonly path: string; readonly language: string | null }
  | {
      readonly type: "answers";
      readonly id: number;
      readonly answers: readonly Answer[];
      readonly failures: readonly string[];
    };

class ForkedWorker implements Worker {
  readonly pid: number;
  readonly ready: Promise<void>;
  readonly gone: Promise<readonly [number | null, string | null]>;
  port = 0;
  failures: readonly string[] = [];
  readonly #child: ChildProcess;
  readonly #asked = new Map<number, (answers: readonly Answer[]) => void>();
  readonly #closed: Promise<number>;

  constructor(child: ChildProcess, origin: OriginInParent) {
    this.#child = child;
    this.pid = child.pid ?? 0;
    this.gone = once(child, "exit") as Promise<[number | null, string | null]>;
    let isReady = (): void => {};
    let isClosed = (_tookMs: number): void => {};
    this.ready = new Promise((resolve, reject) => {
      isReady = resolve;
      void this.gone.then(() => reject(new Error("A worker ended before it was ready.")));
    });
    this.#closed = new Promise((resolve) => {
      isClosed = resolve;
    });
    child.on("message", (message: FromWorker) => {
      switch (message.type) {
        case "ready":
          this.port = message.port;
          return isReady();
        case "closed":
          return isClosed(message.tookMs);
        case "origin":
          return origin.take(this.pid, message.path, message.language, (answer) =>
            this.#send({ type: "origin", call: message.call, answer }),
          );
        case "answers":
          this.failures = message.failures;
          this.#asked.get(message.id)?.(message.answers);
          this.#asked.delete(message.id);
      }
    });
  }

  ask(path: string, count = 1, headers = {}, abortAfterMs?: number): Promise<readonly Answer[]> {
    return this.#ask({ type: "ask", path, count, headers, abortAfterMs });
  }

  read(path: string, forMs: number, everyMs: number): Promise<readonly Answer[]> {
    return this.#ask({ type: "read", path, forMs, everyMs });
  }

  close(): Promise<number> {
    this.#send({ type: "close" });
    return this.closed();
  }

  closed(): Promise<number> {
    return this.#closed;
  }

  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  #ask(message: object): Promise<readonly Answer[]> {
    const id = ++lastId;
    this.#send({ ...message, id });
    return new Promise((resolve) => {
      this.#asked.set(id, resolve);
    });
  }

  #send(message: object): void {
    // One that was killed meanwhile needs no answer any more.
    if (this.#child.connected) this.#child.send(message, () => {});
  }
}

let lastId = 0;

interface Behaviour {
  readonly answer: (call: Call) => OriginAnswer | "never";
  readonly afterMs: number;
}

class OriginInParent implements Origin {
  readonly #calls = new Map<string, Call[]>();
  readonly #underWay = new Map<string, number>();
  readonly #most = new Map<string, number>();
  readonly #behaviours = new Map<string, Behaviour>();
  readonly #awaited: { path: string; number: number; resolve: (call: Call) => void }[] = [];
  readonly #timers = new Set<ReturnType<typeof setTimeout>>();

  calls(path: string): readonly Call[] {
    return this.#calls.get(path) ?? [];
  }

  mostAtOnce(path: string): number {
    return this.#most.get(path) ?? 0;
  }

  called(path: string, number = 1): Promise<Call> {
    const call = this.calls(path)[number - 1];
    if (call !== undefined) return Promise.resolve(call);
    return new Promise((resolve) => this.#awaited.push({ path, number, resolve }));
  }

  answers(path: string, answer: (call: Call) => OriginAnswer | "never", afterMs = 0): void {
    this.#behaviours.set(path, { answer, afterMs });
  }

  take(pid: number, path: string, language: string | null, reply: (answer: OriginAnswer) => void): void {
    const calls = this.#calls.get(path) ?? [];
    const call = { pid, path, language, number: calls.length + 1 };
    this.#calls.set(path, [...calls, call]);
    const underWay = (this.#underWay.get(path) ?? 0) + 1;
    this.#underWay.set(path, underWay);
    this.#most.set(path, Math.max(this.mostAtOnce(path), underWay));
    for (const { resolve } of this.#awaited.filter((one) => one.path === path && one.number === call.number)) {
      resolve(call);
    }
    const { answer, afterMs } = this.#behaviours.get(path) ?? { answer: () => ({}), afterMs: 0 };
    const given = answer(call);
    if (given === "never") return;
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      this.#underWay.set(path, (this.#underWay.get(path) ?? 1) - 1);
      reply({ status: 200, headers: {}, body: `${path} ${call.number}`, ...given });
    }, afterMs);
    this.#timers.add(timer);
  }

  end(): void {
    for (const timer of this.#timers) clearTimeout(timer);
  }
}

/** The keys of all leases under a prefix. */
export async function leasesOf(port: number, prefix: string): Promise<readonly string[]> {
  return (await command(port, "KEYS", `${prefix}:1:lease:*`)) as (Reply & string)[];
}

export function slowestMs(answers: readonly Answer[]): number {
  return answers.reduce((slowest, { tookMs }) => Math.max(slowest, tookMs), 0);
}

/** The different bodies of answers, each once. */
export function bodiesOf(answers: readonly Answer[]): readonly string[] {
  return [...new Set(answers.map(({ failed, body }) => failed ?? body))];
}
