import { readFileSync } from "node:fs";
import { join } from "node:path";
import { TidemarkError } from "@tidemark/kernel/errors";
import type { PrimaryRoute } from "../../cluster/cluster-record.ts";
import type { VaultFacts } from "../faults/fault.ts";
import type { DeadLetter } from "../verdict/table-row.ts";
import { ask, askFor } from "./http-question.ts";
import { FILES, NODES, STORE, type StackPorts } from "./prove-config.ts";

/** Dead letters are read in pages of so many, and at most so many pages. */
const PAGE = 500;
const MOST_PAGES = 2_000;

/** Control's account of the WAL that the new primary lacked and a vault had. */
export interface Completion {
  readonly from: string;
  readonly lsn: string;
  readonly target: string;
  readonly bytes: number;
}

interface VaultAnswer {
  readonly state?: string;
  readonly identity?: string;
  readonly recoveryPoint?: { readonly flushedLsn?: string };
  readonly gaps?: readonly { readonly from?: { readonly lsn?: string }; readonly to?: { readonly lsn?: string } }[];
  readonly faults?: readonly { readonly code?: string; readonly what?: string }[];
  readonly archive?: { readonly holes?: readonly { readonly where?: string; readonly start?: string; readonly end?: string }[] };
}

/** What the prover asks the stack over HTTP. */
export class StackApi {
  readonly #folder: string;
  readonly #ports: StackPorts;
  readonly #token: string;

  constructor(options: { folder: string; ports: StackPorts; token: string }) {
    this.#folder = options.folder;
    this.#ports = options.ports;
    this.#token = options.token;
  }

  get gatewayUrl(): string {
    return `http://127.0.0.1:${this.#ports.gateway}`;
  }

  route(): Promise<PrimaryRoute> {
    return askFor({
      url: `http://127.0.0.1:${this.#ports.control}/v1/stores/${STORE}/route`,
      token: this.#internalToken(),
      timeoutMs: 1_000,
    });
  }

  /** What the vault says of itself. */
  async vault(): Promise<VaultFacts> {
    const status = await askFor<VaultAnswer>({
      url: `http://127.0.0.1:${this.#ports.vault}/status`,
      token: this.#internalToken(),
      timeoutMs: 1_000,
    });
    const flushedLsn = status.recoveryPoint?.flushedLsn;
    return {
      state: status.state ?? "unknown",
      identity: status.identity ?? "",
      ...(flushedLsn === undefined ? {} : { flushedLsn }),
      gaps: [
        ...(status.gaps ?? []).map(({ from, to }) => `${from?.lsn ?? "?"} to ${to?.lsn ?? "?"}`),
        ...(status.archive?.holes ?? []).map(({ where, start, end }) => `${start ?? "?"} to ${end ?? "?"} (${where ?? "archive"})`),
      ],
      faults: (status.faults ?? []).map(({ code, what }) => `${code ?? "unknown"}: ${what ?? ""}`),
    };
  }

  /** What control says of the last failover: whether a vault completed the new primary. */
  async completion(): Promise<Completion | undefined> {
    const report = await askFor<{ lastFailover?: { completion?: Completion } }>({
      url: `http://127.0.0.1:${this.#ports.control}/v1/stores/${STORE}`,
      token: this.#internalToken(),
    });
    return report.lastFailover?.completion;
  }

  /** Whether the gateway takes requests and its journal is open: an unknown write is answered with 404. */
  async gatewayAnswers(): Promise<boolean> {
    const { status } = await ask({ url: `${this.gatewayUrl}/v1/writes/none`, token: this.#token, timeoutMs: 1_000 });
    return status === 404;
  }

  async pauseApplying(paused: boolean): Promise<void> {
    await askFor({
      url: `${this.gatewayUrl}/v1/stores/${STORE}/${paused ? "pause" : "resume"}`,
      token: this.#token,
      method: "POST",
      body: { reason: "a proof" },
    });
  }

  async holdBack(node: string, held: boolean): Promise<void> {
    const port = this.#ports.nodes[NODES.findIndex((name) => name === node)]?.agent;
    if (port === undefined) throw new TidemarkError("TM-PROVE-API", `there is no node ${node}`);
    await askFor({ url: `http://127.0.0.1:${port}/hold-back`, token: this.#internalToken(), method: "POST", body: { held } });
  }

  /** What the gateway says of a write; undefined when it does not know it. */
  async writeStatus(id: string): Promise<string | undefined> {
    const { status, body } = await ask({ url: `${this.gatewayUrl}/v1/writes/${encodeURIComponent(id)}`, token: this.#token });
    if (status === 404) return undefined;
    const said = (body as { status?: unknown } | undefined)?.status;
    if (status !== 200 || typeof said !== "string")
      throw new TidemarkError("TM-PROVE-API", `the state of write ${id} was answered with ${status}`);
    return said;
  }

  /** What the gateway says of its applier, in words. */
  async applierState(): Promise<string> {
    const status = await askFor<{
      stores?: Record<string, { applier?: { state?: string; code?: string; message?: string; restarts?: number } | null }>;
    }>({
      url: `${this.gatewayUrl}/v1/status`,
      token: this.#token,
    });
    const applier = status.stores?.[STORE]?.applier;
    if (applier === undefined || applier === null) return "none runs";
    const why = applier.code === undefined ? "" : `, ${applier.code}: ${applier.message ?? ""}`;
    return `${applier.state ?? "unknown"}${why}, started again ${applier.restarts ?? 0} times`;
  }

  /** All open dead letters with their reasons. */
  async deadLetters(): Promise<DeadLetter[]> {
    const found: DeadLetter[] = [];
    let after: string | null = null;
    for (let page = 0; page < MOST_PAGES; page++) {
      const query: string = after === null ? "" : `&after=${encodeURIComponent(after)}`;
      const answer: {
        items: { frozenId: string; verdict?: { reason?: string; constraint?: string; sqlstate?: string } }[];
        next: string | null;
      } = await askFor({
        url: `${this.gatewayUrl}/v1/dead-letters?limit=${PAGE}${query}`,
        token: this.#token,
      });
      for (const { frozenId, verdict } of answer.items) found.push({ frozenId, reason: reasonOf(verdict) });
      if (answer.next === null || answer.next === undefined) return found;
      after = answer.next;
    }
    throw new TidemarkError("TM-PROVE-API", `there are more than ${PAGE * MOST_PAGES} dead letters`);
  }

  #internalToken(): string {
    return readFileSync(join(this.#folder, FILES.stateDir, "secrets", "internal.token"), "utf8").trim();
  }
}

/** The constraint and the SQLSTATE name a rejection better than its message, which quotes the row. */
export function reasonOf(verdict: { reason?: string; constraint?: string; sqlstate?: string } | undefined): string {
  if (verdict?.constraint !== undefined)
    return `constraint ${verdict.constraint}${verdict.sqlstate === undefined ? "" : ` (${verdict.sqlstate})`}`;
  return verdict?.reason ?? "no reason given";
}
