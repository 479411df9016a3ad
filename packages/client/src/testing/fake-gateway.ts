// A gateway as far as the client can tell, in this process, with faults on request.
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import type { ReceiptFacts } from "../receipt.ts";

export interface FakeWrite {
  readonly command: string;
  readonly args: Record<string, unknown>;
  readonly key?: string;
  readonly idempotencyKey: string;
}

/** What a request becomes: `accept` acknowledges all of it; others are faults. They may call `accept` for what arrived all the same. */
export type Behaviour = (request: { writes: FakeWrite[]; response: ServerResponse; accept: () => string[] }) => void | Promise<void>;

/** A line of an answer that refuses a write. */
export function problemLine(status: number, facts: Record<string, unknown> = {}): string {
  return JSON.stringify({
    type: "/docs/errors#x",
    title: "refused",
    status,
    detail: "refused by the test",
    code: "TM-GATEWAY-INVALID",
    retry: "never",
    hint: "none",
    ...facts,
  });
}

/** Answers like a healthy gateway. */
const healthy: Behaviour = ({ response, accept }) => answerLines(response, accept());

export function answerLines(response: ServerResponse, lines: readonly string[]): void {
  response.writeHead(200, { "content-type": "application/x-ndjson" }).end(lines.map((line) => `${line}\n`).join(""));
}

export function answerProblem(
  response: ServerResponse,
  status: number,
  facts: Record<string, unknown> = {},
  headers: Record<string, string> = {},
): void {
  response.writeHead(status, { "content-type": "application/problem+json", ...headers }).end(problemLine(status, facts));
}

export class FakeGateway {
  readonly #server: Server;
  readonly #scripted: Behaviour[] = [];
  readonly #receipts = new Map<string, ReceiptFacts>();
  /** Every write that was accepted, in order, once. */
  readonly accepted: FakeWrite[] = [];
  /** The writes of every request with writes, in order of arrival. */
  readonly requests: FakeWrite[][] = [];
  /** Headers of every request. */
  readonly heads: IncomingMessage[] = [];
  /** Requests with writes under way now, and the most there ever were. */
  inFlight = 0;
  mostInFlight = 0;
  /** What requests become that no script is left for. */
  behaviour: Behaviour = healthy;
  /** What a GET of a write answers, if not that it is applied. */
  status: (receipt: ReceiptFacts, request: IncomingMessage, response: ServerResponse) => void = (receipt, _request, response) => {
    response
      .writeHead(200, { "content-type": "application/json" })
      .end(JSON.stringify({ ...receipt, status: "applied", applied: { lsn: "0/1" } }));
  };
  windowMs = 3_600_000;

  constructor() {
    this.#server = createServer((request, response) => void this.#handle(request, response));
  }

  /** The next requests become these, one each. */
  script(...behaviours: Behaviour[]): void {
    this.#scripted.push(...behaviours);
  }

  readonly #arrivals: { count: number; resolve: () => void }[] = [];

  /** Resolves once `count` requests with writes have arrived. */
  arrived(count: number): Promise<void> {
    if (this.requests.length >= count) return Promise.resolve();
    return new Promise((resolve) => this.#arrivals.push({ count, resolve }));
  }

  async listen(port = 0): Promise<string> {
    await new Promise<void>((resolve) => this.#server.listen(port, "127.0.0.1", resolve));
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }

  async #handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    this.heads.push(request);
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    if (request.method === "GET") {
      const id = decodeURIComponent((request.url ?? "").split("/").at(-1) ?? "");
      const receipt = [...this.#receipts.values()].find((known) => known.id === id);
      if (receipt === undefined) answerProblem(response, 404, { code: "TM-GATEWAY-NOT-FOUND" });
      else this.status(receipt, request, response);
      return;
    }
    const writes = Buffer.concat(chunks)
      .toString("utf8")
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line) as FakeWrite);
    this.requests.push(writes);
    for (const arrival of this.#arrivals) if (this.requests.length >= arrival.count) arrival.resolve();
    this.inFlight++;
    this.mostInFlight = Math.max(this.mostInFlight, this.inFlight);
    response.once("close", () => this.inFlight--);
    await (this.#scripted.shift() ?? this.behaviour)({ writes, response, accept: () => this.accept(writes) });
  }

  /** Accepts writes as a gateway does, each idempotency key once, and gives their receipts' lines. */
  accept(writes: readonly FakeWrite[]): string[] {
    return writes.map((write) => {
      const known = this.#receipts.get(write.idempotencyKey);
      const receipt = known ?? this.#receipt(write);
      return JSON.stringify(receipt);
    });
  }

  #receipt(write: FakeWrite): ReceiptFacts {
    this.accepted.push(write);
    const sequence = String(this.accepted.length);
    const receipt: ReceiptFacts = {
      id: `w_fake_${sequence}`,
      command: write.command,
      journal: "00000000-0000-4000-8000-000000000000",
      partition: 0,
      sequence,
      frozenId: "00000000-0000-7000-8000-000000000000",
      acceptedAt: new Date(1_000).toISOString(),
      keyRememberedUntil: new Date(1_000 + this.windowMs).toISOString(),
      keyRememberedWrites: 1_000_000,
      durable: [{ machine: "here" }],
      survives: ["process-loss"],
      guarantee: "durable on this machine's disk",
      status: "journalled",
    };
    this.#receipts.set(write.idempotencyKey, receipt);
    return receipt;
  }
}
