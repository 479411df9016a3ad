import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Answer, Intent, LedgerEntry } from "../ledger/ledger-entry.ts";
import type { CustomerTotal, DeadLetter, TableRow } from "./table-row.ts";
import { judge, type VerdictCounts, type VerdictInput } from "./verdict.ts";

/** What became of one order in a world where everything is as it should be. */
type Fate = "applied" | "repeated" | "rejected" | "invalid" | "turned-away" | "unanswered-found" | "unanswered-absent" | "conflicted";
const FATES: readonly Fate[] = [
  "applied",
  "repeated",
  "rejected",
  "invalid",
  "turned-away",
  "unanswered-found",
  "unanswered-absent",
  "conflicted",
];

interface World {
  ledger: LedgerEntry[];
  rows: TableRow[];
  totals: CustomerTotal[];
  deadLetters: DeadLetter[];
  pending: Set<string>;
}

const at = 1_700_000_000_000;

function intent(n: number, order: number, purpose: Intent["purpose"], amountCents = 500 + order): Intent {
  return {
    n,
    purpose,
    order: `order-${order}`,
    customer: `customer-${order % 3}`,
    amountCents,
    idempotencyKey: `key-${order}`,
    scheduledAtMs: at + n,
  };
}
function acknowledged(n: number, order: number): Answer {
  return {
    n,
    kind: "acknowledged",
    receipt: { id: `id-${order}`, frozenId: `frozen-${order}`, journal: "j", partition: order % 2, sequence: String(order + 1) },
    atMs: at + n + 2,
    latencyMs: 2,
    attempts: 1,
  };
}
function refused(n: number, status: number): Answer {
  return { n, kind: "refused", status, code: "TM-X", atMs: at + n, latencyMs: 1, attempts: 1 };
}
function row(order: number, rowId: number): TableRow {
  return {
    order: `order-${order}`,
    customer: `customer-${order % 3}`,
    amountCents: 500 + order,
    frozenId: `frozen-${order}`,
    rowId,
    transaction: String(rowId),
    committedAtMs: at + order,
  };
}

/** A world in which each order met its fate and nothing is wrong. */
function worldOf(fates: readonly Fate[]): World {
  const world: World = { ledger: [], rows: [], totals: [], deadLetters: [], pending: new Set() };
  let n = 0;
  for (const [order, fate] of fates.entries()) {
    const purpose = fate === "rejected" ? "breaks-constraint" : fate === "invalid" ? "invalid" : "order";
    const first = intent(n, order, purpose);
    const unanswered = fate.startsWith("unanswered");
    const answer: Answer = unanswered
      ? { n, kind: "unanswered", reason: "ECONNRESET", atMs: at + n, attempts: 3 }
      : fate === "invalid"
        ? refused(n, 400)
        : fate === "turned-away"
          ? refused(n, 503)
          : acknowledged(n, order);
    world.ledger.push({ intent: first, answer });
    n++;
    if (fate === "repeated") world.ledger.push({ intent: intent(n, order, "repeat"), answer: acknowledged(n++, order) });
    if (fate === "conflicted") world.ledger.push({ intent: intent(n, order, "conflict", 1), answer: refused(n++, 409) });
    if (fate === "rejected") world.deadLetters.push({ frozenId: `frozen-${order}`, reason: "orders_amount_check" });
    if (fate === "applied" || fate === "repeated" || fate === "conflicted" || fate === "unanswered-found")
      world.rows.push(row(order, world.rows.length + 1));
  }
  return withTotals(world);
}

function withTotals(world: World): World {
  const sums = new Map<string, CustomerTotal>();
  for (const { customer, amountCents } of world.rows) {
    const sum = sums.get(customer) ?? { customer, orders: 0, totalCents: 0 };
    sums.set(customer, { customer, orders: sum.orders + 1, totalCents: sum.totalCents + amountCents });
  }
  return { ...world, totals: [...sums.values()] };
}

const fates = fc.array(fc.constantFrom(...FATES), { minLength: 1, maxLength: 40 });
const count = (list: readonly Fate[], ...of: Fate[]): number => list.filter((fate) => of.includes(fate)).length;

/** Judges the good world of `list`, then the one that `spoil` made of it, and gives both counts. */
function spoiled(list: readonly Fate[], spoil: (world: World) => World): { before: VerdictCounts; after: VerdictCounts; outcome: string } {
  const after = judge(spoil(worldOf(list)));
  return { before: judge(worldOf(list)).counts, after: after.counts, outcome: after.outcome };
}

/** A property over worlds that hold at least one order of `fate`, with that order's number. */
function withOne(fate: Fate, check: (list: readonly Fate[], order: number) => void): void {
  fc.assert(
    fc.property(fates, fc.nat(), (list, place) => {
      const order = place % (list.length + 1);
      check([...list.slice(0, order), fate, ...list.slice(order)], order);
    }),
  );
}

describe("a verdict", () => {
  it("is proven, with exact counts, when every order met a fitting fate", () => {
    fc.assert(
      fc.property(fates, (list) => {
        const { outcome, counts } = judge(worldOf(list));
        expect(outcome).toBe("proven");
        expect(counts).toMatchObject({
          acknowledged: count(list, "applied", "repeated", "rejected", "conflicted"),
          found: count(list, "applied", "repeated", "conflicted"),
          rejected: count(list, "rejected"),
          refused: count(list, "invalid", "turned-away", "conflicted"),
          refusedOnPurpose: count(list, "invalid", "conflicted"),
          indeterminate: count(list, "unanswered-found", "unanswered-absent"),
          indeterminateFound: count(list, "unanswered-found"),
          receiptsRepeated: count(list, "repeated"),
          lost: 0,
          duplicated: 0,
          resurrected: 0,
          altered: 0,
          unexplained: 0,
          outOfOrder: 0,
          totalsOff: 0,
          receiptsChanged: 0,
          acceptedWrongly: 0,
          rejectedWrongly: 0,
        });
      }),
    );
  });

  it("counts as lost an acknowledged order that is not there, and says since when", () => {
    withOne("applied", (list, order) => {
      const world = worldOf(list);
      const verdict = judge(withTotals({ ...world, rows: world.rows.filter((one) => one.order !== `order-${order}`) }));
      expect(verdict.counts.lost).toBe(1);
      expect(verdict.outcome).toBe("failed");
      expect(verdict.named.lost?.[0]).toMatchObject({ order: `order-${order}`, sequence: String(order + 1) });
      expect(verdict.oldestLostAtMs).toBe(verdict.named.lost?.[0]?.acknowledgedAtMs);
    });
  });

  it("counts as lost a rejected order that no dead letter confirms", () => {
    withOne("rejected", (list, order) => {
      const { before, after, outcome } = spoiled(list, (world) => ({
        ...world,
        deadLetters: world.deadLetters.filter(({ frozenId }) => frozenId !== `frozen-${order}`),
      }));
      expect([after.lost, after.rejected, outcome]).toEqual([1, before.rejected - 1, "failed"]);
    });
  });

  it("counts each row too many as duplicated", () => {
    fc.assert(
      fc.property(fates, fc.integer({ min: 1, max: 4 }), (list, extra) => {
        const all: Fate[] = [...list, "applied"];
        const { after, outcome } = spoiled(all, (world) =>
          withTotals({ ...world, rows: [...world.rows, ...Array.from({ length: extra }, (_, i) => row(list.length, 1_000 + i))] }),
        );
        expect([after.duplicated, outcome]).toEqual([extra, "failed"]);
      }),
    );
  });

  it("counts a duplicate also of an order that was never answered", () => {
    withOne("unanswered-found", (list, order) => {
      const { after, outcome } = spoiled(list, (world) => withTotals({ ...world, rows: [...world.rows, row(order, 999)] }));
      expect([after.duplicated, outcome]).toEqual([1, "failed"]);
    });
  });

  it("counts as resurrected an order that was refused and is there", () => {
    for (const fate of ["invalid", "turned-away"] as const) {
      withOne(fate, (list, order) => {
        const { after, outcome } = spoiled(list, (world) => withTotals({ ...world, rows: [...world.rows, row(order, 999)] }));
        expect([after.resurrected, after.unexplained, outcome]).toEqual([1, 0, "failed"]);
      });
    }
  });

  it("counts as resurrected an order that was said to be rejected and is there", () => {
    withOne("applied", (list, order) => {
      const { after, outcome } = spoiled(list, (world) => ({
        ...world,
        deadLetters: [...world.deadLetters, { frozenId: `frozen-${order}`, reason: "x" }],
      }));
      expect([after.resurrected, outcome]).toEqual([1, "failed"]);
    });
  });

  it("calls an order never answered indeterminate, found or not, and never resurrected", () => {
    withOne("unanswered-absent", (list, order) => {
      const { before, after, outcome } = spoiled(list, (world) => withTotals({ ...world, rows: [...world.rows, row(order, 999)] }));
      expect([after.resurrected, after.indeterminateFound, outcome]).toEqual([0, before.indeterminateFound + 1, "proven"]);
    });
  });

  it("calls an order indeterminate whose answer the ledger lacks", () => {
    withOne("applied", (list, order) => {
      const { before, after } = spoiled(list, (world) => ({
        ...world,
        ledger: world.ledger.map((entry) => (entry.intent.order === `order-${order}` ? { intent: entry.intent } : entry)),
      }));
      expect([after.indeterminate, after.acknowledged, after.lost]).toEqual([before.indeterminate + 1, before.acknowledged - 1, 0]);
    });
  });

  it("counts as altered an order that is there with other content or another id", () => {
    const changes: ((one: TableRow) => TableRow)[] = [
      (one) => ({ ...one, amountCents: one.amountCents + 1 }),
      (one) => ({ ...one, customer: "customer-x" }),
      (one) => ({ ...one, frozenId: "frozen-x" }),
    ];
    for (const change of changes) {
      withOne("applied", (list, order) => {
        const { before, after, outcome } = spoiled(list, (world) =>
          withTotals({ ...world, rows: world.rows.map((one) => (one.order === `order-${order}` ? change(one) : one)) }),
        );
        expect([after.altered, after.found, outcome]).toEqual([1, before.found - 1, "failed"]);
      });
    }
  });

  it("fails on a commit that waited for its copies and that PostgreSQL had not any more, though the journal put it back", () => {
    fc.assert(
      fc.property(fates, (list) => {
        const world = worldOf(list);
        const verdict = judge({ ...withTotals(world), forgotten: ["order-1", "order-2"] });
        expect([verdict.counts.forgotten, verdict.counts.lost, verdict.outcome]).toEqual([2, 0, "failed"]);
        expect(judge({ ...withTotals(world), forgotten: [] }).outcome).toBe("proven");
      }),
    );
  });

  it("fails on a gap in the vault, and proves nothing while the vault is behind", () => {
    const world = withTotals(worldOf(["applied"]));
    const of = (caughtUp: boolean, gaps: string[]): string => judge({ ...world, vault: { caughtUp, gaps } }).outcome;
    expect([of(true, []), of(false, []), of(true, ["0/1 to 0/2"])]).toEqual(["proven", "unproven", "failed"]);
  });

  it("counts a row that no write explains", () => {
    fc.assert(
      fc.property(fates, (list) => {
        const { after, outcome } = spoiled(list, (world) => withTotals({ ...world, rows: [...world.rows, row(9_999, 999)] }));
        expect([after.unexplained, outcome]).toEqual([1, "failed"]);
      }),
    );
  });

  it("counts a good order among the dead letters as wrongly rejected", () => {
    withOne("applied", (list, order) => {
      const { after, outcome } = spoiled(list, (world) =>
        withTotals({
          ...world,
          rows: world.rows.filter((one) => one.order !== `order-${order}`),
          deadLetters: [...world.deadLetters, { frozenId: `frozen-${order}`, reason: "foreign key" }],
        }),
      );
      expect([after.rejectedWrongly, after.lost, outcome]).toEqual([1, 0, "failed"]);
    });
  });

  it("counts a repeat that got another receipt", () => {
    withOne("repeated", (list, order) => {
      const { after, outcome } = spoiled(list, (world) => ({
        ...world,
        ledger: world.ledger.map((entry) =>
          entry.intent.purpose === "repeat" && entry.intent.order === `order-${order}` && entry.answer?.kind === "acknowledged"
            ? { ...entry, answer: { ...entry.answer, receipt: { ...entry.answer.receipt, sequence: "9999" } } }
            : entry,
        ),
      }));
      expect([after.receiptsChanged, outcome]).toEqual([1, "failed"]);
    });
  });

  it("counts other content under a used key that was acknowledged", () => {
    withOne("conflicted", (list, order) => {
      const { after, outcome } = spoiled(list, (world) => ({
        ...world,
        ledger: world.ledger.map((entry) =>
          entry.intent.purpose === "conflict" && entry.intent.order === `order-${order}`
            ? { ...entry, answer: acknowledged(entry.intent.n, order) }
            : entry,
        ),
      }));
      expect([after.acceptedWrongly, outcome]).toEqual([1, "failed"]);
    });
  });

  it("counts rows of one customer that stand in another order than they were accepted", () => {
    fc.assert(
      fc.property(fates, (list) => {
        // Orders n and n + 3 are of the same customer.
        const all: Fate[] = [...list, "applied", "applied", "applied", "applied"];
        const first = list.length;
        const { after, outcome } = spoiled(all, (world) => ({
          ...world,
          rows: world.rows.map((one) => (one.order === `order-${first}` ? { ...one, rowId: 10_000 } : one)),
        }));
        expect([after.outOfOrder, outcome]).toEqual([1, "failed"]);
      }),
    );
  });

  it("finds a sum that does not fit the rows", () => {
    withOne("applied", (list) => {
      const { after, outcome } = spoiled(list, (world) => ({
        ...world,
        totals: world.totals.map((total, index) => (index === 0 ? { ...total, totalCents: total.totalCents + 1 } : total)),
      }));
      expect([after.totalsOff, outcome]).toEqual([1, "failed"]);
    });
  });

  it("is unproven, not failed, while an acknowledged order waits in the journal", () => {
    withOne("applied", (list, order) => {
      const { after, outcome } = spoiled(list, (world) =>
        withTotals({ ...world, rows: world.rows.filter((one) => one.order !== `order-${order}`), pending: new Set([`frozen-${order}`]) }),
      );
      expect([after.pending, after.lost, outcome]).toEqual([1, 0, "unproven"]);
    });
  });

  it("states a loss that was known to be doomed and fails on any other", () => {
    withOne("applied", (list, order) => {
      const world = worldOf(list);
      const input: VerdictInput = withTotals({ ...world, rows: world.rows.filter((one) => one.order !== `order-${order}`) });
      expect(judge({ ...input, doomed: new Set([`frozen-${order}`]) })).toMatchObject({ outcome: "loss-stated", counts: { lost: 1 } });
      expect(judge({ ...input, doomed: new Set(["id-other"]) }).outcome).toBe("failed");
    });
  });
});
