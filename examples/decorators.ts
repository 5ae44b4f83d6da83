// Reprise on methods: @Cached keeps the results of a method by class, method and arguments. Runs once and prints.
import { createCache } from "reprise";
import { cachedMethods } from "reprise/decorators";

/** Stands for what is handed in to do the work, and has no part in the answer: a session, a connection, a logger. */
class Database {
  async nameOf(id: number): Promise<string> {
    console.log(`asking the database for user ${id}`);
    return `User ${id}`;
  }
}

// Instances of these classes never enter a key.
const cache = createCache({ logger: console, ignoreArgTypes: [Database] });
const Cached = cachedMethods(cache);

class Users {
  @Cached({ expire: "1h" })
  async getUser(id: number, database: Database): Promise<{ id: number; name: string }> {
    return { id, name: await database.nameOf(id) };
  }
}

const users = new Users();
await users.getUser(7, new Database());
// Another connection, the same user: found under Users.getUser(7).
console.log(await users.getUser(7, new Database()));

await cache.close();
