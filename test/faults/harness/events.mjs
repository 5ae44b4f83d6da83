/** What an application's cache told about itself. */

/** How many events begin with `name`: "operation-failed put". */
export async function eventCount(application, name) {
  const { events } = await application.tell("stats");
  let count = 0;
  for (const [key, times] of Object.entries(events)) if (key.startsWith(name)) count += times;
  return count;
}

/** How often the store was left out because it did not answer. */
export async function suspensions(application) {
  const { events } = await application.tell("stats");
  let count = 0;
  for (const [key, times] of Object.entries(events)) if (key.endsWith("ERR_STORE_SUSPENDED")) count += times;
  return count;
}

/** The messages told since `sinceMs` (wall clock) that match. */
export async function toldSince(application, sinceMs, pattern) {
  const { told } = await application.tell("stats");
  return told.filter(({ atMs, name, message }) => atMs >= sinceMs && pattern.test(`${name} ${message}`));
}
