/** Processes that use a cache: started, given orders, ended. */
import { fork } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const MAIN = join(import.meta.dirname, "worker.mjs");
/** The build that is measured: `REPRISE_DIST`, or `dist`. */
export const DIST = pathToFileURL(process.env.REPRISE_DIST ?? join(import.meta.dirname, "../../../dist")).href;
const ANSWERS_WITHIN_MS = 60_000;
const ENDS_WITHIN_MS = 5000;

/** Runs `use` with one process for each of `settings`, all of them connected, and ends them afterwards. */
export async function withWorkers(settings, use) {
  const workers = [];
  try {
    const started = await Promise.allSettled(settings.map(startWorker));
    for (const { value } of started) if (value !== undefined) workers.push(value);
    for (const { status, reason } of started) if (status === "rejected") throw reason;
    return await use(...workers);
  } finally {
    await Promise.all(workers.map((worker) => worker.end()));
  }
}

/** Starts one process; it answers once its cache keeps what it is given. */
async function startWorker(settings) {
  const child = fork(MAIN, [JSON.stringify({ dist: DIST, ...settings })], { serialization: "advanced" });
  const killAtExit = () => child.kill("SIGKILL");
  process.once("exit", killAtExit);
  const gone = once(child, "exit");
  const pending = new Map();
  let orders = 0;
  void gone.then(([code]) => {
    process.off("exit", killAtExit);
    for (const { reject } of pending.values())
      reject(new Error(`A ${settings.subject} process ended with code ${code}.`));
    pending.clear();
  });
  child.on("message", ({ id, value, error }) => {
    const order = pending.get(id);
    pending.delete(id);
    if (error === undefined) order?.resolve(value);
    else order?.reject(new Error(error));
  });

  /** Gives an order of `worker.mjs` and returns its answer. */
  function tell(order, words = {}) {
    const id = (orders += 1);
    return new Promise((resolve, reject) => {
      const late = () => reject(new Error(`"${order}" was not answered within ${ANSWERS_WITHIN_MS} ms.`));
      const timer = setTimeout(late, ANSWERS_WITHIN_MS);
      const settle = (act) => (result) => {
        clearTimeout(timer);
        act(result);
      };
      pending.set(id, { resolve: settle(resolve), reject: settle(reject) });
      child.send({ id, order, ...words });
    });
  }

  async function end() {
    const timer = setTimeout(killAtExit, ENDS_WITHIN_MS);
    if (child.connected) await tell("close").catch(killAtExit);
    await gone;
    clearTimeout(timer);
  }

  await tell("ready");
  return { tell, end };
}
