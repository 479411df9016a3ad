// What `tidemark status` knows: the supervisor's run.json, and what control and the gateway say. Whatever cannot be
// asked is unknown, never zero and never good (HONEST-NUMBER).
import { readFile } from "node:fs/promises";
import { request as httpRequest } from "node:http";
import { request as httpsRequest } from "node:https";
import { setTimeout as delay } from "node:timers/promises";
import { TidemarkError } from "@tidemark/kernel/errors";
import type { Config } from "../config/config.ts";
import { formatAddress } from "../config/listen-address.ts";
import { isAlive } from "../platform/process-identity.ts";
import { hasGateway } from "../platform/role-plan.ts";
import { readRunFile, type RunFile } from "../platform/run-file.ts";
import { readSecret } from "../platform/secret-files.ts";
import { gatewayUrl } from "../platform/start-stack.ts";

/** How long control and the gateway may take to answer. */
const ANSWER_MS = 2_000;

/** What Node says of a certificate that the trusted one does not vouch for. */
const UNTRUSTED: ReadonlySet<string> = new Set([
  "DEPTH_ZERO_SELF_SIGNED_CERT",
  "SELF_SIGNED_CERT_IN_CHAIN",
  "UNABLE_TO_GET_ISSUER_CERT_LOCALLY",
  "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
]);

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
    ask(`http://${formatAddress(config.control)}/v1/status`, { token, answerMs }),
    hasGateway(config) ? ask(`${gatewayUrl(config)}/v1/status`, { token, answerMs, tls: config.gateway.tls }) : undefined,
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

interface AskOptions {
  readonly token: string | undefined;
  readonly answerMs: number;
  /** Of HTTPS: what the other side was configured with. */
  readonly tls?: { readonly certFile: string } | undefined;
}

async function ask(url: string, options: AskOptions): Promise<Answer> {
  const { token, answerMs, tls } = options;
  const limit = AbortSignal.timeout(answerMs);
  try {
    const ca = tls === undefined ? undefined : await readFile(tls.certFile);
    const { status, text } = await get(url, { token, ca, signal: limit });
    const value = JSON.parse(text) as Record<string, unknown>;
    if (status !== 200)
      return { known: false, why: `answered ${status}${typeof value["detail"] === "string" ? `: ${value["detail"]}` : ""}` };
    return { known: true, value };
  } catch (error) {
    if (limit.aborted) return { known: false, why: `no answer within ${answerMs} ms` };
    const { code = "", message } = error as NodeJS.ErrnoException;
    if (code === "ECONNREFUSED") return { known: false, why: "nobody listens there" };
    return { known: false, why: UNTRUSTED.has(code) ? "it serves another certificate than gateway.tls names" : message };
  }
}

/**
 * Over HTTPS exactly the certificate of the configuration is trusted, whatever name stands in it: the gateway is asked
 * at the address that it listens on, which is seldom that name. `fetch` cannot be told so.
 */
function get(
  url: string,
  options: { token: string | undefined; ca: Buffer | undefined; signal: AbortSignal },
): Promise<{ status: number | undefined; text: string }> {
  const { token, ca, signal } = options;
  const headers = token === undefined ? {} : { authorization: `Bearer ${token}` };
  const trust = ca === undefined ? {} : { ca, allowPartialTrustChain: true, checkServerIdentity: () => undefined };
  const request = ca === undefined ? httpRequest : httpsRequest;
  return new Promise((resolve, reject) => {
    const call = request(url, { signal, headers, agent: false, ...trust }, (response) => {
      let text = "";
      response.setEncoding("utf8").on("data", (chunk: string) => (text += chunk));
      response.once("end", () => resolve({ status: response.statusCode, text })).once("error", reject);
    });
    call.once("error", reject);
    call.end();
  });
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
