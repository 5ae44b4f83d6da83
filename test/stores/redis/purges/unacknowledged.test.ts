import { describe, expect, it } from "vitest";

import { RedisClock } from "../../../../src/stores/redis/client/server-clock.ts";
import { PendingPurges } from "../../../../src/stores/redis/purges/unacknowledged.ts";

const NOW_MS = 1_764_000_000_000;
const ENTRY = { names: ["#a"], generation: "e:9-0" };

function pending(): PendingPurges {
  return new PendingPurges(new RedisClock(() => NOW_MS));
}

describe("purges that Redis did not acknowledge", () => {
  it("hold for every entry they name, whatever its generation, until they are appended", () => {
    const purges = pending();
    expect(purges.judge("p k", ENTRY)).toBe("valid");
    purges.add({ soft: false, targets: ["n#a"] });
    expect(purges.judge("p k", ENTRY)).toBe("purged");
    expect(purges.judge("p k", { names: ["#b"] })).toBe("valid");
    purges.done(purges.take());
    expect(purges.isEmpty).toBe(true);
    expect(purges.judge("p k", ENTRY)).toBe("valid");
  });

  it("make an entry stale since the first of them when they are soft", () => {
    const purges = pending();
    purges.add({ soft: true, targets: ["n#a"] });
    expect(purges.judge("p k", ENTRY)).toEqual({ outdatedAtMs: NOW_MS });
  });

  it("are taken once for an attempt, and again when it is due", () => {
    const purges = pending();
    purges.add({ soft: false, targets: ["n#a"] });
    expect(purges.isDue).toBe(true);
    expect(purges.take()).toHaveLength(1);
    expect(purges.isDue).toBe(false);
    expect(purges.take()).toEqual([]);
    purges.retryNow();
    expect(purges.take()).toHaveLength(1);
  });

  it("that were added during an attempt stay", () => {
    const purges = pending();
    purges.add({ soft: false, targets: ["n#a"] });
    const batch = purges.take();
    purges.add({ soft: false, targets: ["n#b"] });
    purges.done(batch);
    expect(purges.judge("p k", ENTRY)).toBe("valid");
    expect(purges.judge("p k", { names: ["#b"] })).toBe("purged");
  });

  it("become one purge of everything when they name more than a thousand targets", () => {
    const purges = pending();
    purges.add({ soft: true, targets: Array.from({ length: 1001 }, (_, index) => `n#${index}`) });
    expect(purges.take()).toEqual([{ soft: false, targets: ["*"] }]);
  });
});
