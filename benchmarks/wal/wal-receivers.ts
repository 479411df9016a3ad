import { spawn, type ChildProcess } from "node:child_process";
import { mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import type { VaultOrder, VaultWords } from "./vault-process.ts";
import type { WalPrimary } from "./wal-primary.ts";

const VAULT = fileURLToPath(new URL("vault-process.ts", import.meta.url));

/** A process that receives WAL. */
export interface RunningReceiver {
  /** Its application_name. */
  readonly name: string;
  /** Where its WAL files appear. */
  readonly wal: string;
  /** What a vault that archives said last. */
  readonly archivedLsn: () => string | undefined;
  /** The most memory that it had so far, bytes; 0 where the system does not say. */
  peakMemory(): number;
  /** Ends it as a crash would: nothing is to be done at the end that others do not do. */
  stop(): Promise<void>;
}

export type ReceiverKind = "pg_receivewal" | "pg_receivewal --synchronous" | "vault" | "vault, archiving";

/** Starts a receiver in `folder`, which may hold what an earlier one left. */
export async function startReceiver(kind: ReceiverKind, primary: WalPrimary, folder: string): Promise<RunningReceiver> {
  return kind.startsWith("vault") ? startVault(primary, folder, kind !== "vault") : startPgReceivewal(kind, primary, folder);
}

async function startVault(primary: WalPrimary, folder: string, archives: boolean): Promise<RunningReceiver> {
  const order: VaultOrder = { directory: folder, ...primary.login, ...(archives ? { archive: `${folder}-archive` } : {}) };
  const args = ["--conditions=@tidemark/source", "--disable-warning=ExperimentalWarning", VAULT, JSON.stringify(order)];
  const child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "inherit"] });
  let last: VaultWords | undefined;
  let heard: () => void = () => undefined;
  const first = new Promise<void>((resolve, reject) => {
    heard = resolve;
    child.once("exit", () => reject(new Error("the vault ended before it began")));
  });
  createInterface({ input: child.stdout }).on("line", (line) => {
    last = JSON.parse(line) as VaultWords;
    heard();
  });
  await first;
  return running(child, { name: last?.identity ?? "", wal: join(folder, "wal"), archivedLsn: () => last?.archivedLsn });
}

async function startPgReceivewal(kind: ReceiverKind, primary: WalPrimary, folder: string): Promise<RunningReceiver> {
  const wal = join(folder, "wal");
  mkdirSync(wal, { recursive: true });
  const name = "bench_pg_receivewal";
  const { host, port, user, password } = primary.login;
  const args = ["-d", `host=${host} port=${port} user=${user} application_name=${name}`, "-D", wal, "--no-loop"];
  if (kind.endsWith("--synchronous")) args.push("--synchronous");
  const child = spawn(join(primary.tools, "pg_receivewal"), args, {
    stdio: ["ignore", "ignore", "inherit"],
    env: { ...process.env, PGPASSWORD: password },
  });
  await new Promise<void>((resolve, reject) => child.once("spawn", resolve).once("error", reject));
  return running(child, { name, wal, archivedLsn: () => undefined });
}

function running(child: ChildProcess, facts: Pick<RunningReceiver, "name" | "wal" | "archivedLsn">): RunningReceiver {
  const exited = new Promise<void>((resolve) => void child.once("exit", () => resolve()));
  return {
    ...facts,
    peakMemory: () => Number(/^VmHWM:\s+(\d+) kB/m.exec(statusOf(child.pid))?.[1] ?? 0) * 1_024,
    async stop() {
      child.kill("SIGKILL");
      await exited;
    },
  };
}

function statusOf(pid: number | undefined): string {
  try {
    return readFileSync(`/proc/${pid}/status`, "utf8");
  } catch {
    return ""; // Not Linux, or it ended.
  }
}
