const MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const IMF_FIXDATE = /^(?:mon|tue|wed|thu|fri|sat|sun), (\d\d) ([a-z]{3}) (\d{4}) (\d\d):(\d\d):(\d\d) gmt$/;
const RFC850 =
  /^(?:monday|tuesday|wednesday|thursday|friday|saturday|sunday), (\d\d)-([a-z]{3})-(\d\d) (\d\d):(\d\d):(\d\d) gmt$/;
const ASCTIME = /^(?:mon|tue|wed|thu|fri|sat|sun) ([a-z]{3}) (\d\d| \d) (\d\d):(\d\d):(\d\d) (\d{4})$/;

const SHORTEST_DATE = 24;
const LONGEST_DATE = 33;
const FIFTY_YEARS = 50;
const LATEST_MS = Date.UTC(9999, 11, 31, 23, 59, 59);

/**
 * Time in milliseconds of an HTTP date, or `undefined` for anything that is not exactly one of the three formats of
 * RFC 9110 §5.6.7. Letters may be in any case; the name of the weekday is not compared with the date.
 *
 * `nowMs` is for the two-digit years of RFC 850: a date more than 50 years ahead of it is one of the past.
 *
 * @example parseHttpDate("Sun, 06 Nov 1994 08:49:37 GMT", Date.now()) // 784111777000
 */
export function parseHttpDate(text: string, nowMs: number): number | undefined {
  if (text.length < SHORTEST_DATE || text.length > LONGEST_DATE) return undefined;
  const lower = text.toLowerCase();

  const imf = IMF_FIXDATE.exec(lower);
  if (imf !== null) return utcMs(Number(imf[3]), imf[2], imf[1], imf[4], imf[5], imf[6]);

  const asctime = ASCTIME.exec(lower);
  if (asctime !== null) return utcMs(Number(asctime[6]), asctime[1], asctime[2], asctime[3], asctime[4], asctime[5]);

  const rfc850 = RFC850.exec(lower);
  if (rfc850 === null) return undefined;
  const century = Math.floor(new Date(nowMs).getUTCFullYear() / 100) * 100;
  for (const year of [century + 100, century, century - 100]) {
    const ms = utcMs(year + Number(rfc850[3]), rfc850[2], rfc850[1], rfc850[4], rfc850[5], rfc850[6]);
    if (ms !== undefined && ms <= yearsAfter(nowMs, FIFTY_YEARS)) return ms;
  }
  return undefined;
}

function yearsAfter(ms: number, years: number): number {
  const date = new Date(ms);
  return date.setUTCFullYear(date.getUTCFullYear() + years);
}

function utcMs(
  year: number,
  monthName: string | undefined,
  dayText: string | undefined,
  hourText: string | undefined,
  minuteText: string | undefined,
  secondText: string | undefined,
): number | undefined {
  const month = MONTHS.indexOf(monthName ?? "");
  const day = Number(dayText);
  const hour = Number(hourText);
  const minute = Number(minuteText);
  const second = Number(secondText);
  // 60 is a leap second, which the grammar allows.
  if (month === -1 || hour > 23 || minute > 59 || second > 60) return undefined;
  const midnight = new Date(0);
  // Not Date.UTC, which reads the years 0 to 99 as 1900 to 1999.
  midnight.setUTCFullYear(year, month, day);
  if (midnight.getUTCMonth() !== month) return undefined;
  return midnight.getTime() + ((hour * 60 + minute) * 60 + second) * 1000;
}

/**
 * A time in milliseconds as an HTTP date, the form every sender must use (RFC 9110 §5.6.7).
 *
 * Fractions of a second are dropped. A time before 1970 or after 9999 becomes the nearest end of that range.
 *
 * @example formatHttpDate(784111777000) // "Sun, 06 Nov 1994 08:49:37 GMT"
 */
export function formatHttpDate(ms: number): string {
  return new Date(Math.min(Math.max(ms, 0), LATEST_MS)).toUTCString();
}
