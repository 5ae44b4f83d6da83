// Reprise around any function: its results are cached under a name and its arguments. Runs once and prints.
import { createCache } from "reprise";

const cache = createCache({ logger: console });

async function fetchRate(currency: string): Promise<{ rate: number; fetchedAt: Date }> {
  console.log(`fetching the rate of ${currency}`);
  return { rate: currency.length / 4, fetchedAt: new Date() };
}

const rateOf = cache.wrap("rates", fetchRate, { expire: "10m" });

await rateOf("EUR");
const { rate, fetchedAt } = await rateOf("EUR");
// Dates, Maps, Sets and BigInts come back as what they were.
console.log(`the rate is ${rate}, and its date still a Date: ${fetchedAt instanceof Date}`);

// After this the next call fetches again.
await rateOf.purge("EUR");
await rateOf("EUR");

await cache.close();
