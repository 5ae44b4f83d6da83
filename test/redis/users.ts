/**
 * Who may do what on the servers of the tests. Whoever does not log in is the user of docs/redis-acl.md, so that everything
 * the cache does is done with those permissions; the tests themselves log in as ADMIN, who may do everything.
 */

import { readFileSync } from "node:fs";
import { join } from "node:path";

export const ADMIN = { username: "admin", password: "of-the-tests" } as const;

const PAGE = readFileSync(join(import.meta.dirname, "../../docs/redis-acl.md"), "utf8");
const [FOR_ONE = "", FOR_CLUSTER = ""] = [...PAGE.matchAll(/^user shop .*$/gm)].map(([line]) => line);

/** The documented lines of an ACL file, as they stand there. */
export const DOCUMENTED = { forOne: FOR_ONE, forCluster: FOR_CLUSTER } as const;
/** The password in them. */
export const DOCUMENTED_PASSWORD = "a-long-random-password";

/** What the documented user may do, as words of ACL SETUSER; under any prefix. */
export function documentedRules(line: string): readonly string[] {
  if (!line.includes(" ~shop:1:* ")) throw new Error(`docs/redis-acl.md has no such user: ${line}`);
  const rules = line.slice(line.indexOf("resetkeys")).replace("~shop:1:*", "~*:1:*");
  return rules.split(" ");
}

/** Lines of an ACL file. */
export function usersOfTests(isCluster: boolean): readonly string[] {
  const rules = documentedRules(isCluster ? FOR_CLUSTER : FOR_ONE).join(" ");
  return [`user default on nopass ${rules}`, `user ${ADMIN.username} on >${ADMIN.password} ~* &* +@all`];
}

export function adminUrl(port: number): string {
  return `redis://${ADMIN.username}:${ADMIN.password}@127.0.0.1:${port}`;
}
