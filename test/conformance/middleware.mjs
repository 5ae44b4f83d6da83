/** The suite's server inside our middleware: `node middleware.mjs <folder of the suite's engine>`. */
import { createServer } from "node:http";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

import { nodeCache } from "../../dist/adapters/node/index.js";
import { createCache } from "../../dist/index.js";

const [engine] = process.argv.slice(2);

const handlers = {};
for (const name of ["config", "state", "test", "file"]) {
  handlers[name] = (await import(pathToFileURL(join(engine, `server/handle-${name}.mjs`)).href)).default;
}

/** The dispatch of the suite's server.mjs, which cannot be imported without starting it. */
function handleMain(request, response) {
  const url = new URL(request.url, "http://localhost/");
  const [name, ...rest] = url.pathname.split("/").slice(1);
  if (name === "config" || name === "state" || name === "test") handlers[name](rest, request, response);
  else handlers.file(url, request, response);
}

const cached = nodeCache(createCache());
const server = createServer(cached.byHeaders({ profile: "rfc9111-shared", requestDirectives: "rfc9111" }, handleMain));
server.listen(0, "127.0.0.1", () => console.log(`Listening on http://127.0.0.1:${server.address().port}`));
