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
    /** Of the process that grew most, among those with enough samples to say so. */
    summary() {
      const grown = [...samples.values()].filter((list) => list.length >= 6).map(growth);
      return {
        grownMib: Number(Math.max(0, ...grown.map(({ mib }) => mib)).toFixed(1)),
        mibPerHour: Math.max(0, ...grown.map(({ mibPerHour }) => mibPerHour)),
        grownHandles: Math.max(0, ...grown.map(({ handles }) => handles)),
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
    mibPerHour: bytes / MIB / hours,
    handles: median(last, "handles") - median(first, "handles"),
  };
}

function median(list, name) {
  const values = list.map((each) => each[name]).toSorted((a, b) => a - b);
  return values[Math.floor(values.length / 2)];
}
