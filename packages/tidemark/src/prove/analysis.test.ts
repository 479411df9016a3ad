import { describe, expect, it } from "vitest";
import { copiesFigure, doomedIds, forgottenOrders, healedAt, lossFigure, putBackFigure, recoveryTime } from "./analysis.ts";
import { FAULTS } from "./faults/fault-catalogue.ts";
import type { Injected } from "./faults/fault.ts";
import type { LedgerEntry } from "./ledger/ledger-entry.ts";
import type { Marks } from "./report/figures.ts";
import { judge } from "./verdict/verdict.ts";
import type { TableRow } from "./verdict/table-row.ts";

const marks: Marks = { startMs: 0, faultBeganMs: 1_000, faultEndedMs: 1_002, healedMs: 2_000, endMs: 3_000 };
const injected = (more: Partial<Injected> = {}): Injected => ({
  beganAtMs: 1_000,
  endedAtMs: 1_002,
  done: [],
  isOver: () => Promise.resolve(true),
  ...more,
});
const acknowledged = (order: string, at: { partition?: number; sequence?: number; journal?: string; atMs?: number }): LedgerEntry => ({
  intent: { n: 0, purpose: "order", order, customer: "c", amountCents: 1, idempotencyKey: order, scheduledAtMs: 0 },
  answer: {
    n: 0,
    kind: "acknowledged",
    receipt: {
      id: `id-${order}`,
      frozenId: `id-${order}`,
      journal: at.journal ?? "j",
      partition: at.partition ?? 0,
      sequence: String(at.sequence ?? 1),
    },
    atMs: at.atMs ?? 0,
    latencyMs: 1,
    attempts: 1,
  },
});
const row = (order: string, committedAtMs: number): TableRow => ({
  order,
  customer: "c",
  amountCents: 1,
  frozenId: "f",
  rowId: 1,
  transaction: "t",
  committedAtMs,
});

describe("the analysis of a run", () => {
  it("knows the doomed: acknowledged in the lost journal, beyond its partition's position", () => {
    const ledger = [
      acknowledged("a", { partition: 0, sequence: 5 }),
      acknowledged("b", { partition: 0, sequence: 6 }),
      acknowledged("c", { partition: 1, sequence: 4 }),
      acknowledged("d", { partition: 1, sequence: 2 }),
      acknowledged("e", { journal: "new", sequence: 99 }),
    ];
    const positionsAtLoss = { journal: "j", base: 3n, byPartition: new Map([[0, 5n]]) };
    expect(doomedIds(ledger, injected({ positionsAtLoss }))).toEqual(new Set(["id-b", "id-c"]));
    expect(doomedIds(ledger, injected())).toBeUndefined();
  });

  it("says which copy had a commit: the standby, or else the vault when the new primary has it by the commit of the old one", () => {
    const ordersBefore = new Map([
      ["a", "1"],
      ["b", "2"],
      ["c", "2"],
      ["d", "3"],
    ]);
    const ordersOnStandby = new Map([["a", "1"]]);
    const rows = [row("a", 900), row("b", 950), row("c", 950), row("d", 1_500), row("e", 980)];
    expect(copiesFigure(rows, injected({ ordersBefore, ordersOnStandby }))).toMatchObject({
      committed: 4,
      onStandby: 1,
      fromVault: { orders: 2, commits: 1 },
    });
    expect(copiesFigure(rows, injected({ ordersBefore }))).toBeUndefined();
  });

  it("holds against PostgreSQL what it had to put back only where commits waited for copies (NO-LOSS-PROMOTE)", () => {
    const ordersBefore = new Map([
      ["a", "1"],
      ["b", "2"],
    ]);
    const rows = [row("a", 900), row("b", 1_400)];
    expect(forgottenOrders(FAULTS["lagging-standby"], rows, injected({ ordersBefore }))).toEqual(["b"]);
    expect(forgottenOrders(FAULTS["kill-primary"], rows, injected({ ordersBefore }))).toEqual(["b"]);
    expect(forgottenOrders(FAULTS["lagging-standby-no-vault"], rows, injected({ ordersBefore }))).toEqual([]);
    expect(forgottenOrders(FAULTS["kill-primary"], rows, injected())).toEqual([]);
  });

  it("counts as put back what the old primary had and the new one committed after the fault, and its transactions once", () => {
    const ordersBefore = new Map([
      ["a", "tx1"],
      ["b", "tx2"],
      ["c", "tx2"],
      ["d", "tx2"],
    ]);
    const rows = [row("a", 900), row("b", 1_500), row("c", 1_500), row("d", 1_002), row("new", 1_600)];
    expect(putBackFigure(rows, injected({ ordersBefore }))).toMatchObject({ orders: 2, commits: 1 });
  });

  it("calls it healed when the last order that had waited is committed", () => {
    const ledger = [acknowledged("a", { atMs: 1_100 }), acknowledged("b", { atMs: 1_900 }), acknowledged("c", { atMs: 2_500 })];
    const rows = [row("a", 1_800), row("b", 1_950), row("c", 2_510)];
    expect(healedAt(ledger, rows, { injected: injected(), overAtMs: 1_500 })).toBe(1_800);
    expect(healedAt(ledger, rows, { injected: injected(), overAtMs: 1_900 })).toBe(1_950);
    expect(healedAt(ledger, rows, { injected: injected(), overAtMs: undefined })).toBeUndefined();
    // Not before something was committed.
    expect(healedAt([], [row("z", 1_700)], { injected: injected(), overAtMs: 1_500 })).toBe(1_700);
    // Late again, after a time in which nothing waited: not the same trouble.
    expect(
      healedAt([...ledger, acknowledged("d", { atMs: 2_600 })], [...rows, row("d", 2_990)], {
        injected: injected(),
        overAtMs: 1_500,
      }),
    ).toBe(1_800);
    // One that began to wait before the others were through prolongs it.
    expect(
      healedAt([...ledger, acknowledged("e", { atMs: 1_400 })], [...rows, row("e", 2_100)], {
        injected: injected(),
        overAtMs: 1_500,
      }),
    ).toBe(2_100);
  });

  it("measures recovery as a first commit or as a pause, as the fault asks", () => {
    const rows = [row("a", 900), row("b", 1_700), row("c", 1_750), row("d", 2_900)];
    expect(recoveryTime(FAULTS["kill-primary"], rows, { marks, primaryAfter: "pg2" }).rto).toMatchObject({ ms: 700, targetMs: 5_000 });
    expect(recoveryTime(FAULTS["kill-applier"], rows, { marks, primaryAfter: "pg1" }).rto).toMatchObject({ ms: 1_150 });
    expect(recoveryTime(FAULTS.none, rows, { marks, primaryAfter: "pg1" }).rto.ms).toBeUndefined();
    expect(recoveryTime(FAULTS["kill-primary"], [], { marks, primaryAfter: "pg2" }).rto.ms).toBeUndefined();
  });

  it("shows no time for a loss that no time before the fault measures, and 0 for none", () => {
    const lost = judge({ ledger: [acknowledged("a", { atMs: 1_200 })], rows: [], totals: [], deadLetters: [], pending: new Set() });
    expect(lossFigure(lost, marks).ms).toBeUndefined();
    const none = judge({ ledger: [], rows: [], totals: [], deadLetters: [], pending: new Set() });
    expect(lossFigure(none, marks).ms).toBe(0);
  });
});
