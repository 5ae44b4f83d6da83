/** Reads and changes for a history: as many as the lanes manage, with a purge after each change. */
import { setTimeout as pause } from "node:timers/promises";

import { ask, connections } from "./request.mjs";

const IDS = 20;

/**
 * Reads until `seconds` are over or `reads` were made, whichever comes first. An application's `allowanceMs` is how much
 * its reads may be behind; each lane rests for `pauseMs` after a read.
 */
export async function drive(world, options) {
  const {
    applications,
    origin,
    history,
    seconds,
    reads = Infinity,
    lanes = 16,
    pauseMs = 0,
    changesPerSecond = 20,
  } = options;
  const agent = connections();
  const endMs = performance.now() + seconds * 1000;
  const mostReads = history.reads + reads;
  const isOver = () => performance.now() >= endMs || history.reads >= mostReads;
  const changing = new Set();

  async function read() {
    while (!isOver()) {
      const application = pick(applications);
      const id = Math.floor(Math.random() * IDS);
      const floor = history.floor(id, application.allowanceMs);
      const answer = await ask(application.port, `/item/${id}`, { agent });
      world.count([answer]);
      history.check(id, floor, answer);
      if (pauseMs > 0) await pause(pauseMs);
    }
  }

  async function change() {
    while (!isOver()) {
      await pause((1000 / changesPerSecond) * (0.5 + Math.random()));
      const id = Math.floor(Math.random() * IDS);
      if (changing.has(id)) continue;
      changing.add(id);
      void changeOne(id).finally(() => changing.delete(id));
    }
  }

  async function changeOne(id) {
    const version = origin.change(id);
    const purged = await pick(applications)
      .tell("purge", { target: { tag: `id:${id}` } })
      .catch(() => ({ acknowledged: false }));
    if (purged.acknowledged) history.acknowledge(id, version);
    else history.refuse(purged.message);
  }

  await Promise.all([...Array.from({ length: lanes }, read), change()]);
  while (changing.size > 0) await pause(5);
  agent.destroy();
}

function pick(list) {
  return list[Math.floor(Math.random() * list.length)];
}
