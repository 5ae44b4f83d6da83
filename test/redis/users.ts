/**
 * Who may do what on the servers of the tests. Whoever does not log in is the user of docs/redis-acl.md, so that everything
 * the cache does is done with those permissions; the tests themselves log in as ADMIN, who may do everything.
 */

import { readFileSync } from "node:fs";
import { join } from "node:path";

export const ADMIN = { username: "admin", password: "of-the-tests" } as const;

const PAGE = readFileSync(join(import.meta.dirname, "../../docs/redis-acl.md"), "utf8");
const [forOne = "", forCluster = ""] = [...PAGE.matchAll(/^user shop .*$/gm)].map(([line]) => line);

/** The documented lines of an ACL file, as they stand there. */
export const DOCUMENTED = { forOne, forCluster } as const;
/** The password in them. */
export const DOCUMENTED_PASSWORD = "a-long-random-password";

/** What the user of such a line may do. */
export function rulesOf(line: string): string {
  return line.slice(line.indexOf("resetkeys"));
}

/** Lines of an ACL file: what the documented user may do, under any prefix. */
export function usersOfTests(isCluster: boolean): readonly string[] {
  const line = isCluster ? forCluster : forOne;
  if (!line.includes(" ~shop:1:* ")) throw new Error(`docs/redis-acl.md has no such user: ${line}`);
  const rules = rulesOf(line).replace("~shop:1:*", "~*:1:*");
  return [`user default on nopass ${rules}`, `user ${ADMIN.username} on >${ADMIN.password} ~* &* +@all`];
}

export function adminUrl(port: number): string {
  return `redis://${ADMIN.username}:${ADMIN.password}@127.0.0.1:${port}`;
}
