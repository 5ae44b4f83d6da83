/** The state of the server, from an error of any Redis client. */

/**
 * - `no-answer`: no reply came, or the client did not send the command: the connection is in doubt;
 * - `unavailable`: the server answers that it cannot serve now: it loads its data, runs a script, has lost its cluster;
 * - `demoted`: it has become a replica, and somewhere there is another primary;
 * - `forbidden`: it will not serve us until its users or our password are changed;
 * - `refused`: it will not run this one command: a write when it is full, a read of a key of another type.
 */
export type Trouble = "no-answer" | "unavailable" | "demoted" | "forbidden" | "refused";

/** `WRONGTYPE …`, `OOM …`. Clients spell the class of such errors differently, and the message alike. */
const ERROR_REPLY = /^([A-Z][A-Z0-9]+) /;

/** How Redis 7.0, and then Redis 7.2 and Valkey, say inside a script what they call NOPERM outside. */
const IN_SCRIPT = /user executing the script can't (?:run|access)|ACL failure in script/i;

const OF_CODE: Readonly<Record<string, Trouble>> = {
  LOADING: "unavailable",
  BUSY: "unavailable",
  MASTERDOWN: "unavailable",
  CLUSTERDOWN: "unavailable",
  READONLY: "demoted",
  NOAUTH: "forbidden",
  WRONGPASS: "forbidden",
  NOPERM: "forbidden",
};

/** The state of the server, from an error that a client threw or rejected with. */
export function troubleOf(error: Error): Trouble {
  if (IN_SCRIPT.test(error.message)) return "forbidden";
  const code = ERROR_REPLY.exec(error.message)?.[1];
  if (code === undefined) return "no-answer";
  return Object.hasOwn(OF_CODE, code) ? (OF_CODE[code] ?? "refused") : "refused";
}
