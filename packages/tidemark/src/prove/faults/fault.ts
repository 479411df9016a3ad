import type { PrimaryRoute } from "../../cluster/cluster-record.ts";
import type { OwnProcesses } from "../stack/own-processes.ts";
import type { ProcessFacts } from "../stack/process-facts.ts";
import type { StackVariant } from "../stack/prove-config.ts";
import type { FaultName } from "./fault-name.ts";

/** What a fault may see and do of the stack. Pids are read anew at each call; all of them belong to the proof. */
export interface FaultScene {
  readonly processes: OwnProcesses;
  readonly journalDirectory: string;
  /** The pid of `tidemark up`. */
  supervisor(): number;
  /** The pid of a role's process. */
  rolePid(kind: RoleKind, node?: string): number;
  applierPid(): Promise<number>;
  /** The primary's postmaster: the parent of a backend of ours. */
  postmasterPid(): Promise<number>;
  route(): Promise<PrimaryRoute>;
  /** Stops (or lets go on) the WAL that a standby receives. */
  holdBack(node: string, held: boolean): Promise<void>;
  /** What the vault says of itself. */
  vault(): Promise<VaultFacts>;
  pauseApplying(paused: boolean): Promise<void>;
  /** The orders that the primary holds now, each with the transaction that inserted it. */
  orders(): Promise<ReadonlyMap<string, string>>;
  /** The same of any node that answers. */
  ordersOn(node: string): Promise<ReadonlyMap<string, string>>;
  /** How far each partition of the journal has been applied. */
  positions(): Promise<Positions>;
  /** Whether the gateway takes requests. */
  gatewayAnswers(): Promise<boolean>;
  /** Starts the stack again after all of it was ended. Resolves when it is ready. */
  up(): Promise<void>;
}

export type RoleKind = "gateway" | "control" | "agent" | "vault";

/** Of a vault's status. */
export interface VaultFacts {
  readonly state: string;
  readonly identity: string;
  /** Durable there, LSN text; absent while there is nothing. */
  readonly flushedLsn?: string;
  /** Stretches of WAL that are missing, and faults, in words. */
  readonly gaps: readonly string[];
  readonly faults: readonly string[];
}

/** Of one journal: the sequence up to which each partition is applied; `base` for one without a row of its own. */
export interface Positions {
  readonly journal: string;
  readonly base: bigint;
  readonly byPartition: ReadonlyMap<number, bigint>;
}

export interface Fault {
  readonly name: FaultName;
  /** What is done, in a sentence for people. */
  readonly summary: string;
  readonly variant: StackVariant;
  /** Whether the load may use a key again: not where the fault makes the gateway forget keys. */
  readonly reuseKeys: boolean;
  /**
   * Whether PostgreSQL by itself may lose no commit that it showed: with synchronous copies a failover keeps them, and the
   * journal has nothing to put back (NO-LOSS-PROMOTE).
   */
  readonly keepsCommits: boolean;
  /** Whether another node has to become the primary. */
  readonly movesPrimary: boolean;
  /** Whether nothing can be committed between its last signal and the recovery: then the first commit after it is the recovery. */
  readonly stopsCommits: boolean;
  /** Comes `leadMs` before the fault, while the load runs. */
  readonly prepare?: { readonly leadMs: number; run(scene: FaultScene): Promise<void> };
  inject(scene: FaultScene): Promise<Injected>;
}

/** What was done, and when. Wall time in milliseconds. */
export interface Injected {
  readonly beganAtMs: number;
  readonly endedAtMs: number;
  /** In sentences, with pids. */
  readonly done: readonly string[];
  /** Orders that the old primary had committed right before the fault, each with its transaction. */
  readonly ordersBefore?: ReadonlyMap<string, string>;
  /** Of them, those that the standby had replayed. */
  readonly ordersOnStandby?: ReadonlyMap<string, string>;
  /** How far the journal had been applied when it was taken away. */
  readonly positionsAtLoss?: Positions;
  /** What has to be done by hand after this fault, such as `up` again. */
  readonly afterwards?: () => Promise<void>;
  /** Whether what was broken works again. May reject while it does not. */
  isOver(): Promise<boolean>;
}

/** Sends one signal to all of them and takes the time around it. The first signals go to those listed first. */
export function strike(
  scene: FaultScene,
  targets: readonly ProcessFacts[],
  signal: "SIGKILL" | "SIGSTOP",
): { beganAtMs: number; endedAtMs: number; reached: number } {
  const beganAtMs = Date.now();
  const reached = scene.processes.signal(targets, signal).length;
  return { beganAtMs, endedAtMs: Date.now(), reached };
}

/**
 * The orders that the primary shows as committed, where each commit waited for a synchronous copy; what it shows while it
 * waits for nobody may be lost with it.
 */
export async function waitedFor(scene: FaultScene, route: PrimaryRoute): Promise<{ ordersBefore?: ReadonlyMap<string, string> }> {
  return route.guarantee === "synchronous" ? { ordersBefore: await scene.orders() } : {};
}

/** Another epoch has an open primary. */
export async function primaryMoved(scene: FaultScene, before: PrimaryRoute): Promise<boolean> {
  const route = await scene.route();
  return route.state === "open" && route.epoch > before.epoch;
}

/** The vault receives again, and commits wait for it again. */
export async function vaultIsBack(scene: FaultScene): Promise<boolean> {
  const { state, identity } = await scene.vault();
  return state === "streaming" && (await scene.route()).demanded.includes(identity);
}

/** The same role runs as another process. */
export function roleRestarted(scene: FaultScene, role: { kind: RoleKind; node?: string }, before: number): boolean {
  const pid = role.node === undefined ? scene.rolePid(role.kind) : scene.rolePid(role.kind, role.node);
  return pid !== before && scene.processes.refresh().some((facts) => facts.pid === pid);
}
