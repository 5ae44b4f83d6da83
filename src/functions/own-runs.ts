/**
 * Knows of a call from which runs of wrapped functions and of routes' handlers it comes: one that would wait for such a run
 * would wait for itself.
 */

import { AsyncLocalStorage } from "node:async_hooks";

/** A run that is under way, and the one it was called from. */
interface OwnRun {
  readonly owner: object;
  readonly key: string;
  isOver: boolean;
  outer: OwnRun | undefined;
}

const runs = new AsyncLocalStorage<OwnRun>();

/** Calls `run`, so that what it calls is known to come from it until its promise is settled. */
export async function runAs<T>(owner: object, key: string, run: () => T): Promise<Awaited<T>> {
  const own: OwnRun = { owner, key, isOver: false, outer: underWay(runs.getStore()) };
  try {
    return await runs.run(own, run);
  } finally {
    own.isOver = true;
  }
}

/** Calls `run`, so that what it calls is known to come from it until the function that `ends` is given is called. */
export function runUntil(owner: object, key: string, ends: (end: () => void) => void, run: () => void): void {
  const own: OwnRun = { owner, key, isOver: false, outer: underWay(runs.getStore()) };
  ends(() => {
    own.isOver = true;
  });
  runs.run(own, run);
}

/** True for a call that comes from a run of the same owner under the same key. */
export function isInside(owner: object, key: string): boolean {
  for (let own = underWay(runs.getStore()); own !== undefined; own = own.outer) {
    if (own.owner === owner && own.key === key) return true;
  }
  return false;
}

/** The innermost run that is not over. What outlives its run, a timer say, must not keep the runs before it. */
function underWay(own: OwnRun | undefined): OwnRun | undefined {
  if (own === undefined) return undefined;
  own.outer = underWay(own.outer);
  return own.isOver ? own.outer : own;
}
