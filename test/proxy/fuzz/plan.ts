/** How much is tried, and from which seed: `FUZZ_CASES` and `FUZZ_SEED` change both. */

import { sample, type Arbitrary } from "fast-check";

const SEED = 20_230_911;

export interface FuzzPlan {
  readonly seed: number;
  readonly cases: number;
}

/** The plan of one test; `cases` is its share where the environment names no other number. */
export function fuzzPlan(cases: number): FuzzPlan {
  return { seed: numberOf("FUZZ_SEED", SEED), cases: numberOf("FUZZ_CASES", cases) };
}

function numberOf(name: string, otherwise: number): number {
  const text = process.env[name];
  if (text === undefined || text === "") return otherwise;
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < 0) throw new RangeError(`${name}: expected a whole number, got ${text}`);
  return value;
}

/**
 * Runs batches of cases until there were enough, and gives their number. What fails says how to see it again; batch `n`
 * depends on the seed and on `n` only.
 */
export async function fuzz<Case>(
  { seed, cases }: FuzzPlan,
  arbitrary: Arbitrary<Case>,
  batchSize: number,
  run: (batch: readonly Case[], number: number) => Promise<void> | void,
): Promise<number> {
  let done = 0;
  for (let number = 0; done < cases; number++) {
    const batch = sample(arbitrary, { seed: seed + number, numRuns: batchSize });
    try {
      await run(batch, number);
    } catch (error) {
      throw new Error(`Batch ${number}, FUZZ_SEED=${seed}: ${String(error)}`, { cause: error });
    }
    done += batch.length;
  }
  return done;
}
