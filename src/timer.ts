/** The longest span `setTimeout` takes, about 24.8 days; with a longer one it fires at once. */
const LONGEST_MS: number = 2 ** 31 - 1;

/**
 * Calls `callback` once after `ms` milliseconds, however many, unless the returned function is called before. Keeps no
 * process alive.
 */
export function startTimer(ms: number, callback: () => void): () => void {
  let timer: ReturnType<typeof setTimeout>;
  const waitFor = (leftMs: number): void => {
    const partMs = Math.min(leftMs, LONGEST_MS);
    timer = setTimeout(() => (partMs < leftMs ? waitFor(leftMs - partMs) : callback()), partMs);
    // Not every runtime's timers keep a process alive; those that do should not.
    (timer as { unref?: () => void }).unref?.();
  };
  waitFor(ms);
  return () => clearTimeout(timer);
}
