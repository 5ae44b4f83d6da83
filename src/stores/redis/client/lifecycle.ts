/** Following and ending a client, for all kinds of clients. */

import { clearInterval, clearTimeout, setInterval, setTimeout } from "../../../real-time.ts";
import type { ConnectionObserver } from "./port.ts";

const LOOK_EVERY_MS = 250;
/** While requests may wait for the first connection. */
const FIRST_LOOK_EVERY_MS = 20;
const FIRST_LOOKS = 100;

export interface Emitter {
  listeners(event: string): unknown[];
  on(event: string, listener: (argument?: unknown) => void): unknown;
  off(event: string, listener: (argument?: unknown) => void): unknown;
}

export function listen(
  emitter: Emitter,
  listeners: Readonly<Record<string, (argument?: unknown) => void>>,
): () => void {
  for (const [event, listener] of Object.entries(listeners)) emitter.on(event, listener);
  return () => {
    for (const [event, listener] of Object.entries(listeners)) emitter.off(event, listener);
  };
}

/** Polls a client that has no events for opening and closing. */
export function watch(isReady: () => boolean, observer: ConnectionObserver): () => void {
  let wasReady = isReady();
  let looks = 0;
  const look = (): void => {
    if (wasReady === isReady()) {
      looks += 1;
      if (looks === FIRST_LOOKS) lookEvery(LOOK_EVERY_MS);
      return;
    }
    looks = FIRST_LOOKS;
    lookEvery(LOOK_EVERY_MS);
    wasReady = !wasReady;
    if (wasReady) observer.onReady();
    else observer.onEnd();
  };
  let timer: ReturnType<typeof setInterval> | undefined;
  const lookEvery = (ms: number): void => {
    clearInterval(timer);
    timer = setInterval(look, ms);
    timer.unref?.();
  };
  lookEvery(wasReady ? LOOK_EVERY_MS : FIRST_LOOK_EVERY_MS);
  return () => clearInterval(timer);
}

/** Handles late `error` events of a client that was let go, so that they do not end the process. */
export function ignoreErrors(emitter: Emitter): void {
  if (!emitter.listeners("error").includes(ignore)) emitter.on("error", ignore);
}

function ignore(): void {}

export async function withinOrGiveUp(done: Promise<unknown>, graceMs: number): Promise<void> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const grace = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, graceMs);
  });
  await Promise.race([done.catch(() => {}), grace]);
  clearTimeout(timer);
}

/** Ends something that may have ended already. */
export function ignoringErrors(act: () => unknown): void {
  try {
    Promise.resolve(act()).catch(() => {});
  } catch {
    // It was closed already.
  }
}
