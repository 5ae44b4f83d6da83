import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { HARMLESS_COOKIES, harmlessCookies, tellingCookie } from "../../../src/engine/request/harmless-cookies.ts";
import { identityOf, type IdentityRules, type SharedIdentities } from "../../../src/engine/request/identity.ts";
import { LOGIN_FIELDS, loginFields } from "../../../src/engine/request/login-fields.ts";
import { elapsedMs, LINEAR_CEILING_MS, MEGABYTE } from "../../rfc9111/nouns.ts";
import { cacheRequest } from "../harness.ts";

const builtIn: IdentityRules = {
  isLoginField: loginFields([], []),
  isHarmlessCookie: harmlessCookies([]),
  varyNames: [],
};
const nothingShared: SharedIdentities = { sharesAuthorized: false, sharesSessions: false, vary: [] };

function detailOf(
  fields: Record<string, string | string[]>,
  rules = builtIn,
  shared = nothingShared,
): string | undefined {
  return identityOf(cacheRequest("/", fields), rules, shared)?.detail;
}

describe("which cookies tell of a user", () => {
  it.each([
    "wordpress_logged_in_5f4dcc3b5aa765d61d8327deb882cf99=a",
    "__Secure-next-auth.session-token.0=a",
    "appSession.0=a",
    ".AspNetCore.CookiesC1=a",
    "_myapp_session=a",
    "sb-abcdefgh-auth-token.0=a",
    "theme=dark",
    "sid",
    "=a",
    "=",
    "a",
    "_ga",
    "_GA=1",
    "__Host-_ga=1",
    "__Secure-_ga=1",
    "_ga_session=1",
    "_ga_user=7",
    "_gallery_session=1",
    "_gat_token=1",
    "_hj_session=1",
    "AWSELBAuthSessionCookie-0=a",
    "AWSALBAuthNonce=a",
    "CF_Authorization=a",
    "utm_session=1",
    "_ga=1; sid=2",
    "_ga=1;sid=2",
    "_ga=1; ; sid=2",
    "_ga=1; _ga=2; sid=3; _ga=4",
    '_ga="1; sid=2"',
    "_ga=1, sid=2",
    "_ga=1,sid=2",
    "\t_ga=1 ;\tsid =2",
    "_ga =1; x",
    "\u00a0_ga=1",
    `${"_ga_".padEnd(300, "A")}=1`,
    ["_ga=1", "sid=2"],
    ["", "sid"],
  ])("%j does", (cookie) => {
    expect(detailOf({ cookie })).toBe("cookie");
  });

  it.each([
    "",
    ";",
    " ; ;\t;",
    "_ga=GA1.2.3.4",
    "_ga=GA1.2.3.4; _ga_G1A2B3C4D5=GS1.1.2; _gid=x; _gat_UA-1234-1=1; _gat_gtag_UA_1_1=1",
    "__utma=1; __utmz=1.utmcsr=(direct)|utmccn=(direct); utm_source=x",
    "_ga=1; _ga=2",
    '_ga="1"',
    "_ga=1, 2, 3",
    "_ga=a=b=c",
    "__cf_bm=x; cf_clearance=y; _cfuvid=z",
    "AWSALB=1; AWSALBCORS=1; AWSALBTG=1; AWSALBAPP-0=1; AWSELB=1",
    "OptanonConsent=isGpcEnabled=0&groups=C0001%3A1; OptanonAlertBoxClosed=2026",
    "_hjSessionUser_123456=x; _hjSession_123456=y; _pk_id.1.1fff=z; _pk_ses.1.1fff=1",
    "mp_0123456789abcdef_mixpanel=1; visid_incap_123=1; BIGipServer~Common~pool_web=1",
    ["_ga=1", "_gid=2"],
  ])("%j does not", (cookie) => {
    expect(detailOf({ cookie })).toBeUndefined();
  });

  it("are all but those declared, by name and by pattern, whatever flags it has", () => {
    const rules = { ...builtIn, isHarmlessCookie: harmlessCookies(["theme", /^exp_/, /^LANG$/i]) };
    for (const cookie of ["theme=dark", "exp_a=1; exp_b=2", "lang=de; Lang=en", "_ga=1; theme=dark"]) {
      for (let time = 0; time < 3; time++) expect(detailOf({ cookie }, rules), cookie).toBeUndefined();
    }
    for (const cookie of ["Theme=dark", "themes=1", "my_exp_=1", "theme=dark; sid=1"]) {
      expect(detailOf({ cookie }, rules), cookie).toBe("cookie");
    }
  });

  it("never throws, and finds a cookie that is not harmless wherever it stands among those that are", () => {
    const isHarmless = harmlessCookies([]);
    const harmless = fc.constantFrom("_ga=1", "_gid=x", "__cf_bm=a.b-c", "", " ", "AWSALB=1", "\t");
    fc.assert(
      fc.property(
        fc.array(harmless),
        fc.array(harmless),
        fc.constantFrom("; ", ";", " ;\t"),
        (before, after, between) => {
          expect(tellingCookie([...before, ...after].join(between), isHarmless)).toBeUndefined();
          expect(tellingCookie([...before, "sid=1", ...after].join(between), isHarmless)).toBe("sid");
        },
      ),
    );
    fc.assert(fc.property(fc.string(), (text) => void tellingCookie(text, isHarmless)));
  });

  it.each([";", "=", ",", " ", "a", "_ga=1;", "_ga=,", "; ", "_ga=1,a"])(
    "a megabyte of %j is read in linear time",
    (unit) => {
      const cookie = `_ga=${unit.repeat(MEGABYTE / unit.length)}`;
      expect(elapsedMs(() => tellingCookie(cookie, harmlessCookies([/^(a+)+$/])))).toBeLessThan(LINEAR_CEILING_MS);
      expect(elapsedMs(() => tellingCookie(cookie.slice(4), harmlessCookies([])))).toBeLessThan(LINEAR_CEILING_MS);
    },
  );

  it("remembers a bounded number of names", () => {
    const isHarmless = harmlessCookies([/^n\d+$/]);
    for (let at = 0; at < 5_000; at++) expect(isHarmless(`n${at}`)).toBe(true);
    expect(isHarmless("m1")).toBe(false);
  });

  it("lists no name that is known to carry a session", () => {
    const isHarmless = harmlessCookies([]);
    const sessions = `sid session sessionid connect.sid express.sid koa.sess JSESSIONID PHPSESSID ASP.NET_SessionId .ASPXAUTH
      laravel_session XSRF-TOKEN next-auth.session-token authjs.session-token better-auth.session_token appSession __session
      auth_token token access_token id_token refresh_token jwt remember_token remember_user_token sb-access-token
      wordpress_logged_in_x wp-settings-1 woocommerce_cart_hash cart _shopify_y csrftoken MRHSession NSC_AAAC _oauth2_proxy
      authelia_session authentik_session vouchCookie kc-access KEYCLOAK_IDENTITY ory_kratos_session iPlanetDirectoryPro`;
    for (const name of sessions.split(/\s+/)) expect(isHarmless(name), name).toBe(false);
    expect(new Set(Object.values(HARMLESS_COOKIES).flat()).size).toBe(Object.values(HARMLESS_COOKIES).flat().length);
  });
});

describe("which fields stand for a login", () => {
  it.each([
    "authorization",
    "proxy-authorization",
    "x-api-key",
    "api-key",
    "x-auth-token",
    "x-access-token",
    "x-session-token",
    "cf-access-jwt-assertion",
    "cf-access-client-id",
    "x-amzn-oidc-data",
    "x-amzn-oidc-identity",
    "x-amzn-oidc-accesstoken",
    "x-goog-authenticated-user-email",
    "x-goog-authenticated-user-id",
    "x-goog-iap-jwt-assertion",
    "x-ms-client-principal",
    "x-ms-client-principal-name",
    "x-ms-token-aad-id-token",
    "x-forwarded-user",
    "x-forwarded-email",
    "x-forwarded-preferred-username",
    "x-forwarded-access-token",
    "x-forwarded-groups",
    "x-auth-request-user",
    "x-remote-user",
    "remote-user",
    "remote_user",
    "x_api_key",
    "tailscale-user-login",
    "x-tailscale-user",
    "x-authentik-username",
    "x-pomerium-jwt-assertion",
    "x-ssl-client-s-dn",
    "ssl-client-cert",
    "x-client-cert",
    "client-cert",
    "x-forwarded-client-cert",
    "x-forwarded-tls-client-cert-info",
  ])("%s does, even when it is empty", (name) => {
    expect(detailOf({ [name]: "a" })).toBe("authorization");
    if (!name.includes("ssl")) expect(detailOf({ [name]: "" })).toBe("authorization");
  });

  it.each([
    { "x-ssl-client-verify": "NONE" },
    { "x-ssl-client-s-dn": "(null)" },
    { "ssl-client-cert": "" },
    { "x-forwarded-for": "a", "x-forwarded-proto": "https", "x-forwarded-host": "a" },
    { accept: "a", "user-agent": "a", origin: "a", "x-requested-with": "a", "x-request-id": "a", traceparent: "a" },
    { "x-user": "a", "my-x-api-key": "a", "x-api-keys": "a", authorizations: "a" },
  ])("%j does not", (fields) => {
    expect(detailOf(fields)).toBeUndefined();
  });

  it("are all but those exempted, and those added", () => {
    const rules = { ...builtIn, isLoginField: loginFields(["x-acme-user", "x-sso-*"], ["x-api-key", "x-ms-token-*"]) };
    for (const name of ["x-acme-user", "x-sso-id", "x_sso_mail", "authorization"]) {
      expect(detailOf({ [name]: "a" }, rules), name).toBe("authorization");
    }
    for (const name of ["x-api-key", "x-ms-token-aad-id-token", "x-acme-users"]) {
      expect(detailOf({ [name]: "a" }, rules), name).toBeUndefined();
    }
  });

  it("are written once, in lower case", () => {
    const names = Object.values(LOGIN_FIELDS).flat();
    expect(new Set(names).size).toBe(names.length);
    for (const name of names) expect(name).toMatch(/^[a-z][a-z-]*\*?$/);
  });
});

describe("an identity", () => {
  it("is a client certificate", () => {
    const request = { ...cacheRequest("/"), clientCertificate: true };
    expect(identityOf(request, builtIn)?.detail).toBe("client-certificate");
    expect(identityOf(request, builtIn, { ...nothingShared, sharesAuthorized: true })).toBeUndefined();
  });

  it("does not count where a profile shares it, or the key holds it", () => {
    const fields = { authorization: "Bearer a", cookie: "sid=1" };
    expect(detailOf(fields, builtIn, { ...nothingShared, sharesAuthorized: true })).toBe("cookie");
    expect(detailOf(fields, builtIn, { ...nothingShared, sharesSessions: true })).toBe("authorization");
    expect(detailOf(fields, builtIn, { ...nothingShared, vary: ["authorization", "cookie"] })).toBeUndefined();
    expect(detailOf(fields, builtIn, { ...nothingShared, vary: ["cookie"] })).toBe("authorization");
    expect(
      detailOf({ ...fields, "x-api-key": "k" }, builtIn, { ...nothingShared, vary: ["cookie", "authorization"] }),
    ).toBe("authorization");
  });
});
