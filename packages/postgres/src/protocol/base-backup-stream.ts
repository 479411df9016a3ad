// BASE_BACKUP of PostgreSQL 15 and newer. What the server answers, in this order:
//
//   T D C   start: recptr text, tli int8
//   T D* C  tablespaces: spcoid, spclocation, size (KB, NULL without PROGRESS); the main one has NULL for the first two
//   H       one copy for everything, of messages
//             n  name\0 path\0     a new archive begins (base.tar, then <oid>.tar); path is empty for the main one
//             m                    the manifest begins
//             d  bytes             of the archive or the manifest
//             p  i64               bytes done of this archive
//   c T D C C Z   end: recptr, tli
import type { Timeline } from "@tidemark/kernel/brands";
import { TidemarkError } from "@tidemark/kernel/errors";
import type { Lsn } from "@tidemark/kernel/lsn";
import { parseLsn } from "@tidemark/kernel/lsn";
import type { ReplicationConnection } from "../connection.ts";
import { BodyReader } from "./backend-messages.ts";
import { query } from "./frontend-messages.ts";

export interface BaseBackupOptions {
  readonly label: string;
  /** `fast` makes a checkpoint at once, `spread` over checkpoint_timeout. */
  readonly checkpoint: "fast" | "spread";
  /** Kilobytes a second at most, 32 to 1048576. Default no limit. */
  readonly maxRateKb?: number;
}

export type BaseBackupEvent =
  | {
      readonly kind: "start";
      readonly startLsn: Lsn;
      readonly timeline: Timeline;
      readonly tablespaces: readonly Tablespace[];
      readonly totalKb: number;
    }
  | { readonly kind: "archive"; readonly name: string; readonly location: string }
  | { readonly kind: "manifest" }
  | { readonly kind: "data"; readonly bytes: Buffer }
  | { readonly kind: "progress"; readonly bytes: bigint }
  | { readonly kind: "end"; readonly endLsn: Lsn; readonly timeline: Timeline };

/** A tablespace besides the main one. */
export interface Tablespace {
  readonly oid: string;
  readonly location: string;
}

/** Self-contained (its WAL is in it), with a manifest whose checksums are SHA-256. Throws TM-PG-SETTING on an unusable label. */
export function baseBackupCommand(options: BaseBackupOptions): string {
  // eslint-disable-next-line no-control-regex -- control characters are what is looked for
  if (!/^[^\u0000-\u001f\u007f]{1,1000}$/.test(options.label))
    throw new TidemarkError("TM-PG-SETTING", "a backup's label has control characters or a wrong length");
  const rate = options.maxRateKb === undefined ? "" : `, MAX_RATE ${Math.trunc(options.maxRateKb)}`;
  return `BASE_BACKUP (LABEL '${options.label.replaceAll("'", "''")}', PROGRESS true, CHECKPOINT '${options.checkpoint}', WAL true, MANIFEST 'yes', MANIFEST_CHECKSUMS 'SHA256', TABLESPACE_MAP true${rate})`;
}

/** Runs the command and yields what arrives. Rejects with TM-PG-SERVER, TM-PG-CONNECTION or TM-PG-PROTOCOL. */
export async function* streamBaseBackup(connection: ReplicationConnection, command: string): AsyncGenerator<BaseBackupEvent, void, void> {
  connection.send(query(command));
  const start = position(await readResult(connection));
  yield { kind: "start", ...start, ...tablespaces(await readResult(connection)), startLsn: start.lsn };
  await expect(connection, "copy-out");
  for (;;) {
    const message = await connection.read();
    if (message.kind === "copy-done") break;
    if (message.kind !== "copy-data") throw unexpected(message.kind);
    yield decodeBackupMessage(message.bytes);
  }
  const end = position(await readResult(connection));
  yield { kind: "end", endLsn: end.lsn, timeline: end.timeline };
  await expect(connection, "complete");
  await expect(connection, "ready");
}

/** Throws TM-PG-PROTOCOL on anything that is none of the four messages. */
export function decodeBackupMessage(bytes: Buffer): BaseBackupEvent {
  const reader = new BodyReader(bytes);
  const type = String.fromCharCode(reader.u8());
  switch (type) {
    case "n":
      return { kind: "archive", name: reader.text(), location: reader.text() };
    case "m":
      return { kind: "manifest" };
    case "d":
      return { kind: "data", bytes: reader.rest() };
    case "p":
      return { kind: "progress", bytes: reader.i64() };
    default:
      throw unexpected(`a backup message ${JSON.stringify(type)}`);
  }
}

type Row = readonly (string | undefined)[];

async function readResult(connection: ReplicationConnection): Promise<Row[]> {
  const rows: Row[] = [];
  for (;;) {
    const message = await connection.read();
    if (message.kind === "complete") return rows;
    if (message.kind === "row") rows.push(message.values.map((value) => value?.toString("utf8")));
    else if (message.kind !== "fields") throw unexpected(message.kind);
  }
}

function position(rows: readonly Row[]): { lsn: Lsn; timeline: Timeline } {
  const [lsn, timeline] = rows[0] ?? [];
  if (lsn === undefined || timeline === undefined || !/^[1-9]\d{0,9}$/.test(timeline)) throw unexpected("no position");
  return { lsn: parseLsn(lsn), timeline: Number(timeline) as Timeline };
}

function tablespaces(rows: readonly Row[]): { tablespaces: Tablespace[]; totalKb: number } {
  const others = rows.filter(([oid]) => oid !== undefined);
  return {
    tablespaces: others.map(([oid, location]) => ({ oid: oid ?? "", location: location ?? "" })),
    totalKb: rows.reduce((sum, [, , size]) => sum + Number(size ?? 0), 0),
  };
}

async function expect(connection: ReplicationConnection, kind: string): Promise<void> {
  const message = await connection.read();
  if (message.kind !== kind) throw unexpected(message.kind);
}

function unexpected(what: string): TidemarkError {
  return new TidemarkError("TM-PG-PROTOCOL", `took a base backup: the server sent ${what}`);
}
