import * as collapsing from "./collapsing.mjs";
import * as failover from "./failover.mjs";
import * as network from "./network.mjs";
import * as outage from "./outage.mjs";
import * as purging from "./purging.mjs";
import * as refusals from "./refusals.mjs";
import * as traffic from "./traffic.mjs";
import * as values from "./values.mjs";

/** All rows, by number. */
export const ROWS = [collapsing, failover, network, outage, purging, refusals, traffic, values]
  .flatMap((rows) => Object.values(rows).filter(({ number }) => number !== undefined))
  .sort((a, b) => a.number - b.number);
