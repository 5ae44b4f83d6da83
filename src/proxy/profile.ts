/** What a profile means for a proxy: the one place where its name becomes options. */

import type { IncomingMessage } from "node:http";

import type { RouteOptions } from "../options/route-options.ts";
import type { ProfileName } from "../options/profiles.ts";

/** The careful one. */
export const DEFAULT_PROFILE: ProfileName = "proxy";

/** Options of the route that all requests take. */
export function profileRoute(profile: ProfileName): RouteOptions<IncomingMessage> {
  return { profile, requestDirectives: profile === "origin" ? "ignore" : "rfc9111" };
}
