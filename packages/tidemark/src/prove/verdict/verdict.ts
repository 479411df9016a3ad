import type { LedgerEntry } from "../ledger/ledger-entry.ts";
import type { CustomerTotal, DeadLetter, TableRow } from "./table-row.ts";

/** How many writes of one kind a verdict names; the counts are always whole. */
export const MOST_NAMED = 20;

export interface VerdictInput {
  readonly ledger: readonly LedgerEntry[];
  readonly rows: readonly TableRow[];
  readonly totals: readonly CustomerTotal[];
  readonly deadLetters: readonly DeadLetter[];
  /** Frozen ids of acknowledged writes that the gateway says are journalled and not applied yet: not lost, and not proven either. */
  readonly pending: ReadonlySet<string>;
  /**
   * Frozen ids of the acknowledged writes that the fault is known to destroy, measured before it (lose-journal): their loss is
   * stated, any other is a failure. Absent where nothing may be lost.
   */
  readonly doomed?: ReadonlySet<string>;
  /** Orders whose commit PostgreSQL had waited for, that it did not have after the failover, and that the journal put back. */
  readonly forgotten?: readonly string[];
  /** What became of the vault, where there is one. */
  readonly vault?: { readonly caughtUp: boolean; readonly gaps: readonly string[] };
}

/** The counts of a verdict, in distinct orders unless said otherwise. The first block are the words of the glossary. */
export interface VerdictCounts {
  readonly acknowledged: number;
  /** Acknowledged and there, once, with the content that was sent. */
  readonly found: number;
  /** Acknowledged and not there, nor a dead letter. */
  readonly lost: number;
  /** Rows too many: an order there n times counts n − 1. */
  readonly duplicated: number;
  /** Refused, or rejected after acceptance, and yet there. */
  readonly resurrected: number;
  /** Never answered; the next two say what became of them. */
  readonly indeterminate: number;
  readonly indeterminateFound: number;
  readonly indeterminateAbsent: number;
  /** Accepted, then refused by the database for good; each confirmed as a dead letter with its reason. */
  readonly rejected: number;
  /** Writes answered with an error before acceptance. */
  readonly refused: number;
  /** Of those, writes that were sent to be refused: invalid, or other content under a used key. */
  readonly refusedOnPurpose: number;

  /** Acknowledged and there once, with other content. */
  readonly altered: number;
  /** Acknowledged, journalled, not applied when the wait ended. */
  readonly pending: number;
  /** Rows that no write of the ledger explains. */
  readonly unexplained: number;
  /** Good orders among the rejected. */
  readonly rejectedWrongly: number;
  /** Rows of one customer that stand before one accepted earlier. */
  readonly outOfOrder: number;
  /** Repeats answered with another receipt than the original's. */
  readonly receiptsChanged: number;
  /** Repeats answered with the original's receipt. */
  readonly receiptsRepeated: number;
  /** Invalid writes, or other content under a used key, that were acknowledged. */
  readonly acceptedWrongly: number;
  /** Customers whose count or sum does not fit their rows. */
  readonly totalsOff: number;
  /** Committed with the copies that were demanded, and gone from PostgreSQL after the failover: NO-LOSS-PROMOTE was broken, though the journal put them back. */
  readonly forgotten: number;
  /** Stretches of WAL that the vault misses. */
  readonly vaultGaps: number;
  /** Scheduled and never sent, because too many were in flight. */
  readonly unsent: number;
}

/** `proven`: everything fits. `loss-stated`: lost what was known to be doomed, nothing else. `unproven`: not everything was applied in time. */
export type Outcome = "proven" | "loss-stated" | "unproven" | "failed";

export interface NamedWrite {
  readonly order: string;
  readonly sequence?: string;
  readonly acknowledgedAtMs?: number;
  readonly note: string;
}

export interface Verdict {
  readonly outcome: Outcome;
  readonly counts: VerdictCounts;
  /** Reasons of the rejections, most frequent first. */
  readonly rejections: readonly { readonly reason: string; readonly count: number }[];
  /** Every write that does not fit, up to {@link MOST_NAMED} of a kind. */
  readonly named: Readonly<Partial<Record<keyof VerdictCounts, readonly NamedWrite[]>>>;
  /** When the oldest lost write was acknowledged. */
  readonly oldestLostAtMs?: number;
}

/** Counts that must be 0 in every proof. `lost` is judged apart. */
const FAILURES = [
  "duplicated",
  "resurrected",
  "altered",
  "unexplained",
  "rejectedWrongly",
  "outOfOrder",
  "receiptsChanged",
  "acceptedWrongly",
  "totalsOff",
  "forgotten",
  "vaultGaps",
] as const;

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

/** Compares the ledger with the table, write by write. Pure: the same input gives the same verdict. */
export function judge(input: VerdictInput): Verdict {
  return new Judgement(input).run();
}

class Judgement {
  readonly #input: VerdictInput;
  readonly #counts: Mutable<VerdictCounts> = {
    acknowledged: 0,
    found: 0,
    lost: 0,
    duplicated: 0,
    resurrected: 0,
    indeterminate: 0,
    indeterminateFound: 0,
    indeterminateAbsent: 0,
    rejected: 0,
    refused: 0,
    refusedOnPurpose: 0,
    altered: 0,
    pending: 0,
    unexplained: 0,
    rejectedWrongly: 0,
    outOfOrder: 0,
    receiptsChanged: 0,
    receiptsRepeated: 0,
    acceptedWrongly: 0,
    totalsOff: 0,
    forgotten: 0,
    vaultGaps: 0,
    unsent: 0,
  };
  readonly #named: Partial<Record<keyof VerdictCounts, NamedWrite[]>> = {};
  readonly #reasons = new Map<string, number>();
  readonly #rows = new Map<string, TableRow[]>();
  readonly #deadLetters: ReadonlyMap<string, DeadLetter>;
  readonly #sequences = new Map<string, { journal: string; sequence: bigint }>();
  #lostBeyondDoomed = 0;
  #oldestLostAtMs: number | undefined;

  constructor(input: VerdictInput) {
    this.#input = input;
    for (const row of input.rows) {
      const rows = this.#rows.get(row.order);
      if (rows === undefined) this.#rows.set(row.order, [row]);
      else rows.push(row);
    }
    this.#deadLetters = new Map(input.deadLetters.map((letter) => [letter.frozenId, letter]));
  }

  run(): Verdict {
    const groups = Map.groupBy(this.#input.ledger, (entry) => entry.intent.order);
    for (const [order, entries] of groups) this.#judgeOrder(order, entries);
    for (const [order, rows] of this.#rows) {
      if (!groups.has(order))
        for (const row of rows) this.#name("unexplained", { order, note: `row ${row.rowId}: no write of the ledger has this number` });
    }
    this.#judgeOrderOfKeys();
    this.#judgeTotals();
    for (const order of this.#input.forgotten ?? [])
      this.#name("forgotten", { order, note: "committed with the demanded copies, not there after the failover, put back by the journal" });
    for (const gap of this.#input.vault?.gaps ?? []) this.#name("vaultGaps", { order: "–", note: `the vault misses WAL: ${gap}` });
    return {
      outcome: this.#outcome(),
      counts: this.#counts,
      rejections: [...this.#reasons].map(([reason, count]) => ({ reason, count })).sort((a, b) => b.count - a.count),
      named: this.#named,
      ...(this.#oldestLostAtMs === undefined ? {} : { oldestLostAtMs: this.#oldestLostAtMs }),
    };
  }

  #judgeOrder(order: string, entries: readonly LedgerEntry[]): void {
    this.#countAnswers(entries);
    const rows = this.#rows.get(order) ?? [];
    if (rows.length > 1) this.#name("duplicated", { order, note: `there ${rows.length} times` }, rows.length - 1);
    const accepted = entries.flatMap(({ intent, answer }) =>
      answer?.kind === "acknowledged" && intent.purpose !== "conflict" ? [{ intent, answer }] : [],
    );
    const first = accepted[0];
    if (first !== undefined) {
      this.#judgeReceipts(order, accepted);
      this.#judgeAcknowledged(first, rows);
    } else if (
      entries.some(({ answer, intent }) => intent.purpose !== "conflict" && (answer === undefined || answer.kind === "unanswered"))
    ) {
      this.#counts.indeterminate++;
      this.#counts[rows.length > 0 ? "indeterminateFound" : "indeterminateAbsent"]++;
    } else if (rows.length > 0) {
      const refused = entries.some(({ answer }) => answer?.kind === "refused");
      this.#name(refused ? "resurrected" : "unexplained", { order, note: refused ? "refused, and there" : "never sent, and there" });
    }
  }

  /** What is counted by write, not by order. */
  #countAnswers(entries: readonly LedgerEntry[]): void {
    for (const { intent, answer } of entries) {
      const meantToBeRefused = intent.purpose === "invalid" || intent.purpose === "conflict";
      if (answer?.kind === "refused") {
        this.#counts.refused++;
        if (meantToBeRefused) this.#counts.refusedOnPurpose++;
      } else if (answer?.kind === "unsent") this.#counts.unsent++;
      else if (answer?.kind === "acknowledged" && meantToBeRefused) {
        this.#name("acceptedWrongly", {
          order: intent.order,
          sequence: answer.receipt.sequence,
          note: intent.purpose === "invalid" ? "breaks the schema and was acknowledged" : "other content under a used key was acknowledged",
        });
      }
    }
  }

  #judgeReceipts(order: string, accepted: readonly Acknowledged[]): void {
    const [first, ...others] = accepted;
    for (const { answer } of others) {
      const same =
        first !== undefined &&
        answer.receipt.id === first.answer.receipt.id &&
        answer.receipt.journal === first.answer.receipt.journal &&
        answer.receipt.sequence === first.answer.receipt.sequence;
      if (same) this.#counts.receiptsRepeated++;
      else
        this.#name("receiptsChanged", {
          order,
          sequence: answer.receipt.sequence,
          note: `the original's receipt is ${first?.answer.receipt.id ?? "missing"}, the repeat's ${answer.receipt.id}`,
        });
    }
  }

  #judgeAcknowledged({ intent, answer }: Acknowledged, rows: readonly TableRow[]): void {
    const { receipt } = answer;
    const facts = { order: intent.order, sequence: receipt.sequence, acknowledgedAtMs: answer.atMs };
    this.#counts.acknowledged++;
    this.#sequences.set(intent.order, { journal: receipt.journal, sequence: BigInt(receipt.sequence) });
    const letter = this.#deadLetters.get(receipt.frozenId);
    const row = rows[0];
    if (row !== undefined) {
      if (letter !== undefined) this.#name("resurrected", { ...facts, note: `rejected (${letter.reason}), and there` });
      if (row.customer === intent.customer && row.amountCents === intent.amountCents && row.frozenId === receipt.frozenId)
        this.#counts.found++;
      else
        this.#name("altered", {
          ...facts,
          note: `sent ${intent.customer} ${intent.amountCents} (${receipt.frozenId}), there ${row.customer} ${row.amountCents} (${row.frozenId})`,
        });
    } else if (letter !== undefined) {
      this.#counts.rejected++;
      this.#reasons.set(letter.reason, (this.#reasons.get(letter.reason) ?? 0) + 1);
      if (intent.purpose !== "breaks-constraint") this.#name("rejectedWrongly", { ...facts, note: letter.reason });
    } else if (this.#input.pending.has(receipt.frozenId)) {
      this.#name("pending", { ...facts, note: "journalled and not applied when the wait ended" });
    } else {
      const doomed = this.#input.doomed?.has(receipt.frozenId) === true;
      if (!doomed) this.#lostBeyondDoomed++;
      this.#oldestLostAtMs = Math.min(this.#oldestLostAtMs ?? answer.atMs, answer.atMs);
      this.#name("lost", { ...facts, note: doomed ? "known to be lost with the fault" : "acknowledged and not there" });
    }
  }

  /** The order of a key: rows of one customer stand in the order of their sequences, within one journal. */
  #judgeOrderOfKeys(): void {
    const last = new Map<string, bigint>();
    for (const row of this.#input.rows.toSorted((a, b) => a.rowId - b.rowId)) {
      const place = this.#sequences.get(row.order);
      if (place === undefined) continue;
      const key = `${place.journal} ${row.customer}`;
      const before = last.get(key) ?? 0n;
      if (place.sequence < before)
        this.#name("outOfOrder", {
          order: row.order,
          sequence: String(place.sequence),
          note: `stands after sequence ${before} of ${row.customer}`,
        });
      else last.set(key, place.sequence);
    }
  }

  /** The sums that the statements keep beside the rows: a write applied twice changes them even where its row stands once. */
  #judgeTotals(): void {
    const sums = new Map<string, { orders: number; totalCents: number }>();
    for (const row of this.#input.rows) {
      const sum = sums.get(row.customer) ?? { orders: 0, totalCents: 0 };
      sums.set(row.customer, { orders: sum.orders + 1, totalCents: sum.totalCents + row.amountCents });
    }
    const kept = new Map(this.#input.totals.map((total) => [total.customer, total]));
    for (const customer of new Set([...sums.keys(), ...kept.keys()])) {
      const [sum, total] = [sums.get(customer), kept.get(customer)];
      if (sum?.orders === total?.orders && sum?.totalCents === total?.totalCents) continue;
      this.#name("totalsOff", {
        order: customer,
        note: `rows: ${sum?.orders ?? 0} orders, ${sum?.totalCents ?? 0} cents; kept: ${total?.orders ?? 0} orders, ${total?.totalCents ?? 0} cents`,
      });
    }
  }

  #outcome(): Outcome {
    if (this.#lostBeyondDoomed > 0 || FAILURES.some((name) => this.#counts[name] > 0)) return "failed";
    if (this.#counts.pending > 0 || this.#input.vault?.caughtUp === false) return "unproven";
    return this.#counts.lost > 0 ? "loss-stated" : "proven";
  }

  #name(kind: keyof VerdictCounts, write: NamedWrite, by = 1): void {
    this.#counts[kind] += by;
    const names = (this.#named[kind] ??= []);
    if (names.length < MOST_NAMED) names.push(write);
  }
}

interface Acknowledged {
  readonly intent: LedgerEntry["intent"];
  readonly answer: Extract<NonNullable<LedgerEntry["answer"]>, { kind: "acknowledged" }>;
}
