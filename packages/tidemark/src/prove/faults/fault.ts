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
  pauseApplying(paused: boolean): Promise<void>;
  /** The orders that the primary holds now, each with the transaction that inserted it. */
  orders(): Promise<ReadonlyMap<string, string>>;
  /** How far each partition of the journal has been applied. */
  positions(): Promise<Positions>;
  /** Whether the gateway takes requests. */
  gatewayAnswers(): Promise<boolean>;
  /** Starts the stack again after all of it was ended. Resolves when it is ready. */
  up(): Promise<void>;
}

export type RoleKind = "gateway" | "control" | "agent";

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
  /** Orders that the old primary had committed right before the fault. */
  readonly ordersBefore?: ReadonlyMap<string, string>;
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

/** Another epoch has an open primary. */
export async function primaryMoved(scene: FaultScene, before: PrimaryRoute): Promise<boolean> {
  const route = await scene.route();
  return route.state === "open" && route.epoch > before.epoch;
}

/** The same role runs as another process. */
export function roleRestarted(scene: FaultScene, role: { kind: RoleKind; node?: string }, before: number): boolean {
  const pid = role.node === undefined ? scene.rolePid(role.kind) : scene.rolePid(role.kind, role.node);
  return pid !== before && scene.processes.refresh().some((facts) => facts.pid === pid);
}
