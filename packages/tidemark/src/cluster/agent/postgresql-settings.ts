// PostgreSQL's settings for a node. Pure; each that guards against a known trap says so.
import type { ServerSettings } from "@tidemark/postgres/server-settings";
import type { StoreConfig } from "../../config/config.ts";
import type { SynchronousSet } from "../cluster-record.ts";
import { kindOf } from "../quorum.ts";

/** A name that nobody has: waiting for it is waiting forever. Identities end in 32 hexadecimal digits, so it can be none. */
const NOBODY = "tidemark_nobody";

/** How much WAL a slot of a standby that is away may keep before the standby has to be cloned anew (trap 5). */
const SLOT_KEEPS = "1GB";

/** What every node of a store with vaults keeps, so that after a failover a vault goes on where it was although its slot there is new (trap 7). */
const NODE_KEEPS = "256MB";

/** `synchronous_standby_names` for a set; docs/failover-protocol.md, "The record". */
export function standbyNames(set: SynchronousSet): string {
  switch (kindOf(set)) {
    case "asynchronous":
      return "";
    case "closed":
      return `ANY ${set.required} ("${NOBODY}")`;
    case "counted":
      // Sorted, so that the same set is the same text. FIRST would be no safer (R7).
      return `ANY ${set.required} (${set.members
        .map((member) => `"${member.identity}"`)
        .sort()
        .join(", ")})`;
  }
}

/** Everything but whom to follow. The store's own `settings` may change what does not touch durability or replication. */
export function nodeSettings(options: { store: StoreConfig; node: string; major: number; synchronous: SynchronousSet }): ServerSettings {
  const own: Record<string, string> = {
    cluster_name: options.node,
    wal_level: "replica",
    hot_standby: "on",
    fsync: "on",
    full_page_writes: "on",
    // What a member acknowledges, it has flushed (R7). remote_apply with a member that only receives would wait forever (trap 20).
    synchronous_commit: "on",
    synchronous_standby_names: standbyNames(options.synchronous),
    max_wal_senders: "16",
    max_replication_slots: "16",
    max_slot_wal_keep_size: SLOT_KEEPS,
    ...(options.store.vaults.length === 0 ? {} : { wal_keep_size: NODE_KEEPS }),
    // The startup process sleeps so long between attempts; with the default of 5 s a promotion takes as long.
    wal_retrieve_retry_interval: "100ms",
    hot_standby_feedback: "off",
    wal_receiver_status_interval: "1s",
    wal_receiver_timeout: "5s",
    wal_sender_timeout: "5s",
    // After a crash the agent asks the lease store before PostgreSQL may write again (trap 30).
    restart_after_crash: "off",
    // The timeline of a reign is handed out by the record; a standby follows whatever the primary is on.
    recovery_target_timeline: "latest",
    password_encryption: "scram-sha-256",
    log_line_prefix: "%m [%p] %q%u@%d ",
    log_checkpoints: "off",
    ...(options.major >= 18 ? { idle_replication_slot_timeout: "0" } : {}), // trap 6
  };
  // A query on the standby holds back replay for so long at most; a revocation ends it at once (R3).
  const replay = { max_standby_streaming_delay: "2s", max_standby_archive_delay: "2s" };
  return {
    ...replay,
    shared_buffers: "128MB",
    max_connections: "200",
    max_wal_size: "2GB",
    wal_compression: "on",
    ...options.store.settings,
    ...own,
  };
}
