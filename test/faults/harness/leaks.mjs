/** Whether processes use more and more. */

const MIB = 1024 * 1024;

/** Samples of the memory and the handles of processes that go on running; one that is replaced starts anew. */
export function leakCheck(applications) {
  /** By process id: samples in the order they were taken. */
  const samples = new Map();

  async function sample() {
    for (const { pid, tell, isRunning } of applications) {
      if (!isRunning()) continue;
      const found = await tell("memory").catch(() => undefined);
      if (found === undefined) continue;
      const list = samples.get(pid) ?? [];
      list.push({ atMs: performance.now(), bytes: found.bytes, handles: found.handles });
      samples.set(pid, list);
    }
  }

  return {
    sample,
    /**
     * Of the process that grew most, among those with enough samples to say so. A slope says something only over a long
     * time, so it is that of the process that ran longest.
     */
    summary() {
      const grown = [...samples.values()].filter((list) => list.length >= 6).map(growth);
      const [longest = { minutes: 0, mibPerHour: 0 }] = grown.toSorted((a, b) => b.minutes - a.minutes);
      return {
        grownMib: Number(Math.max(0, ...grown.map(({ mib }) => mib)).toFixed(1)),
        grownHandles: Math.max(0, ...grown.map(({ handles }) => handles)),
        longestMinutes: longest.minutes,
        mibPerHour: longest.mibPerHour,
      };
    },
  };
}

/** The middle of the last third against that of the first: one sample may be taken in the middle of a fault. */
function growth(list) {
  const third = Math.floor(list.length / 3);
  const first = list.slice(0, third);
  const last = list.slice(-third);
  const bytes = median(last, "bytes") - median(first, "bytes");
  const hours = (median(last, "atMs") - median(first, "atMs")) / 3_600_000;
  return {
    mib: bytes / MIB,
    minutes: (list.at(-1).atMs - list[0].atMs) / 60_000,
    mibPerHour: bytes / MIB / hours,
    handles: median(last, "handles") - median(first, "handles"),
  };
}

function median(list, name) {
  const values = list.map((each) => each[name]).toSorted((a, b) => a - b);
  return values[Math.floor(values.length / 2)];
}
