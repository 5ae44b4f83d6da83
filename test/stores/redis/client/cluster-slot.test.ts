import { expect, it } from "vitest";

import { clusterSlot } from "../../../../src/stores/redis/client/cluster-slot.ts";

it.each([
  { key: "123456789", slot: 0x31_c3, because: "the example of the Cluster specification" },
  { key: "", slot: 0, because: "nothing to hash" },
  { key: "foo", slot: 12_182, because: "no braces" },
  { key: "{foo}:bar", slot: 12_182, because: "only the text in braces counts" },
  { key: "a{foo}{bar}", slot: 12_182, because: "only the first braces count" },
  { key: "{foo", slot: 13_308, because: "braces that do not close are text" },
  { key: "a{}{foo}", slot: 700, because: "empty braces are text, and so are those after them" },
  { key: "ü", slot: 9552, because: "bytes are hashed, not characters" },
])("$key → $slot: $because", ({ key, slot }) => {
  expect(clusterSlot(key)).toBe(slot);
});
