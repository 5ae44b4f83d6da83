/** What is let in: one reading of each request, or none. */

import type { IncomingMessage } from "node:http";

import { removeUnforwarded } from "./fields.ts";
import { isLooping } from "./forwarding-fields.ts";
import type { Problem } from "./problem.ts";

export interface AcceptRules {
  readonly maxFields: number;
  readonly trustForwarded: boolean;
}

const HOST = /^(?:[A-Za-z0-9_.-]+|\[[0-9A-Fa-f:.]+\])(?::\d{1,5})?$/;
const ABSOLUTE_FORM = /^(https?):\/\/([^/?]*)(.*)$/i;

/**
 * Makes `request` what the cache and the upstream may both rely on, or says why it is refused.
 *
 * The parser has refused most bad framing before (both lengths, folded lines, spaces before a colon). What is left are
 * messages that it takes and that another recipient may read in another way (RFC 9112 §3.2, §6.1, §11.2).
 */
export function acceptRequest(request: IncomingMessage, rules: AcceptRules): Problem | undefined {
  const refusal = whyRefused(request, rules);
  if (refusal !== undefined) return refusal;
  const target = readTarget(request);
  if (target !== undefined) return target;
  removeUnforwarded(request, rules.trustForwarded);
  return isLooping(request.headers.via)
    ? { status: 508, detail: "The request has passed this proxy too often. Does its upstream point back to it?" }
    : undefined;
}

function whyRefused(request: IncomingMessage, rules: AcceptRules): Problem | undefined {
  const { rawHeaders, httpVersion } = request;
  if (httpVersion !== "1.1" && httpVersion !== "1.0") return faulty("Only HTTP/1.0 and HTTP/1.1 are spoken here.", 505);
  if (rawHeaders.length / 2 > rules.maxFields) return faulty(`There are more than ${rules.maxFields} fields.`, 431);
  let hosts = 0;
  for (let at = 0; at < rawHeaders.length; at += 2) {
    const name = rawHeaders[at]?.toLowerCase();
    if (name === "host") hosts += 1;
  }
  if (hosts > 1) return faulty("There is more than one Host field.");
  if (hosts === 0 && httpVersion === "1.1") return faulty("There is no Host field.");
  const { host } = request.headers;
  if (host !== undefined && !HOST.test(host)) return faulty("The Host field is not a host with an optional port.");
  const coding = request.headers["transfer-encoding"];
  if (coding === undefined) return undefined;
  if (httpVersion === "1.0") return faulty("HTTP/1.0 has no Transfer-Encoding.");
  return coding.toLowerCase() === "chunked"
    ? undefined
    : faulty("The only transfer coding understood here is chunked.", 501);
}

function faulty(detail: string, status = 400): Problem {
  return { status, detail, close: true };
}

/** Brings the target into origin-form or `*` (RFC 9112 §3.2). */
function readTarget(request: IncomingMessage): Problem | undefined {
  const target = request.url ?? "";
  if (target.includes("#")) return faulty("A request target has no fragment.");
  if (target === "*") {
    return request.method === "OPTIONS" ? undefined : faulty("Only OPTIONS may have the target *.");
  }
  if (target.startsWith("/")) return undefined;
  const parts = ABSOLUTE_FORM.exec(target);
  const [, , authority = "", rest = ""] = parts ?? [];
  if (parts === null || !HOST.test(authority)) return faulty("The request target is neither a path nor an http URL.");
  // The authority of the target counts, not Host (§3.2.2).
  request.headers.host = authority;
  if (rest === "") request.url = request.method === "OPTIONS" ? "*" : "/";
  else request.url = rest.startsWith("/") ? rest : `/${rest}`;
  return undefined;
}
