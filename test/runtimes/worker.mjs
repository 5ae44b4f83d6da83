import { handle } from "./routes.mjs";

export default { fetch: handle };
