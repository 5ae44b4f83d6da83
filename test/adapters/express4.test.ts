import { express4Driver } from "./contract/express-driver.ts";
import { adapterContract } from "./contract/index.ts";

adapterContract(express4Driver, "node-redis");
