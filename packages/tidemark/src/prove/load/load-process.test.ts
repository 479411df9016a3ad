import { randomUUID } from "node:crypto";
import { createServer, type Server } from "node:http";
import { mkdtempSync, rmSync } from "node:fs";
import { type AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { readLedger } from "../ledger/ledger-reader.ts";
import { judge } from "../verdict/verdict.ts";
import type { CustomerTotal, DeadLetter, TableRow } from "../verdict/table-row.ts";
import { LoadHandle } from "./load-handle.ts";
import { MOST_AMOUNT_CENTS } from "./order-plan.ts";

/** A gateway that keeps what it accepted in memory, and can be told to misbehave. */
class FakeGateway {
  readonly rows: TableRow[] = [];
  readonly deadLetters: DeadLetter[] = [];
  readonly #receipts = new Map<string, { content: string; receipt: object }>();
  readonly #server: Server;
  readonly #journal = randomUUID();
  /** Decides what becomes of the n-th request: answered, dropped before or after acceptance, or turned away. */
  behaviour: (n: number) => "answer" | "drop-before" | "drop-after" | "turn-away" | "forget" = () => "answer";
  #requests = 0;

  constructor() {
    this.#server = createServer((request, response) => {
      let text = "";
      request.on("data", (chunk: Buffer) => (text += chunk.toString()));
      request.on("end", () => {
        const what = this.behaviour(this.#requests++);
        if (what === "drop-before") return void request.socket.destroy();
        if (what === "turn-away") return void response.writeHead(503, { "retry-after": "1" }).end('{"code":"TM-GATEWAY-BUSY"}');
        const { status, body } = this.#accept(text, what === "forget");
        if (what === "drop-after") return void request.socket.destroy();
        response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body));
      });
    });
  }

  async listen(): Promise<string> {
    await new Promise<void>((resolve) => this.#server.listen(0, "127.0.0.1", resolve));
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  close(): void {
    this.#server.closeAllConnections();
    this.#server.close();
  }

  totals(): CustomerTotal[] {
    return [...Map.groupBy(this.rows, (row) => row.customer)].map(([customer, rows]) => ({
      customer,
      orders: rows.length,
      totalCents: rows.reduce((sum, row) => sum + row.amountCents, 0),
    }));
  }

  #accept(text: string, forget: boolean): { status: number; body: object } {
    const { args, idempotencyKey } = JSON.parse(text) as {
      args: { number: string; customer: string; amount_cents: number };
      idempotencyKey: string;
    };
    if (args.amount_cents < 1) return { status: 422, body: { code: "TM-GATEWAY-INVALID" } };
    const content = JSON.stringify(args);
    const known = this.#receipts.get(idempotencyKey);
    if (known !== undefined)
      return known.content === content ? { status: 200, body: known.receipt } : { status: 409, body: { code: "TM-GATEWAY-KEY" } };
    const sequence = this.#receipts.size + 1;
    const receipt = { id: `w_${sequence}`, frozenId: randomUUID(), journal: this.#journal, partition: 0, sequence: String(sequence) };
    this.#receipts.set(idempotencyKey, { content, receipt });
    if (args.amount_cents > MOST_AMOUNT_CENTS) this.deadLetters.push({ frozenId: receipt.frozenId, reason: "limit" });
    else if (!forget)
      this.rows.push({
        order: args.number,
        customer: args.customer,
        amountCents: args.amount_cents,
        frozenId: receipt.frozenId,
        rowId: sequence,
        transaction: String(sequence),
        committedAtMs: 0,
      });
    return { status: 202, body: receipt };
  }
}

let folder: string;
let gateway: FakeGateway;
let load: LoadHandle;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "tidemark-load-"));
  gateway = new FakeGateway();
  load = new LoadHandle(process.env);
});
afterEach(() => {
  load.kill();
  gateway.close();
  rmSync(folder, { recursive: true, force: true });
});

/** Runs the load process until it has sent `writes`, and judges its ledger against what the gateway keeps. */
async function run(writes: number, deadlineMs = 10_000): Promise<ReturnType<typeof judge>> {
  const ledgerPath = join(folder, "ledger.ndjson");
  await load.start({
    url: await gateway.listen(),
    token: "t",
    command: "c",
    ledgerPath,
    ratePerSecond: 1_000,
    seed: 5,
    run: "r",
    reuseKeys: true,
    deadlineMs,
  });
  while (load.counts.scheduled < writes) await Promise.race([load.ended, new Promise((resolve) => setTimeout(resolve, 20))]);
  const counts = await load.stop();
  const ledger = readLedger(ledgerPath);
  expect(ledger).toHaveLength(counts.scheduled);
  expect(ledger.filter((entry) => entry.answer?.kind === "acknowledged")).toHaveLength(counts.acknowledged);
  return judge({ ledger, rows: gateway.rows, totals: gateway.totals(), deadLetters: gateway.deadLetters, pending: new Set() });
}

describe("the load process", () => {
  it("keeps a ledger that fits what a faultless gateway has, with every kind of write in it", async () => {
    const { outcome, counts } = await run(1_500);
    expect(outcome).toBe("proven");
    expect(counts.found).toBeGreaterThan(1_000);
    for (const kind of ["rejected", "refused", "refusedOnPurpose", "receiptsRepeated"] as const) expect(counts[kind]).toBeGreaterThan(0);
  });

  it("repeats what was not answered, and duplicates and loses nothing by it", async () => {
    gateway.behaviour = (n) => (n % 7 === 3 ? "drop-before" : n % 11 === 5 ? "drop-after" : "answer");
    const { outcome, counts } = await run(1_500);
    expect(outcome).toBe("proven");
    expect(counts.indeterminate).toBe(0);
  });

  it("calls refused what was turned away, and it is not there", async () => {
    gateway.behaviour = (n) => (n % 10 === 0 ? "turn-away" : "answer");
    const { outcome, counts } = await run(1_000);
    expect(outcome).toBe("proven");
    expect(counts.refused - counts.refusedOnPurpose).toBeGreaterThan(50);
  });

  it("catches a gateway that acknowledges and forgets", async () => {
    gateway.behaviour = (n) => (n === 500 ? "forget" : "answer");
    const { outcome, counts } = await run(1_000);
    expect([outcome, counts.lost]).toEqual(["failed", 1]);
  });

  it("calls indeterminate what a dead gateway never answered, there or not", async () => {
    gateway.behaviour = (n) => (n < 500 ? "answer" : n % 2 === 0 ? "drop-before" : "drop-after");
    const { outcome, counts } = await run(800, 300);
    expect(outcome).toBe("proven");
    expect(counts.indeterminate).toBeGreaterThan(50);
    expect(counts.indeterminateFound).toBeGreaterThan(0);
  });

  it("says that it failed when its ledger cannot be written", async () => {
    const start = load.start({
      url: "http://127.0.0.1:1",
      token: "t",
      command: "c",
      ledgerPath: join(folder, "no", "such", "folder"),
      ratePerSecond: 10,
      seed: 5,
      run: "r",
      reuseKeys: true,
      deadlineMs: 1_000,
    });
    await start;
    await expect(load.ended).rejects.toThrow(/ENOENT/);
  });
});
