// What `tidemark status` knows: the supervisor's run.json, and what control and the gateway say. Whatever cannot be
// asked is unknown, never zero and never good (HONEST-NUMBER).
import { setTimeout as delay } from "node:timers/promises";
import { TidemarkError } from "@tidemark/kernel/errors";
import { AnotherCertificate, reachGateway, type GatewayReach } from "../cluster/gateway-reach.ts";
import type { Config } from "../config/config.ts";
import { formatAddress } from "../config/listen-address.ts";
import { isAlive } from "../platform/process-identity.ts";
import { hasGateway } from "../platform/role-plan.ts";
import { readRunFile, type RunFile } from "../platform/run-file.ts";
import { readSecret } from "../platform/secret-files.ts";

/** How long control and the gateway may take to answer. */
const ANSWER_MS = 2_000;

/** An answer, or why there is none. */
export type Answer =
  | { readonly known: true; readonly value: Readonly<Record<string, unknown>> }
  | { readonly known: false; readonly why: string };

export interface StatusReport {
  readonly formatVersion: 1;
  readonly at: string;
  readonly name: string;
  readonly stateDir: string;
  /** `absent`: nothing was started here. `gone`: the supervisor was killed. */
  readonly supervisor: { readonly state: "running" | "absent" | "gone"; readonly pid?: number };
  readonly run?: RunFile;
  readonly control: Answer;
  /** Absent: there is none, for every store is run by somebody else. */
  readonly gateway?: Answer;
}

/**
 * Asks everything at once. Rejects with TM-PLATFORM-RUN-FILE only: who does not answer is unknown.
 * @param answerMs how long control and the gateway may take.
 */
export async function collectStatus(config: Config, answerMs = ANSWER_MS): Promise<StatusReport> {
  const run = await readRunFile(config.stateDir);
  const token = await readToken(config);
  const [control, gateway] = await Promise.all([
    statusOf({ url: `http://${formatAddress(config.control)}`, ask: fetch }, { token, answerMs }),
    hasGateway(config) ? statusOf(reachGateway(config.gateway), { token, answerMs }) : undefined,
  ]);
  return {
    formatVersion: 1,
    at: new Date().toISOString(),
    name: config.name,
    stateDir: config.stateDir,
    supervisor: run === undefined ? { state: "absent" } : { state: isAlive(run.supervisor) ? "running" : "gone", pid: run.supervisor.pid },
    ...(run === undefined ? {} : { run }),
    control,
    ...(gateway === undefined ? {} : { gateway }),
  };
}

async function readToken(config: Config): Promise<string | undefined> {
  try {
    return (await readSecret(config.control.internalTokenFile))?.reveal();
  } catch (error) {
    if (error instanceof TidemarkError) return undefined; // Not readable for this user: the answers will say so.
    throw error;
  }
}

async function statusOf({ url, ask }: GatewayReach, options: { token: string | undefined; answerMs: number }): Promise<Answer> {
  const { token, answerMs } = options;
  const signal = AbortSignal.timeout(answerMs);
  try {
    const headers = token === undefined ? {} : { authorization: `Bearer ${token}` };
    const response = await ask(`${url}/v1/status`, { headers, redirect: "manual", signal });
    const value = JSON.parse(await response.text()) as Record<string, unknown>;
    if (response.status !== 200)
      return { known: false, why: `answered ${response.status}${typeof value["detail"] === "string" ? `: ${value["detail"]}` : ""}` };
    return { known: true, value };
  } catch (error) {
    if (signal.aborted) return { known: false, why: `no answer within ${answerMs} ms` };
    const { code, message } = ((error as Error).cause ?? error) as NodeJS.ErrnoException;
    if (error instanceof AnotherCertificate) return { known: false, why: error.message };
    return { known: false, why: code === "ECONNREFUSED" ? "nobody listens there" : message };
  }
}

interface StoreInControl {
  readonly state?: string;
  readonly nodes?: readonly { readonly node: string; readonly status?: { readonly state?: string; readonly detail?: string } }[];
}

interface StoreInGateway {
  readonly applier?: { readonly state?: string; readonly message?: string } | null;
}

/**
 * What `up` waits for before it says that everything is up, in words: undefined when every store serves and its writes
 * are applied.
 */
export function awaited(config: Config, { control, gateway }: StatusReport): string | undefined {
  if (!control.known) return `control: ${control.why}`;
  if (gateway === undefined) return undefined;
  if (!gateway.known) return `the gateway: ${gateway.why}`;
  if (gateway.value["accepting"] !== true) return "the gateway: it does not accept writes yet";
  const inControl = (control.value["stores"] ?? {}) as Record<string, StoreInControl | undefined>;
  const inGateway = (gateway.value["stores"] ?? {}) as Record<string, StoreInGateway | undefined>;
  for (const store of Object.keys(config.stores)) {
    const { state, nodes = [] } = inControl[store] ?? {};
    if (state !== "serving") return `store ${store}: ${nodes.map(describeNode).join("; ") || "no node was heard yet"}`;
    const applier = inGateway[store]?.applier;
    if (!APPLIES.has(applier?.state))
      return `store ${store}: its applier is ${applier?.state ?? "not there yet"}${applier?.message === undefined ? "" : `: ${applier.message}`}`;
  }
  return undefined;
}

function describeNode({ node, status }: { node: string; status?: { state?: string; detail?: string } }): string {
  if (status === undefined) return `${node} was not heard yet`;
  return `${node} is ${status.state ?? "unknown"}${status.detail === undefined ? "" : ` (${status.detail})`}`;
}

/** States of an applier that works; `paused` was asked for. */
const APPLIES: ReadonlySet<unknown> = new Set(["applying", "healing", "paused"]);

/** Waits between two looks. */
export async function pause(ms: number): Promise<void> {
  await delay(ms);
}
