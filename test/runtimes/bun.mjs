import { handle } from "./routes.mjs";

const server = globalThis.Bun.serve({ port: 0, hostname: "127.0.0.1", fetch: handle });
console.log(`http://127.0.0.1:${server.port}`);
