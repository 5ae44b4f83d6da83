/**
 * The checker of histories. A change is: a new version at the origin, then a purge. Once the purge is acknowledged, no read
 * that begins later may bring an older version: that version is the floor of the item.
 */
export class History {
  /** Of each item: acknowledged versions, oldest first, with the moment of the acknowledgement. */
  #acknowledged = new Map();
  reads = 0;
  hits = 0;
  acknowledgedPurges = 0;
  refusedPurges = 0;
  /** Why purges were refused, and how often. */
  refusals = new Map();
  violations = [];

  acknowledge(id, version) {
    this.acknowledgedPurges += 1;
    const known = this.#acknowledged.get(String(id)) ?? [];
    known.push({ version, atMs: performance.now() });
    this.#acknowledged.set(String(id), known.slice(-50));
  }

  refuse(reason) {
    this.refusedPurges += 1;
    this.refusals.set(reason, (this.refusals.get(reason) ?? 0) + 1);
  }

  /** What a read that begins now must at least bring; `allowanceMs` for a reader that may be that much behind. */
  floor(id, allowanceMs = 0) {
    const untilMs = performance.now() - allowanceMs;
    let floor = 0;
    for (const { version, atMs } of this.#acknowledged.get(String(id)) ?? []) {
      if (atMs <= untilMs) floor = Math.max(floor, version);
    }
    return floor;
  }

  check(id, floor, answer) {
    if (answer.problem !== undefined) return;
    this.reads += 1;
    if (answer.isHit) this.hits += 1;
    const { version } = answer.content;
    if (version >= floor) return;
    const { port, startMs, ms, cacheStatus } = answer;
    const since = this.#acknowledged.get(String(id)).find((acknowledged) => acknowledged.version === floor);
    const acknowledgedMsBefore = since === undefined ? undefined : Math.round(startMs - since.atMs);
    this.violations.push({ id, floor, version, acknowledgedMsBefore, ms: Math.round(ms), port, cacheStatus });
  }
}
