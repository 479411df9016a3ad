import { appendFileSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Answer, Intent } from "./ledger-entry.ts";
import { parseLedger, readLedger } from "./ledger-reader.ts";
import { LedgerWriter } from "./ledger-writer.ts";

let folder: string;
let files = 0;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "tidemark-ledger-"));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const intent = (n: number): Intent => ({
  n,
  purpose: "order",
  order: `o-${n}`,
  customer: "c",
  amountCents: 5,
  idempotencyKey: `k-${n}`,
  scheduledAtMs: 1_000 + n,
});
const answer = (n: number): Answer => ({
  n,
  kind: "acknowledged",
  receipt: { id: `i-${n}`, frozenId: `f-${n}`, journal: "j", partition: 0, sequence: String(n) },
  atMs: 2_000,
  latencyMs: 3,
  attempts: 1,
});

describe("the ledger", () => {
  it("gives back what was written, in the order of the intents", async () => {
    const path = join(folder, `${files++}.ndjson`);
    const writer = new LedgerWriter(path);
    writer.intend([intent(0), intent(1), intent(2)]);
    await Promise.all([writer.record(answer(2)), writer.record(answer(0))]);
    await writer.close();
    expect(readLedger(path)).toEqual([
      { intent: intent(0), answer: answer(0) },
      { intent: intent(1) },
      { intent: intent(2), answer: answer(2) },
    ]);
  });

  it("has an answer in the file before it counts", async () => {
    const path = join(folder, `${files++}.ndjson`);
    const writer = new LedgerWriter(path);
    writer.intend([intent(0)]);
    await writer.record(answer(0));
    expect(readLedger(path)[0]?.answer).toEqual(answer(0));
    await writer.close();
  });

  it("takes answers that come while others are being synced", async () => {
    const path = join(folder, `${files++}.ndjson`);
    const writer = new LedgerWriter(path);
    const all = Array.from({ length: 200 }, (_, n) => n);
    writer.intend(all.map(intent));
    await Promise.all(
      all.map(async (n) => {
        await new Promise((resolve) => setImmediate(resolve));
        await writer.record(answer(n));
      }),
    );
    await writer.close();
    expect(readLedger(path).every((entry) => entry.answer !== undefined)).toBe(true);
  });

  it("never overwrites a ledger that is there", async () => {
    const path = join(folder, `${files++}.ndjson`);
    await new LedgerWriter(path).close();
    expect(() => new LedgerWriter(path)).toThrow("EEXIST");
  });

  it("reads a prefix of a file cut at any byte, and never invents an answer", async () => {
    const path = join(folder, `${files++}.ndjson`);
    const writer = new LedgerWriter(path);
    writer.intend([intent(0), intent(1)]);
    await writer.record(answer(0));
    await writer.record(answer(1));
    await writer.close();
    const text = readFileSync(path, "utf8");
    const header = text.indexOf("\n") + 1;
    fc.assert(
      fc.property(fc.integer({ min: header, max: text.length }), (cut) => {
        const entries = parseLedger(text.slice(0, cut), path);
        expect(entries.length).toBeLessThanOrEqual(2);
        for (const entry of entries) if (entry.answer !== undefined) expect(entry.answer).toEqual(answer(entry.intent.n));
      }),
    );
  });

  it("says which line is damaged", async () => {
    const path = join(folder, `${files++}.ndjson`);
    const writer = new LedgerWriter(path);
    writer.intend([intent(0)]);
    await writer.close();
    appendFileSync(path, "{broken\n");
    expect(() => readLedger(path)).toThrow("line 3 is not JSON");
  });

  it("refuses a ledger of another version", () => {
    expect(() => parseLedger('{"ledger":9}\n', "x")).toThrow("version 9");
  });
});
