/** Names come from strangers, so only so many answers are remembered, and none for long names. */
const MAX_NAMES = 1_000;
const MAX_NAME_LENGTH = 256;

/** The same test of a name, which looks for most names once. */
export function rememberedTest(test: (name: string) => boolean): (name: string) => boolean {
  let known = new Map<string, boolean>();
  return (name) => {
    const before = known.get(name);
    if (before !== undefined) return before;
    const answer = test(name);
    if (name.length > MAX_NAME_LENGTH) return answer;
    if (known.size >= MAX_NAMES) known = new Map();
    known.set(name, answer);
    return answer;
  };
}
