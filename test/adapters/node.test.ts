import { nodeDriver } from "./contract/node-driver.ts";
import { adapterContract } from "./contract/index.ts";

adapterContract(nodeDriver, "node-redis");
