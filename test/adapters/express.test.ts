import { express5Driver } from "./contract/express-driver.ts";
import { adapterContract } from "./contract/index.ts";

adapterContract(express5Driver, "ioredis");
