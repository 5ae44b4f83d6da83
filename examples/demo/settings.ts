/** What the demo reads from the environment. */

export interface Settings {
  readonly port: number;
  /** Absent: responses are kept in this process. */
  readonly redisUrl: string | undefined;
  readonly prefix: string;
  /** Lifetime of search results, as `cached({ expire })` takes it: seconds or a duration such as `5m`. */
  readonly searchExpire: string | number;
}

/** Something the person who started the demo can put right: shown as one line, without a stack. */
export class SettingError extends Error {}

export function readSettings(environment: NodeJS.ProcessEnv): Settings {
  const { PORT, REDIS_URL, PREFIX, EXPIRE } = environment;
  return {
    port: portFrom(PORT || "3000"),
    redisUrl: REDIS_URL || undefined,
    prefix: PREFIX || "cities",
    searchExpire: expireFrom(EXPIRE || "10m"),
  };
}

function portFrom(text: string): number {
  const port = Number(text);
  if (/^\d+$/.test(text) && port <= 65_535) return port;
  throw new SettingError(
    `PORT: expected a number from 0 to 65535, got ${JSON.stringify(text)}. For example PORT=3001 npm start.`,
  );
}

/** A bare number means seconds. */
function expireFrom(text: string): string | number {
  return /^-?\d+$/.test(text) ? Number(text) : text;
}
