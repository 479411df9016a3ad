import type { Epoch, SystemIdentifier, Timeline } from "@tidemark/kernel/brands";
import type { Lsn } from "@tidemark/kernel/lsn";
import { formatLsn } from "@tidemark/kernel/lsn";
import { BUILT_SYSTEM_IDENTIFIER, SMALL_SEGMENT_BYTES, WalBuilder } from "@tidemark/postgres/wal/testing/wal-builder";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { WalRange } from "./archive/wal-range.ts";
import { CommitFolder } from "./commits/testing/commit-folder.ts";
import type { VaultFile, VaultVote } from "./vault-file.ts";
import { castVote, refuseDamage } from "./vault-vote.ts";
import { WalReach } from "./wal-reach.ts";

const ABSTAINED = { code: "TM-CLUSTER-ABSTAINED" };
const timeline = 1 as Timeline;

describe("a vote (R4)", () => {
  let here: CommitFolder;
  let wal: WalBuilder;
  let file: VaultFile;
  let reach: WalReach;

  beforeEach(() => {
    here = new CommitFolder();
    wal = new WalBuilder();
    for (let i = 0; i < 200; i++) wal.add({ body: new Uint8Array(900).fill(7) });
    here.receive(wal);
    file = {
      formatVersion: 1,
      store: "orders",
      vault: "vault1",
      identity: "tidemark_vault_vault1_0",
      systemIdentifier: String(BUILT_SYSTEM_IDENTIFIER) as SystemIdentifier,
      segmentBytes: SMALL_SEGMENT_BYTES,
      run: { from: { timeline, lsn: formatLsn(wal.start as Lsn) }, timeline },
      gaps: [],
      faults: [],
    };
    reach = new WalReach({ frontier: here.frontier, file: () => file, directory: here.folder.directory });
  });
  afterEach(() => here.dispose());

  const cast = (): Promise<VaultVote> => castVote({ file, epoch: 2 as Epoch, reach, record: undefined });
  const damage: WalRange = { timeline, start: 0n as Lsn, end: (1n << 40n) as Lsn };

  it("is the end of the last whole record", async () => {
    expect(await cast()).toMatchObject({ timeline: 1, end: formatLsn(wal.position), contiguousFrom: file.run?.from });
  });

  it("is not given while nobody knows whether the segments here are whole", async () => {
    reach.doubtBy(() => undefined);
    await expect(cast()).rejects.toMatchObject(ABSTAINED);
  });

  it("is not given over damage that is found while the newest file is read for its end", async () => {
    let looks = 0;
    reach.doubtBy(() => {
      looks++;
      return looks <= 2 ? [] : [damage];
    });
    await expect(cast()).rejects.toMatchObject(ABSTAINED);
    expect(looks).toBeGreaterThan(2);
  });

  it("is not held back by damage before the run, which it says nothing about", async () => {
    reach.doubtBy(() => [{ ...damage, end: wal.start as Lsn }]);
    expect(await cast()).toMatchObject({ end: formatLsn(wal.position) });
  });

  it("stands although what is damaged is not known for a moment, and does not over damage that is", () => {
    reach.doubtBy(() => undefined);
    expect(() => refuseDamage(reach)).not.toThrow();
    reach.doubtBy(() => [damage]);
    expect(() => refuseDamage(reach)).toThrow(expect.objectContaining(ABSTAINED) as Error);
  });
});
