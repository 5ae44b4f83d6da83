/** Cookies that tell nothing of a user, and the search of a `Cookie` field for the others. */

import { rememberedTest } from "./remembered-names.ts";

/**
 * Names of cookies that carry no login and that no handler renders by: analytics, consent banners, protection against bots,
 * load balancing. Compared with their case, and not if they have the prefix `__Host-` or `__Secure-`. A `*` stands for any
 * text in which no word speaks of a login: `_ga_*` is not `_ga_session`.
 */
export const HARMLESS_COOKIES: Readonly<Record<string, readonly string[]>> = {
  analytics: [
    // Google
    "_ga",
    "_ga_*",
    "_gat",
    "_gat_*",
    "_gac_*",
    "_gali",
    "_gid",
    "_gcl_*",
    "_dc_gtm_*",
    "__utm*",
    "utm*",
    // Microsoft, Meta, TikTok, LinkedIn, Pinterest, Snapchat, Reddit, X
    "_clck",
    "_clsk",
    "_uetsid",
    "_uetvid",
    "_uetmsclkid",
    "_fbp",
    "_fbc",
    "_ttp",
    "li_fat_id",
    "_pin_unauth",
    "_epik",
    "_scid",
    "_scid_r",
    "_rdt_uuid",
    "_twclid",
    "_twpid",
    // Matomo, Plausible-like tools and others
    "_pk_id*",
    "_pk_ses*",
    "_pk_ref*",
    "_pk_cvar*",
    "_pk_hsr*",
    "_hjid",
    "_hjSession_*",
    "_hjSessionUser_*",
    "_hjAbsoluteSessionInProgress",
    "_hjFirstSeen",
    "_hjTLDTest",
    "_ym_uid",
    "_ym_d",
    "_ym_isad",
    "_ym_visorc*",
    "s_cc",
    "s_sq",
    "s_fid",
    "s_vi",
    "s_ecid",
    "AMCV_*",
    "AMCVS_*",
    "ajs_anonymous_id",
    "amplitude_id*",
    "AMP_*",
    "mp_*_mixpanel",
    "__hstc",
    "__hssc",
    "__hssrc",
    "hubspotutk",
    "_hp2_id*",
    "_hp2_ses_props*",
    "_hp2_props*",
    "_sp_id*",
    "_sp_ses*",
    "__qca",
    "_chartbeat2",
    "_parsely_visitor",
    "NREUM",
    "rxVisitor",
    "rxvt",
    "dtCookie",
    "dtPC",
    "dtSa",
    "dtLatC",
    "_dd_s",
    "fs_uid",
    "fs_lua",
    "RT",
  ],
  consent: [
    "CookieConsent",
    "OptanonConsent",
    "OptanonAlertBoxClosed",
    "eupubconsent-v2",
    "euconsent-v2",
    "cookieyes-consent",
    "cookielawinfo-*",
    "viewed_cookie_policy",
    "cmplz_*",
    "borlabs-cookie",
    "didomi_token",
    "usprivacy",
    "cookieconsent_status",
    "cc_cookie",
    "klaro",
    "tarteaucitron",
    "_iub_cs-*",
    "axeptio_*",
    "FCCDCF",
    "FCNEC",
    "mtm_consent",
    "mtm_consent_removed",
    "notice_preferences",
    "notice_behavior",
    "notice_gdpr_prefs",
  ],
  "bot protection": [
    "__cf_bm",
    "__cflb",
    "__cfruid",
    "__cfduid",
    "_cfuvid",
    "cf_clearance",
    "cf_chl_*",
    "_abck",
    "ak_bmsc",
    "bm_sz",
    "bm_sv",
    "bm_mi",
    "bm_s",
    "bm_so",
    "bm_ss",
    "bm_lso",
    "datadome",
    "incap_ses_*",
    "visid_incap_*",
    "nlbi_*",
    "reese84",
    "_px",
    "_px2",
    "_px3",
    "_pxhd",
    "_pxvid",
    "_pxde",
    "pxcts",
    "aws-waf-token",
    "_GRECAPTCHA",
  ],
  "load balancing": [
    "AWSALB*",
    "AWSELB",
    "AWSELBCORS",
    "ARRAffinity",
    "ARRAffinitySameSite",
    "ApplicationGatewayAffinity",
    "ApplicationGatewayAffinityCORS",
    "BIGipServer*",
    "GCLB",
    "INGRESSCOOKIE",
    "SERVERID",
    "ROUTEID",
    "DO-LB",
    "X-Oracle-BMC-LBS-Route",
    "__VCAP_ID__",
    "heroku-session-affinity",
    "akaalb_*",
  ],
};

/** Words that speak of a login: no `*` of the list covers them, and no warning calls a cookie with one harmless. */
const LOGIN_WORDS = /sess|sid|auth|token|csrf|xsrf|login|logged|user|member|account|jwt|remember|identity|ticket/i;

/** Longer names are not looked for in the list. */
const MAX_NAME_LENGTH = 256;

interface Pattern {
  readonly start: string;
  readonly end: string;
}

/**
 * Tells harmless cookies by their names: those of {@link HARMLESS_COOKIES} and those the developer declares. Case counts.
 *
 * @param declared names, and patterns without the flags `g` and `y`, which would remember where they last matched.
 */
export function harmlessCookies(declared: readonly (string | RegExp)[]): (name: string) => boolean {
  const names = new Set<string>();
  const patterns: Pattern[] = [];
  for (const name of Object.values(HARMLESS_COOKIES).flat()) {
    const star = name.indexOf("*");
    if (star === -1) names.add(name);
    else patterns.push({ start: name.slice(0, star), end: name.slice(star + 1) });
  }
  const expressions: RegExp[] = [];
  for (const own of declared) {
    if (typeof own === "string") names.add(own);
    else expressions.push(own);
  }
  return rememberedTest((name) => {
    // A cookie without a name is what servers read in different ways.
    if (name === "" || name.length > MAX_NAME_LENGTH) return false;
    if (names.has(name) || patterns.some((pattern) => fits(pattern, name))) return true;
    return expressions.some((expression) => expression.test(name));
  });
}

function fits({ start, end }: Pattern, name: string): boolean {
  if (name.length < start.length + end.length || !name.startsWith(start) || !name.endsWith(end)) return false;
  return !LOGIN_WORDS.test(name.slice(start.length, name.length - end.length));
}

/**
 * The name of the first cookie that is not harmless, `""` for one without a name, or `undefined` when there is none.
 *
 * Linear in the length of the field. Servers differ in how they read what is malformed, so every reading counts: quotes
 * hide no `;`, and what follows a comma and has a `=` is a cookie too.
 */
export function tellingCookie(
  cookie: string | readonly string[],
  isHarmless: (name: string) => boolean,
): string | undefined {
  if (typeof cookie === "string") return tellingOfLine(cookie, isHarmless);
  for (const line of cookie) {
    const name = tellingOfLine(line, isHarmless);
    if (name !== undefined) return name;
  }
  return undefined;
}

/** True for the name of a cookie in which a word speaks of a login: `connect.sid`, `auth_token`. */
export function speaksOfLogin(name: string): boolean {
  return LOGIN_WORDS.test(name);
}

/** Names that applications often give the cookie of a login. A pattern that matches one covers logins. */
const USUAL_LOGINS = ["connect.sid", "session", "auth_token", "token"];

/** Those of the declared cookies that may be the cookie of a login, as they are written in a program. */
export function declaredLogins(declared: readonly (string | RegExp)[]): readonly string[] {
  const isListed = harmlessCookies([]);
  return declared
    .filter((own) =>
      typeof own === "string" ? speaksOfLogin(own) && !isListed(own) : USUAL_LOGINS.some((name) => own.test(name)),
    )
    .map((own) => (typeof own === "string" ? JSON.stringify(own) : String(own)));
}

/** True for a `Set-Cookie` line whose cookie speaks of a login by its name, unless it is harmless. */
export function beginsLogin(setCookie: string, isHarmless: (name: string) => boolean): boolean {
  const name = nameOfCookie(setCookie);
  return speaksOfLogin(name) && !isHarmless(name);
}

function tellingOfLine(line: string, isHarmless: (name: string) => boolean): string | undefined {
  let start = 0;
  while (start < line.length) {
    let end = line.indexOf(";", start);
    if (end === -1) end = line.length;
    const name = tellingOfPair(line.slice(start, end), isHarmless);
    if (name !== undefined) return name;
    start = end + 1;
  }
  return undefined;
}

function tellingOfPair(pair: string, isHarmless: (name: string) => boolean): string | undefined {
  const text = trimmed(pair);
  if (text === "") return undefined;
  const name = nameOfCookie(text);
  if (!isHarmless(name)) return name;
  if (!text.includes(",")) return undefined;
  for (const piece of text.split(",").slice(1)) {
    const inner = nameOfCookie(piece);
    if (piece.includes("=") && !isHarmless(inner)) return inner;
  }
  return undefined;
}

/** `sid` of `sid=1; Path=/`; empty without a `=`. */
export function nameOfCookie(pair: string): string {
  const equals = pair.indexOf("=");
  return equals === -1 ? "" : trimmed(pair.slice(0, equals));
}

/** Without the spaces and tabs around it, in linear time. */
function trimmed(text: string): string {
  let start = 0;
  let end = text.length;
  while (start < end && isSpace(text.charCodeAt(start))) start++;
  while (end > start && isSpace(text.charCodeAt(end - 1))) end--;
  return text.slice(start, end);
}

function isSpace(code: number): boolean {
  return code === 0x20 || code === 0x09;
}
