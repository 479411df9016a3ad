import type { ErrorCode } from "@tidemark/kernel/errors";
import { KEY_TAKEN, OTHER_EPOCH, POSITION_CONFLICT } from "./schema.ts";

/**
 * What to do about an error of the database. `reconnect`: drop all connections, read the positions again. `retry`: the
 * same batch again soon. `wait`: the same, with backoff, and say what for. `stop`: FAIL-STOP. `dead-letter`: the write's
 * own fault, final when R13 says so. `duplicates`: a key was there, go step by step. `earlier`: look at the error before.
 * There is no reaction that drops a write.
 */
export type Reaction = "reconnect" | "retry" | "wait" | "stop" | "dead-letter" | "duplicates" | "earlier";

/** An error of the driver or the server, reduced to what decisions need. */
export interface DatabaseFault {
  /** Five characters from the server; undefined when the driver or the socket failed. */
  readonly sqlstate?: string;
  readonly message: string;
  /** The server's name of the routine that reported it. */
  readonly routine?: string;
  readonly constraint?: string;
}

export interface Trouble extends DatabaseFault {
  readonly reaction: Reaction;
  readonly code: ErrorCode;
}

interface Row {
  readonly reaction: Reaction;
  readonly code: ErrorCode;
}

const row = (reaction: Reaction, code: ErrorCode): Row => ({ reaction, code });

/** By SQLSTATE; these come before the class. Source: PostgreSQL's documentation, appendix A. */
const BY_SQLSTATE: Readonly<Record<string, Row>> = {
  [POSITION_CONFLICT]: row("reconnect", "TM-APPLIER-POSITION-CONFLICT"),
  [KEY_TAKEN]: row("duplicates", "TM-APPLIER-KEY-CONFLICT"),
  [OTHER_EPOCH]: row("reconnect", "TM-APPLIER-NOT-READY"),
  "25006": row("reconnect", "TM-APPLIER-NOT-READY"), // read-only: a standby
  "25P02": row("earlier", "TM-APPLIER-DATABASE-FAULT"), // in_failed_sql_transaction
  "25P03": row("reconnect", "TM-APPLIER-CONNECTION"), // idle in transaction
  "25P04": row("reconnect", "TM-APPLIER-CONNECTION"), // transaction timeout
  "40001": row("retry", "TM-APPLIER-CONTENTION"),
  "40003": row("reconnect", "TM-APPLIER-CONNECTION"), // statement completion unknown
  "40P01": row("retry", "TM-APPLIER-CONTENTION"),
  "40002": row("dead-letter", "TM-APPLIER-REJECTED"), // transaction integrity constraint violation
  "54000": row("dead-letter", "TM-APPLIER-REJECTED"), // program limit, for example an index row that is too large
  "54001": row("wait", "TM-APPLIER-RESOURCES"), // statement too complex: stack depth
  "55P03": row("retry", "TM-APPLIER-CONTENTION"), // lock timeout
  "55006": row("wait", "TM-APPLIER-DATABASE-FAULT"), // object in use
  "57014": row("retry", "TM-APPLIER-CONTENTION"), // cancelled, statement timeout
  "57P01": row("reconnect", "TM-APPLIER-CONNECTION"),
  "57P02": row("reconnect", "TM-APPLIER-CONNECTION"),
  "57P03": row("reconnect", "TM-APPLIER-NOT-READY"),
  "57P04": row("wait", "TM-APPLIER-NO-PRIMARY"), // database dropped
  "57P05": row("reconnect", "TM-APPLIER-CONNECTION"),
  XX000: row("wait", "TM-APPLIER-DATABASE-FAULT"),
  XX001: row("stop", "TM-APPLIER-DATABASE-DAMAGED"),
  XX002: row("stop", "TM-APPLIER-DATABASE-DAMAGED"),
};

/** By class, the first two characters. A class that is not here waits: an unknown error says nothing about the write. */
const BY_CLASS: Readonly<Record<string, Row>> = {
  "03": row("wait", "TM-APPLIER-DATABASE-FAULT"),
  "08": row("reconnect", "TM-APPLIER-CONNECTION"),
  "09": row("dead-letter", "TM-APPLIER-REJECTED"), // triggered action exception
  "0A": row("wait", "TM-APPLIER-STATEMENT-FAULT"), // feature not supported
  "0B": row("wait", "TM-APPLIER-DATABASE-FAULT"),
  "0L": row("wait", "TM-APPLIER-STATEMENT-FAULT"),
  "0P": row("wait", "TM-APPLIER-STATEMENT-FAULT"),
  "20": row("dead-letter", "TM-APPLIER-REJECTED"), // case not found
  "21": row("dead-letter", "TM-APPLIER-REJECTED"), // cardinality violation
  "22": row("dead-letter", "TM-APPLIER-REJECTED"), // data exception
  "23": row("dead-letter", "TM-APPLIER-REJECTED"), // integrity constraint
  "24": row("wait", "TM-APPLIER-STATEMENT-FAULT"),
  "25": row("reconnect", "TM-APPLIER-CONNECTION"),
  "26": row("reconnect", "TM-APPLIER-CONNECTION"), // prepared statement is gone: a pooler, or DISCARD
  "27": row("dead-letter", "TM-APPLIER-REJECTED"), // triggered data change
  "28": row("wait", "TM-APPLIER-NO-PRIMARY"), // login refused
  "2B": row("wait", "TM-APPLIER-STATEMENT-FAULT"),
  "2F": row("wait", "TM-APPLIER-STATEMENT-FAULT"),
  "34": row("wait", "TM-APPLIER-STATEMENT-FAULT"),
  "38": row("dead-letter", "TM-APPLIER-REJECTED"), // external routine exception
  "39": row("wait", "TM-APPLIER-STATEMENT-FAULT"),
  "3D": row("wait", "TM-APPLIER-NO-PRIMARY"),
  "3F": row("wait", "TM-APPLIER-STATEMENT-FAULT"),
  "40": row("retry", "TM-APPLIER-CONTENTION"),
  "42": row("wait", "TM-APPLIER-STATEMENT-FAULT"),
  "44": row("dead-letter", "TM-APPLIER-REJECTED"), // WITH CHECK OPTION
  "53": row("wait", "TM-APPLIER-RESOURCES"),
  "54": row("wait", "TM-APPLIER-RESOURCES"),
  "55": row("retry", "TM-APPLIER-CONTENTION"),
  "57": row("reconnect", "TM-APPLIER-CONNECTION"),
  "58": row("wait", "TM-APPLIER-RESOURCES"), // I/O errors outside of the server
  F0: row("wait", "TM-APPLIER-DATABASE-FAULT"),
  HV: row("wait", "TM-APPLIER-DATABASE-FAULT"), // foreign data wrapper
  P0: row("dead-letter", "TM-APPLIER-REJECTED"), // RAISE in a trigger or function
  XX: row("wait", "TM-APPLIER-DATABASE-FAULT"),
};

const UNKNOWN: Row = row("wait", "TM-APPLIER-DATABASE-FAULT");
const NO_ANSWER: Row = row("reconnect", "TM-APPLIER-CONNECTION");
const STALE_PLAN: Row = row("reconnect", "TM-APPLIER-CONNECTION");

/** Routines that report a prepared statement whose table changed below it: a new session plans again. */
const STALE_PLAN_ROUTINES = new Set(["RevalidateCachedQuery", "FetchPreparedStatement", "transformAssignedExpr"]);

/** Decides by SQLSTATE, then by class. An error without SQLSTATE is a lost connection, whose transaction is in doubt. */
export function troubleOf(fault: DatabaseFault): Trouble {
  return { ...fault, ...rowOf(fault) };
}

function rowOf(fault: DatabaseFault): Row {
  if (fault.sqlstate === undefined) return NO_ANSWER;
  if (fault.sqlstate === "0A000" && fault.routine !== undefined && STALE_PLAN_ROUTINES.has(fault.routine)) return STALE_PLAN;
  return BY_SQLSTATE[fault.sqlstate] ?? BY_CLASS[fault.sqlstate.slice(0, 2)] ?? UNKNOWN;
}

/** Every row, for the test that holds docs/write-protocol.md against it. */
export const troubleRows: readonly { readonly pattern: string; readonly reaction: Reaction }[] = [
  ...Object.entries(BY_SQLSTATE).map(([pattern, { reaction }]) => ({ pattern, reaction })),
  ...Object.entries(BY_CLASS).map(([pattern, { reaction }]) => ({ pattern: `${pattern}xxx`, reaction })),
];
