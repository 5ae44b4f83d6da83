/** Runs one row for one client. */
import { World } from "./world.mjs";

/** Never rejects: what went wrong is an expectation not met. */
export async function runRow(row, client, isShort) {
  const world = new World(client, isShort);
  const startMs = performance.now();
  try {
    await row.run(world);
  } catch (error) {
    world.expect("the row runs to its end", false, error.stack ?? error);
  }
  try {
    await world.end();
  } catch (error) {
    world.expect("everything is ended", false, error.stack ?? error);
  } finally {
    await world.cleanUp();
  }
  return {
    number: row.number,
    title: row.title,
    client,
    isShort,
    seconds: Math.round((performance.now() - startMs) / 1000),
    requests: world.requests,
    errors: world.problems.length,
    problems: world.problems.slice(0, 5).map(({ path, problem }) => `${path}: ${problem}`),
    figures: world.figures,
    expectations: world.expectations,
  };
}
