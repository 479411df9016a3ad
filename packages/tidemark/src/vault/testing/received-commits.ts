// Reads what a vault's folder holds, for tests: which transactions committed in it, by whole records only.
import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { assert } from "@tidemark/kernel/errors";
import type { Lsn } from "@tidemark/kernel/lsn";
import { RESOURCE_MANAGER } from "@tidemark/postgres/wal/resource-managers";
import { parseSegmentName } from "@tidemark/postgres/wal/segment-name";
import { TransactionRecord } from "@tidemark/postgres/wal/transaction-record";
import { WalReader } from "@tidemark/postgres/wal/wal-reader";
import type { WalStop } from "@tidemark/postgres/wal/wal-reader";

export interface ReceivedCommits {
  readonly xids: ReadonlySet<number>;
  /** End of the last whole record. */
  readonly end: Lsn;
  readonly stop: WalStop | undefined;
}

/** Reads timeline 1 of a folder from its first file on, every record checked by its CRC. Fails on a missing segment. */
export function receivedCommits(wal: string, segmentBytes = 16_777_216): ReceivedCommits {
  const files = readdirSync(wal)
    .filter((name) => /^00000001[0-9A-F]{16}(\.partial)?$/.test(name))
    .sort();
  const xids = new Set<number>();
  const transaction = new TransactionRecord();
  const first = parseSegmentName(files[0]?.slice(0, 24) ?? "", segmentBytes);
  assert(first !== undefined, "there is WAL");
  const reader = new WalReader(
    { segmentBytes, start: first.start, atRecord: false, checkCrc: true, collect: [RESOURCE_MANAGER.transaction] },
    (record) => {
      if (record.rmid === RESOURCE_MANAGER.transaction && transaction.read(record) && transaction.isCommit) xids.add(transaction.xid);
    },
  );
  let expected = first.start;
  let stop: WalStop | undefined;
  for (const name of files) {
    const place = parseSegmentName(name.slice(0, 24), segmentBytes);
    assert(place?.start === expected, `${name} follows without a hole`);
    const bytes = readFileSync(join(wal, name));
    stop = reader.push(bytes, 0, bytes.length);
    if (stop !== undefined) break;
    expected = (expected + BigInt(segmentBytes)) as Lsn;
  }
  return { xids, end: reader.boundary ?? first.start, stop };
}
