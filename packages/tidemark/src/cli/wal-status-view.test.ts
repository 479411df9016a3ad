import { describe, expect, test } from "vitest";
import type { Epoch, Timeline } from "@tidemark/kernel/brands";
import { makePaint } from "./terminal.ts";
import type { VaultReport, VaultSays, WalReport } from "./wal-status-report.ts";
import { describeWalStatus } from "./wal-status-view.ts";
import { troublesOf } from "./wal-troubles.ts";
import { readTime } from "./wal-time-command.ts";

const AT = Date.parse("2026-03-01T12:00:00Z");
const one = 1 as Timeline;

const WELL: VaultSays = {
  state: "streaming",
  primary: { node: "pg1", epoch: 3 as Epoch },
  recoveryPoint: {
    timeline: one,
    flushedLsn: "0/5A3C1E0",
    lastWholeRecordLsn: "0/5A3C1D8",
    commit: { lsn: "0/5A3C100", atMs: AT - 400, xid: 770 },
    commits: 12_345,
  },
  serverEndLsn: "0/5A3C1E0",
  lagBytes: 0,
  silentMs: 120,
  slot: { walStatus: "reserved", active: true },
  gaps: [],
  faults: [],
  disk: { freeBytes: 5_000_000_000, walBytes: 50_000_000, divergedBytes: 0 },
  archive: {
    stores: [
      {
        name: "main",
        state: "current",
        recoveryPoint: { timeline: 1, from: "0/1000000", lsn: "0/5A3C1D8", commitTimeMs: AT - 2_000 },
        lagBytes: "0",
        lagSeconds: 0,
        lagIsLowerBound: false,
        objects: 5,
        unverified: 0,
        storedBytes: 5_000_000,
      },
    ],
    holes: [],
    gaps: [],
    faults: [],
    local: { segments: 4, bytes: "67108864", digested: 4, checked: 2 },
  },
};

function report(status: VaultSays | undefined, more: Partial<VaultReport> = {}): WalReport {
  const vault: VaultReport = {
    vault: "vault1",
    address: "127.0.0.1:7431",
    stores: [],
    ...(status === undefined ? {} : { status }),
    ...more,
  };
  return { formatVersion: 1, at: new Date(AT).toISOString(), store: "orders", vaults: [vault], troubles: troublesOf(vault) };
}

const shown = (what: WalReport, columns = 60): string => describeWalStatus(what, { columns, paint: makePaint(false) }).join("\n");

describe("a vault that is well", () => {
  test("is shown with its recovery point, its commit's time and the lag of each store", () => {
    expect(shown(report(WELL))).toMatchInlineSnapshot(`
      "WAL of orders 2026-03-01 12:00:00 UTC

      vault vault1 127.0.0.1:7431
        state     streaming from pg1, epoch 3
        restores  to 0/5A3C1D8 on timeline 1; last commit
                  2026-03-01 11:59:59 UTC, 400 ms ago;
                  12,345 commits read
        received  0/5A3C1E0 is durable; nothing behind the server;
                  server heard 120 ms ago
        slot      reserved
        disk      47.7 MiB of WAL, 4.66 GiB free
        checked   4 sealed segments here, 2 read again since the
                  start
      store main
        state       current
        restores to 0/5A3C1D8 on timeline 1, commit 2.00 s ago
        behind      0 B, 0 ms
        objects     5 in 4.77 MiB

      ✓ nothing is missing, damaged or held up"
    `);
  });

  test("is shown with the evidence that it keeps, which is no trouble by itself", () => {
    const folders = ["20260301T115900.000Z-damaged", "20260301T115901.000Z-diverged"].map((name) => ({ name, bytes: 16_777_216 }));
    const kept = report({
      ...WELL,
      disk: { freeBytes: 5e9, walBytes: 5e7, divergedBytes: 83_886_080 },
      evidence: { count: 5, folders },
    });
    expect(kept.troubles).toEqual([]);
    expect(shown(kept, 200)).toContain(
      "  evidence  5 in the vault's diverged/, 80 MiB, kept until somebody removes them: 20260301T115900.000Z-damaged (16 MiB), 20260301T115901.000Z-diverged (16 MiB), and 3 more",
    );
    expect(shown(report({ ...WELL, evidence: { count: 0, folders: [] } }))).not.toContain("evidence");
  });

  test("has no trouble", () => {
    expect(report(WELL).troubles).toEqual([]);
  });
});

describe("trouble", () => {
  const troubles = (change: Partial<VaultSays>): readonly string[] => report({ ...WELL, ...change }).troubles;

  test("is told with its code and its range", () => {
    const range = { from: { timeline: one, lsn: "0/2000000" }, to: { timeline: one, lsn: "0/3000000" } };
    const fault = { code: "TM-VAULT-DAMAGED", part: "local", what: "segment 02: it changed", range, sinceMs: AT, hint: "" };
    expect(troubles({ faults: [fault] })).toEqual([
      "vault vault1: TM-VAULT-DAMAGED (local, timeline 1 from 0/2000000 to 0/3000000): segment 02: it changed",
    ]);
  });

  test("is a store that is held up, a vault that does not stream, and a backup that is wanted", () => {
    const main = WELL.archive?.stores?.[0];
    if (main === undefined) throw new Error("the example has a store");
    const held = { ...main, state: "held" as const, lastError: { code: "TM-OBJECT-STORE-AWAY", message: "no route", atMs: AT } };
    expect(troubles({ archive: { stores: [held] } })).toEqual(["vault vault1: store main is held: no route (TM-OBJECT-STORE-AWAY)"]);
    expect(troubles({ state: "waiting", detail: "no primary is known" })).toEqual(["vault vault1: it is waiting: no primary is known"]);
    expect(troubles({ baseBackupWanted: { from: { timeline: one, lsn: "0/9000000" }, why: "", sinceMs: AT } })).toEqual([
      "vault vault1: a new base backup is needed: none from before 0/9000000 can be brought forward to now",
    ]);
  });

  test("is a store of which it is not known what it could restore to", () => {
    const { recoveryPoint: _unknown, ...main } = WELL.archive?.stores?.[0] ?? ({} as never);
    expect(troubles({ archive: { stores: [{ ...main, state: "reading" }] } })).toEqual([
      "vault vault1: store main: what it could restore to is not known yet",
    ]);
  });

  test("is what is not known: an answer without its parts never looks well (HONEST-NUMBER)", () => {
    const empty = report({});
    expect(empty.troubles.length).toBeGreaterThan(0);
    expect(shown(empty)).not.toContain("✓");
    expect(shown(empty)).toContain("unknown");
  });

  test("of a vault that does not answer: what its stores have is told, and that the vault may have more", () => {
    const away = report(undefined, {
      why: "connect ECONNREFUSED 127.0.0.1:7431",
      stores: [
        { store: "far", known: false, why: "asked in vain", code: "TM-OBJECT-STORE-AWAY" },
        {
          store: "main",
          known: true,
          systems: [
            {
              systemIdentifier: "7",
              recoveryPoint: { timeline: 1, from: "0/1000000", lsn: "0/5000100", commitTimeMs: AT - 60_000 },
              newestAtMs: AT - 30_000,
              objects: 5,
              storedBytes: 1_000,
              holes: [{ where: "main", kind: "wal", timeline: 1, start: "0/2000000", end: "0/3000000", recordedGap: false }],
              faults: [],
            },
          ],
        },
      ],
    });
    expect(shown(away)).toMatchInlineSnapshot(`
      "WAL of orders 2026-03-01 12:00:00 UTC

      vault vault1 127.0.0.1:7431
        state     does not answer: connect ECONNREFUSED
                  127.0.0.1:7431
        restores  unknown: what only the vault has cannot be seen
                  from here
      Looked into its object stores from here:
        far       cannot be read: asked in vain
        main      restores to 0/5000100 on timeline 1, commit 1 m
                  0 s ago; 5 objects; newest object
                  30.0 s ago

      ✗ vault vault1: does not answer: connect ECONNREFUSED
        127.0.0.1:7431
      ✗ vault vault1: store far cannot be read: asked in vain
        (TM-OBJECT-STORE-AWAY)
      ✗ vault vault1: hole in main: timeline 1 from 0/2000000 to
        0/3000000 is missing"
    `);
  });
});

test("no line is longer than a narrow terminal is wide", () => {
  const range = { from: { timeline: one, lsn: "0/2000000" }, to: { timeline: one, lsn: "0/3000000" } };
  const what = "the segment has other bytes than it had when it was sealed, and no store has it whole";
  const faults = [{ code: "TM-VAULT-DAMAGED", part: "local", what, range, sinceMs: AT, hint: "" }];
  for (const columns of [60, 80, 120])
    for (const text of [shown(report({ ...WELL, faults }), columns), shown(report({}), columns)])
      for (const each of text.split("\n")) expect(each.length).toBeLessThanOrEqual(columns);
});

test("a time without a zone is UTC", () => {
  const ms = Date.parse("2026-03-01T12:00:00Z");
  for (const text of ["2026-03-01T12:00:00Z", "2026-03-01T12:00:00", "2026-03-01 12:00:00", "2026-03-01 13:00:00+01:00"])
    expect(readTime(text)).toBe(ms);
  expect(readTime("2026-03-01")).toBe(Date.parse("2026-03-01T00:00:00Z"));
  expect(() => readTime("yesterday")).toThrow(expect.objectContaining({ code: "TM-VAULT-TIME" }) as Error);
});
