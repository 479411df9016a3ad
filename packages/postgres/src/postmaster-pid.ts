import { TidemarkError } from "@tidemark/kernel/errors";

/** What a postmaster says about itself. Source: src/include/utils/pidfile.h of PostgreSQL. */
export interface PostmasterPidFile {
  readonly pid: number;
  readonly dataDir: string;
  /** When the postmaster started, seconds since the Unix epoch. */
  readonly startedAtSeconds: number;
  readonly port: number;
  readonly socketDir: string;
  readonly host: string;
  /** `absent` while the line has not been written yet. `ready`: accepts connections, also as a hot standby. `standby`: a standby that accepts none. */
  readonly status: PostmasterStatus;
}

export type PostmasterStatus = "absent" | "starting" | "stopping" | "ready" | "standby";

const STATUS_LINE = 7;
const STATUSES = new Set<string>(["starting", "stopping", "ready", "standby"]);

/**
 * Reads the text of postmaster.pid:
 *
 *   pid \n data directory \n start time \n port \n socket directory \n first listen address \n shared memory key and id \n status \n
 *
 * The postmaster writes lines 1 to 5 at once, 6 to 8 later. Throws TM-PG-PID-FILE.
 */
export function parsePostmasterPid(text: string): PostmasterPidFile {
  const lines = text.split("\n");
  // A stand-alone backend writes its pid negative; it is a server at work on this folder as much as a postmaster.
  const pid = Math.abs(wholeNumber(lines[0], "process id"));
  if (pid === 0) throw new TidemarkError("TM-PG-PID-FILE", "read postmaster.pid: it names no process");
  const dataDir = lines[1];
  if (dataDir === undefined || dataDir === "") throw new TidemarkError("TM-PG-PID-FILE", "read postmaster.pid: it names no data directory");
  const status = (lines[STATUS_LINE] ?? "").trim();
  return {
    pid,
    dataDir,
    startedAtSeconds: wholeNumber(lines[2], "start time"),
    port: wholeNumber(lines[3], "port"),
    socketDir: lines[4] ?? "",
    host: lines[5] ?? "",
    status: STATUSES.has(status) ? (status as PostmasterStatus) : "absent",
  };
}

function wholeNumber(line: string | undefined, what: string): number {
  if (line === undefined || !/^-?\d{1,15}$/.test(line.trim()))
    throw new TidemarkError("TM-PG-PID-FILE", `read postmaster.pid: its ${what} is "${line ?? ""}"`);
  return Number(line);
}
