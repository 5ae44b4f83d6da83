import { honoDriver } from "./contract/hono-driver.ts";
import { adapterContract } from "./contract/index.ts";

adapterContract(honoDriver, "ioredis");
