/** Request fields that stand for a login. */

import { rememberedTest } from "./remembered-names.ts";

/**
 * Names of request fields that say who a request is from, or what it may see, as servers, gateways and proxies use them.
 * Each counts like `Authorization`. A `*` at the end stands for any text; `_` is as good as `-`.
 */
export const LOGIN_FIELDS: Readonly<Record<string, readonly string[]>> = {
  HTTP: ["authorization", "proxy-authorization", "client-cert", "client-cert-chain"],
  "keys and tokens": [
    "api-key",
    "apikey",
    "x-api-key",
    "x-apikey",
    "x-api-token",
    "x-auth",
    "x-auth-key",
    "x-auth-token",
    "x-authorization",
    "x-access-token",
    "x-id-token",
    "x-jwt-assertion",
    "x-refresh-token",
    "x-session-id",
    "x-session-token",
    "private-token",
    "job-token",
    "dpop",
    "x-parse-session-token",
    "x-shopify-access-token",
    "x-vault-token",
    "x-hasura-*",
    "x-appwrite-jwt",
    "x-appwrite-key",
    "x-appwrite-session",
    "x-rapidapi-key",
    "x-rapidapi-user",
  ],
  Cloudflare: [
    "cf-access-jwt-assertion",
    "cf-access-client-id",
    "cf-access-client-secret",
    "cf-access-token",
    "cf-access-authenticated-user-email",
    "cf-authorization",
  ],
  AWS: ["x-amzn-oidc-*", "x-amzn-mtls-clientcert*", "x-amz-security-token"],
  Google: [
    "x-goog-authenticated-user-*",
    "x-goog-iap-jwt-assertion",
    "x-goog-api-key",
    "x-apigateway-api-userinfo",
    "x-endpoint-api-userinfo",
    "x-serverless-authorization",
  ],
  Azure: [
    "x-ms-client-principal*",
    "x-ms-token-*",
    "x-arr-clientcert",
    "x-functions-key",
    "x-zumo-auth",
    "ocp-apim-subscription-key",
  ],
  "oauth2-proxy and Traefik": [
    "x-forwarded-user",
    "x-forwarded-email",
    "x-forwarded-preferred-username",
    "x-forwarded-access-token",
    "x-forwarded-groups",
    "x-forwarded-id-token",
    "x-forwarded-tls-client-cert*",
    "x-auth-request-*",
  ],
  "Authelia, Authentik, Pomerium, Tailscale, Vouch, Kong, Grafana": [
    "remote-user",
    "remote-email",
    "remote-groups",
    "remote-name",
    "x-remote-user",
    "x-remote-email",
    "x-remote-groups",
    "x-remote-name",
    "x-authentik-*",
    "x-pomerium-*",
    "tailscale-user-*",
    "x-tailscale-*",
    "x-vouch-*",
    "x-consumer-*",
    "x-credential-identifier",
    "x-authenticated-*",
    "x-anonymous-consumer",
    "x-webauth-*",
    "x-proxy-user",
    "oidc-*",
    "x-oidc-*",
    "shib-*",
    "mellon-*",
  ],
  "client certificates": [
    "x-client-cert",
    "x-client-cert-*",
    "x-client-certificate",
    "x-ssl-cert",
    "x-ssl-client-*",
    "ssl-client-*",
    "x-forwarded-client-cert",
    "x-forwarded-ssl-client-cert",
  ],
};

/**
 * Tells the fields that stand for a login by their lower-case names.
 *
 * @param more further names, with a `*` at the end for any text
 * @param without names of the list that do not count, in the same form
 */
export function loginFields(more: readonly string[], without: readonly string[]): (name: string) => boolean {
  const counts = nameTest([...Object.values(LOGIN_FIELDS).flat(), ...more]);
  const isExempt = without.length === 0 ? undefined : nameTest(without);
  return rememberedTest((name) => counts(name) && isExempt?.(name) !== true);
}

function nameTest(names: readonly string[]): (name: string) => boolean {
  const exact = new Set(names.filter((name) => !name.endsWith("*")).map(dashed));
  const starts = names.filter((name) => name.endsWith("*")).map((name) => dashed(name.slice(0, -1)));
  const start = starts.length === 0 ? undefined : new RegExp(`^(?:${starts.map(escaped).join("|")})`);
  return (name) => {
    const asked = name.includes("_") ? dashed(name) : name;
    return exact.has(asked) || start?.test(asked) === true;
  };
}

function dashed(name: string): string {
  return name.toLowerCase().replaceAll("_", "-");
}

function escaped(text: string): string {
  return text.replace(/[^a-z0-9-]/g, "\\$&");
}

/** How TLS servers in front say that there was no client certificate. */
const NO_CERTIFICATE: ReadonlySet<string> = new Set(["NONE", "(null)", ""]);

/** True where `name: value` says that there is no login, as `X-SSL-Client-Verify: NONE` does. */
export function tellsOfNobody(name: string, value: string | readonly string[]): boolean {
  return typeof value === "string" && name.includes("ssl") && NO_CERTIFICATE.has(value);
}
