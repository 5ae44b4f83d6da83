import { fetchDriver } from "./contract/fetch-driver.ts";
import { adapterContract } from "./contract/index.ts";

adapterContract(fetchDriver, "ioredis");
