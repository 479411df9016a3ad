import { renameSync, rmSync, writeFileSync } from "node:fs";
import { readFile, writeFile } from "node:fs/promises";
import type { SystemIdentifier, Timeline } from "@tidemark/kernel/brands";
import type { Lsn } from "@tidemark/kernel/lsn";
import { BUILT_SYSTEM_IDENTIFIER, SMALL_SEGMENT_BYTES, WalBuilder } from "@tidemark/postgres/wal/testing/wal-builder";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { CommitFolder } from "../commits/testing/commit-folder.ts";
import type { RestartScan } from "./restart-scan.ts";
import { scanAfterRestart } from "./restart-scan.ts";
import type { WalPoint } from "./stream-plan.ts";

const BYTES = BigInt(SMALL_SEGMENT_BYTES);
const point = (timeline: number, lsn: bigint): WalPoint => ({ timeline: timeline as Timeline, lsn: lsn as Lsn });
const segment = (index: number): Lsn => (BYTES * BigInt(index)) as Lsn;

/** Records of about a kilobyte up to somewhere in the segment that begins at `index`. */
function fill(wal: WalBuilder, index: number, more = 20): void {
  while (wal.position < segment(index)) wal.add({ body: new Uint8Array(900).fill(7) });
  for (let i = 0; i < more; i++) wal.add({ body: new Uint8Array(900).fill(9) });
}

describe("the scan after a start", () => {
  let here: CommitFolder;
  let wal: WalBuilder;
  beforeEach(() => {
    here = new CommitFolder();
    wal = new WalBuilder();
  });
  afterEach(() => here.dispose());

  const scan = (options?: { timeline?: number; from?: WalPoint; mark?: WalPoint }): Promise<RestartScan> =>
    scanAfterRestart({
      folder: here.folder,
      run: { from: options?.from ?? point(1, wal.start), timeline: (options?.timeline ?? 1) as Timeline },
      mark: options?.mark,
      systemIdentifier: String(BUILT_SYSTEM_IDENTIFIER) as SystemIdentifier,
    });
  const path = (index: number, sealed: boolean, timeline = 1): string =>
    here.folder.segment({ timeline: timeline as Timeline, lsn: segment(index) }, sealed);

  it("ends with the last whole record, and what is torn behind it is requested again", async () => {
    fill(wal, 2);
    const end = wal.position;
    const torn = wal.add({ body: new Uint8Array(3_000).fill(1) });
    here.receive(wal, { to: (torn.lsn + 1_000n) as Lsn });
    expect(await scan({ mark: point(1, end) })).toEqual({ frontier: point(1, end), whole: point(1, end), holes: [] });
  });

  it("continues a record that goes over from a sealed segment, and votes its beginning", async () => {
    fill(wal, 1, 0);
    while (wal.position < segment(2) - 2_000n) wal.add({ body: new Uint8Array(900) });
    const before = wal.position;
    wal.add({ body: new Uint8Array(9_000).fill(3) });
    here.receive(wal, { to: (segment(2) + 3_000n) as Lsn });
    const found = await scan();
    expect(found.whole).toEqual(point(1, before));
    expect(found.frontier).toEqual(point(1, segment(2)));
    expect(found.damage).toBeUndefined();
  });

  it("ends with a sealed segment when the next one was never begun", async () => {
    fill(wal, 3);
    here.receive(wal, { to: segment(3) });
    expect((await scan()).frontier).toEqual(point(1, segment(3)));
  });

  it("calls an end before the mark damage, with its range (NO-HOLE)", async () => {
    fill(wal, 2);
    const end = wal.position;
    here.receive(wal, { to: (end - 5_000n) as Lsn });
    const { damage, frontier } = await scan({ mark: point(1, end) });
    expect(damage?.to).toEqual(point(1, end));
    expect(damage?.from.lsn).toBeLessThan(end);
    expect(frontier).toEqual(damage?.from);
  });

  it("calls a flipped bit damage up to the last byte behind it", async () => {
    fill(wal, 2, 60);
    here.receive(wal);
    const bytes = await readFile(path(2, false));
    bytes[20_000] = (bytes[20_000] ?? 0) ^ 1;
    await writeFile(path(2, false), bytes);
    const { damage, whole } = await scan();
    expect(damage?.from).toEqual(whole);
    expect(whole.lsn).toBeLessThanOrEqual(segment(2) + 20_000n);
    expect(damage?.to.lsn).toBeGreaterThan(segment(2) + 20_000n);
  });

  it("says a segment that is missing in the middle as a hole with its range, and goes on at the end", async () => {
    fill(wal, 5);
    here.receive(wal);
    rmSync(path(3, true));
    const { holes, frontier, damage } = await scan();
    expect(holes).toEqual([{ from: point(1, segment(3)), to: point(1, segment(4)) }]);
    expect(frontier).toEqual(point(1, wal.position));
    expect(damage).toBeUndefined();
  });

  it("does not call it a hole when the oldest segments were archived and removed", async () => {
    fill(wal, 4);
    here.receive(wal);
    rmSync(path(1, true));
    rmSync(path(2, true));
    expect(await scan()).toEqual({ frontier: point(1, wal.position), whole: point(1, wal.position), holes: [] });
  });

  it("ends with the older of two partial files: of the newer one nothing was acknowledged", async () => {
    fill(wal, 3);
    here.receive(wal);
    renameSync(path(2, true), path(2, false));
    const { frontier, damage, holes } = await scan();
    expect(frontier.lsn).toBeLessThanOrEqual(segment(3));
    expect(frontier.lsn).toBeGreaterThan(segment(2));
    expect([damage, holes]).toEqual([undefined, []]);
  });

  it("calls a sealed segment behind one that was never finished damage", async () => {
    fill(wal, 4);
    here.receive(wal);
    writeFileSync(path(2, false), Buffer.alloc(SMALL_SEGMENT_BYTES));
    rmSync(path(2, true));
    const { damage } = await scan();
    expect(damage?.to.lsn).toBeGreaterThanOrEqual(segment(4));
    expect(damage?.from.lsn).toBeLessThanOrEqual(segment(2));
  });

  it("calls it damage when all files are gone, and not when nothing was received", async () => {
    const from = point(1, wal.start);
    expect(await scan()).toEqual({ frontier: from, whole: from, holes: [] });
    expect((await scan({ mark: point(1, segment(2)) })).damage).toEqual({
      from,
      to: point(1, segment(2)),
      what: "all files of the timeline are missing",
    });
  });

  it("stands at the fork while a new timeline's file has not come beyond it", async () => {
    fill(wal, 2);
    const fork = wal.position;
    here.receive(wal);
    here.history(2, [{ timeline: 1, lsn: fork }]);
    expect((await scan({ timeline: 2 })).frontier).toEqual(point(1, fork));
    here.receive(wal, { timeline: 2, from: segment(2), to: (fork - 2_000n) as Lsn });
    expect(await scan({ timeline: 2, mark: point(1, fork) })).toEqual({ frontier: point(1, fork), whole: point(1, fork), holes: [] });
  });

  it("stands on the new timeline once a record of it is whole", async () => {
    fill(wal, 2);
    const fork = wal.position;
    here.receive(wal);
    here.history(2, [{ timeline: 1, lsn: fork }]);
    wal.timeline = 2 as Timeline;
    wal.add({ body: new Uint8Array(100) });
    here.receive(wal, { timeline: 2, from: segment(2) });
    expect((await scan({ timeline: 2 })).frontier).toEqual(point(2, wal.position));
  });

  it("calls it damage when a new timeline was received beyond the fork and its file is gone", async () => {
    fill(wal, 2);
    const fork = wal.position;
    here.receive(wal);
    here.history(2, [{ timeline: 1, lsn: fork }]);
    const { damage } = await scan({ timeline: 2, mark: point(2, fork + 5_000n) });
    expect(damage?.from).toEqual(point(1, fork));
    expect(damage?.to).toEqual(point(2, fork + 5_000n));
  });
});
