/** Application processes: started, given orders, ended, and watched while they end. */
import { fork } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const MAIN = join(import.meta.dirname, "../application/main.mjs");
/** The build under test: `REPRISE_DIST`, or `dist`. */
export const DIST = pathToFileURL(process.env.REPRISE_DIST ?? join(import.meta.dirname, "../../../dist")).href;
const UP_WITHIN_MS = 15_000;
const ANSWERS_WITHIN_MS = 30_000;
/** After everything is closed a process without leftovers ends at once; a busy machine needs a moment. */
const ENDS_WITHIN_MS = 5_000;

/** Starts a process and waits until it listens. */
export async function startApplication(settings) {
  const child = fork(MAIN, [JSON.stringify({ dist: DIST, ...settings })], { execArgv: ["--expose-gc"] });
  const killAtExit = () => child.kill("SIGKILL");
  process.once("exit", killAtExit);
  // Unlike "exit", "close" comes after everything the process told was read.
  const gone = once(child, "close").then(([code, signal]) => ({ code, signal }));
  const pending = new Map();
  let orders = 0;
  let ended;
  let tally = { cachedRequests: 0, originCalls: 0, unhandled: [] };
  let hasLingered = false;
  void gone.then((end) => {
    ended = end;
    process.off("exit", killAtExit);
    for (const { reject } of pending.values()) reject(new Error(`The application ended (${JSON.stringify(end)}).`));
    pending.clear();
  });
  child.on("message", ({ id, value, error, tally: latest }) => {
    tally = latest ?? tally;
    const order = pending.get(id);
    if (order === undefined) return;
    pending.delete(id);
    clearTimeout(order.timer);
    if (error === undefined) order.resolve(value);
    else order.reject(new Error(error));
  });
  const port = await listening(child);

  /** Gives an order of `application/main.mjs` and returns its answer. */
  function tell(order, words = {}) {
    const id = (orders += 1);
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        pending.delete(id);
        reject(new Error(`The application did not answer "${order}" within ${ANSWERS_WITHIN_MS} ms.`));
      }, ANSWERS_WITHIN_MS);
      pending.set(id, { resolve, reject, timer });
      child.send({ id, order, ...words });
    });
  }

  async function endsByItself() {
    const isGone = await isOver(gone, ENDS_WITHIN_MS);
    if (!isGone) {
      hasLingered = true;
      child.kill("SIGKILL");
      await gone;
    }
    return isGone;
  }

  return {
    port,
    pid: child.pid,
    prefix: settings.prefix,
    tell,
    isRunning: () => ended === undefined,
    /** The counts of `application/main.mjs` as they were told last, which is at its end unless it was killed. */
    tally: () => tally,
    /** True when it should have ended by itself and had to be killed. */
    hasLingered: () => hasLingered,
    freeze: () => child.kill("SIGSTOP"),
    thaw: () => child.kill("SIGCONT"),
    async kill() {
      child.kill("SIGKILL");
      await gone;
    },
    /** SIGTERM, as at a deployment; how long it took to end, or undefined when it did not. */
    async terminate() {
      const startMs = performance.now();
      child.kill("SIGTERM");
      return (await endsByItself()) ? performance.now() - startMs : undefined;
    },
    /** Closes everything; what kept the process from ending, if it did not. */
    async close() {
      if (ended !== undefined) return undefined;
      child.kill("SIGCONT");
      const left = await tell("close").catch((error) => [error.message]);
      return (await endsByItself()) ? undefined : left.join(" ");
    },
  };
}

async function listening(child) {
  const [first] = await Promise.race([
    once(child, "message", { signal: AbortSignal.timeout(UP_WITHIN_MS) }),
    once(child, "exit").then(([code]) => {
      throw new Error(`The application ended with code ${code} before it listened.`);
    }),
  ]);
  return first.port;
}

async function isOver(promise, withinMs) {
  let timer;
  const late = new Promise((resolve) => {
    timer = setTimeout(() => resolve(false), withinMs);
  });
  const isInTime = await Promise.race([promise.then(() => true), late]);
  clearTimeout(timer);
  return isInTime;
}
