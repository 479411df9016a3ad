// How long history is kept, and how large it may become. What is older or beyond goes, the finest and oldest first.

export interface HistoryOptions {
  /** Seconds as they were recorded, milliseconds. */
  readonly keepSecondsMs: number;
  /** One bucket a minute. */
  readonly keepMinutesMs: number;
  /** One bucket an hour. */
  readonly keepHoursMs: number;
  /** Content of the file, bytes; beyond it less is kept than the times above say. The file itself may be a quarter larger. */
  readonly mostBytes: number;
  /** Series beyond so many are refused, and counted. */
  readonly mostSeries: number;
}

const HOUR_MS = 3_600_000;

/** 4 h of seconds, 14 days of minutes, 400 days of hours: a year and what it is compared with. */
export const HISTORY_DEFAULTS: HistoryOptions = {
  keepSecondsMs: 4 * HOUR_MS,
  keepMinutesMs: 14 * 24 * HOUR_MS,
  keepHoursMs: 400 * 24 * HOUR_MS,
  mostBytes: 2 * 1_073_741_824,
  mostSeries: 20_000,
};
