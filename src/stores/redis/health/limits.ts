/** Every bound of the health of Redis, with its reason. README.md says what they are for. */

/** A process may have so much time for a write, or a purge, as a multiple of a look-up's: no look-up waits for one. */
export const WRITE_DEADLINES = 10;

/** How often a timer looks before a deadline is due: a busy time is noticed to within this part of the deadline. */
export const LOOKS_PER_DEADLINE = 4;
/** Timers of an idle process are late by so much; what is later was busy. */
export const IDLE_LATE_MS = 5;

/** Most commands that wait for an answer. Look-ups are bounded lower, so that a burst of them takes no other's place. */
export const MAX_WAITING_LOOK_UPS = 1024;
/** Ten times as many as look-ups, because they have ten times as long. */
export const MAX_WAITING_OTHERS: number = MAX_WAITING_LOOK_UPS * WRITE_DEADLINES;
/** Writes that wait carry at most so many entries of the largest size. */
export const MAX_WAITING_LARGEST_ENTRIES = 2;
/** A client that drops commands when its socket breaks never answers them; after this time they no longer count. */
export const FORGET_COMMAND_MS = 60_000;

/** A part is suspended after so many failures in a row: fewer are an accident. */
export const FAILURES_IN_A_ROW = 5;
/** Or when half of the operations of this time and of the one before it failed. */
export const FAILURE_WINDOW_MS = 1000;
/** Half of fewer operations is chance. */
export const LEAST_OPERATIONS = 10;

/** Rests between probes of a suspended part: short, because each request meanwhile is a miss. */
export const PROBE_EVERY_MS = 500;
/** People do not change a password twice a second, and servers log each refusal. */
export const PROBE_FORBIDDEN_EVERY_MS = 5000;
/** Rests differ by so much up or down, so that processes that lost Redis together do not come back together. */
export const PROBE_SPREAD = 0.2;

/** A suspended part whose probes are not answered at all for so long needs another client. */
export const STUCK_MS = 3000;
/** Ranges of slots on one master find out one after the other; one new client is for all of them. */
export const ONE_CLIENT_IN_MS = 3000;

/** Commands of a part that is not suspended and stay without an answer in so many of the last seconds need another client. */
export const SILENT_SECONDS = 3;
export const SECONDS_LOOKED_AT = 5;
/** Fewer commands than this are an accident. */
export const LEAST_SILENT_COMMANDS = 5;
/** Time from the first such command to the new client; it grows with each, so that clients are not made without end. */
export const FIRST_SILENCE_PATIENCE_MS = 3000;
export const LAST_SILENCE_PATIENCE_MS = 15_000;
export const SILENCE_PATIENCE_GROWTH = 1.5;
/** After so long without such a command the next one is an accident of its own. */
export const CALM_MS = 60_000;

/** One event for the failures of so long: an outage must not fill a log. */
export const REPORT_EVERY_MS = 10_000;

/** Ranges of slots that have a guard each. Masters mostly have long ranges, so few of ours are on two of them. */
export const CLUSTER_PARTS = 32;

/** A connection that is not up and has said nothing for this long is reported, and made anew if the store made it. */
export const SILENT_CONNECTION_MS = 5000;
/** Time that a client has which is to take over from a dead one; each further one gets twice the time. */
export const FIRST_REPLACEMENT_MS = 1000;
export const LAST_REPLACEMENT_MS = 60_000;
/** Rests before the next client after one that could not be made: soon, then ever later. */
export const FIRST_REBUILD_MS = 250;
export const LAST_REBUILD_MS = 5000;
/** Longest wait for the answers under way when a client is ended. */
export const END_CLIENT_MS = 1000;
