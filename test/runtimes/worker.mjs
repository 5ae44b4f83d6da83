import { handle } from "./routes.mjs";

// oxlint-disable-next-line import/no-default-export -- what a worker is
export default { fetch: handle };
