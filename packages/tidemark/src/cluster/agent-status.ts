// What an agent says of its node: in its heartbeats to control and at GET /status. Plain data.
import type { Epoch, SystemIdentifier, Timeline } from "@tidemark/kernel/brands";
import type { VaultStatus } from "../vault/vault-status.ts";

/** What the agent is at, in words for people and for the coordinator's suspicion. */
export type NodeState =
  | "starting"
  | "bootstrapping"
  | "cloning"
  | "primary"
  | "standby"
  | "revoked"
  | "promoting"
  | "fenced"
  /** PostgreSQL ended by itself. */
  | "down"
  /** PostgreSQL answers no probe. */
  | "unresponsive"
  | "waiting"
  /** An orderly stop was asked for: no reason to suspect. */
  | "stopping";

/** How often `warnings` may grow: at most this many are kept, the oldest fall out. */
export const MOST_WARNINGS = 16;

export interface AgentStatus {
  readonly node: string;
  readonly store: string;
  readonly state: NodeState;
  /** What `waiting` waits for, or the last fault. */
  readonly detail?: string;
  readonly identity?: string;
  readonly systemIdentifier?: SystemIdentifier;
  /** The record's epoch and revision as this agent last saw them. */
  readonly epoch?: Epoch;
  readonly revision?: number;
  /** Set on the primary of `epoch` once its reign's row stands: it accepts writes. */
  readonly open: boolean;
  readonly postmasterPid?: number;
  readonly inRecovery?: boolean;
  readonly timeline?: Timeline;
  /** Primary: flushed. Standby: replayed. LSN text. */
  readonly lsn?: string;
  /** Standby: received and flushed. */
  readonly receivedLsn?: string;
  /** Standby: its WAL receiver streams. */
  readonly streaming?: boolean;
  /** The epoch that this node has promised itself to. */
  readonly promised?: Epoch;
  readonly heldBack: boolean;
  /** Primary: those who receive its WAL. */
  readonly members?: readonly MemberStatus[];
  /** Wall time of the agent when it looked, milliseconds. */
  readonly atMs: number;
  readonly warnings: readonly string[];
  /** Milliseconds of each step of the last promotion, for the account of a failover. */
  readonly promotionMs?: Readonly<Record<string, number>>;
  /** Set by a vault, which sends heartbeats like an agent: `lsn` is the end of its last whole record, `receivedLsn` what is durable. */
  readonly vault?: VaultStatus;
}

/** A row of pg_stat_replication. */
export interface MemberStatus {
  readonly identity: string;
  readonly pid: number;
  readonly state: string;
  readonly syncState: string;
  readonly syncPriority: number;
  readonly flushLsn?: string;
  readonly replayLsn?: string;
  /** When it sent its newest reply, by its own clock: comparable with nothing but its earlier and later replies. */
  readonly replyTime?: string | null;
}
