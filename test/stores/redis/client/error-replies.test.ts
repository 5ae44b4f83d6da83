import { describe, expect, it } from "vitest";

import { troubleOf } from "../../../../src/stores/redis/client/error-replies.ts";

describe("what an error of a client says about the server", () => {
  it.each([
    { message: "LOADING Redis is loading the dataset in memory", trouble: "unavailable" },
    { message: "BUSY Redis is busy running a script.", trouble: "unavailable" },
    { message: "MASTERDOWN Link with MASTER is down", trouble: "unavailable" },
    { message: "CLUSTERDOWN Hash slot not served", trouble: "unavailable" },
    { message: "NOAUTH Authentication required.", trouble: "forbidden" },
    { message: "NOPERM this user has no permissions to run the 'get' command", trouble: "forbidden" },
    { message: "ERR The user executing the script can't run this command or subcommand", trouble: "forbidden" },
    {
      message: "ERR ACL failure in script: User app has no permissions to run the 'xadd' command",
      trouble: "forbidden",
    },
    { message: "WRONGPASS invalid username-password pair", trouble: "forbidden" },
    { message: "OOM command not allowed when used memory > 'maxmemory'.", trouble: "refused" },
    { message: "READONLY You can't write against a read only replica.", trouble: "demoted" },
    { message: "NOREPLICAS Not enough good replicas to write.", trouble: "refused" },
    { message: "MISCONF Redis is configured to save RDB snapshots", trouble: "refused" },
    { message: "TRYAGAIN Multiple keys request during rehashing of slot", trouble: "refused" },
    { message: "WRONGTYPE Operation against a key holding the wrong kind of value", trouble: "refused" },
    { message: "ERR unknown command", trouble: "refused" },
    { message: "Connection is closed.", trouble: "no-answer" },
    { message: "The client is closed", trouble: "no-answer" },
    { message: "read ECONNRESET", trouble: "no-answer" },
    { message: "timed out", trouble: "no-answer" },
    { message: "", trouble: "no-answer" },
  ])("$message → $trouble", ({ message, trouble }) => {
    expect(troubleOf(new Error(message))).toBe(trouble);
  });
});
