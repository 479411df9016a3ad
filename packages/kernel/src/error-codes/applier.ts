import type { ErrorEntry } from "../errors.ts";

/** Errors of the applier. Those that are "normal" pass by themselves; nothing acknowledged is dropped by any of them. */
export const applierErrors = {
  "TM-APPLIER-NO-PRIMARY": {
    meaning: "There is no primary to apply to: no route is known, or the node it names cannot be reached or refuses the login.",
    normal: true,
    retry: "later",
    hint: "A failover passes by itself; if it lasts, look at the state of control and of the agents, and at the store's password file.",
  },
  "TM-APPLIER-NOT-READY": {
    meaning: "The node that the route names is not yet the primary of the recorded epoch.",
    normal: true,
    retry: "later",
    hint: "It is being promoted or is about to record its reign; if it lasts, compare the route with tidemark.reign on the node.",
  },
  "TM-APPLIER-NOT-RECORDED": {
    meaning: "The database is not the one that the cluster recorded: restored, cloned, or another one at that address (R17).",
    normal: false,
    retry: "never",
    hint: "After a restore decide which writes must not come back and say reapply with them as exceptions; otherwise correct the address.",
  },
  "TM-APPLIER-NEEDED-TRIMMED": {
    meaning: "The database needs writes that the journal no longer has. The range is named. Applying stopped (FAIL-STOP).",
    normal: false,
    retry: "never",
    hint: "Restore a newer copy of the database, or bring the journal's older segments back; going on would lose the range.",
  },
  "TM-APPLIER-JOURNAL-BEHIND": {
    meaning:
      "The database has applied more of this journal than the journal has: the journal went back in time. Applying stopped (FAIL-STOP).",
    normal: false,
    retry: "never",
    hint: "An old copy of the journal's disk was put in place. Bring the newer one back, or begin a new journal in an empty folder.",
  },
  "TM-APPLIER-JOURNAL-REPLACED": {
    meaning: "The database knows another journal that this gateway no longer has. What that one held beyond its last position is lost.",
    normal: false,
    retry: "never",
    hint: "Bring the old journal's disk back if it exists; compare the ledger of acknowledged writes with the table.",
  },
  "TM-APPLIER-JOURNAL-UNREADABLE": {
    meaning: "The journal cannot be read where the applier has to go on. Applying stopped (FAIL-STOP).",
    normal: false,
    retry: "never",
    hint: "Run tidemark journal verify; the cause names the range.",
  },
  "TM-APPLIER-PAYLOAD": {
    meaning: "A record of the journal has a payload that this version cannot read. Applying stopped (FAIL-STOP).",
    normal: false,
    retry: "never",
    hint: "A newer version wrote it: run that version, or a newer one.",
  },
  "TM-APPLIER-UNKNOWN-COMMAND": {
    meaning: "The journal holds a write of a command that the configuration no longer has.",
    normal: false,
    retry: "later",
    hint: "Put the command back into tidemark.yaml until its last write is applied, then restart the gateway.",
  },
  "TM-APPLIER-SCHEMA": {
    meaning: "The tidemark schema of the database is missing and cannot be made, or was made by a newer version.",
    normal: false,
    retry: "later",
    hint: "Let the store's user create it (CREATE on the database), or run the version that made it.",
  },
  "TM-APPLIER-CONNECTION": {
    meaning: "The connection to the primary broke. Positions are read again before anything else is done.",
    normal: true,
    retry: "later",
    hint: "Nothing to do: what was under way is decided by the position in the database.",
  },
  "TM-APPLIER-POSITION-CONFLICT": {
    meaning: "Another applier moved the position, or a commit in doubt had taken effect. The transaction was refused as a whole.",
    normal: true,
    retry: "later",
    hint: "Nothing to do once; if it repeats, a second applier runs for the same journal and store.",
  },
  "TM-APPLIER-COMMIT-WAITS": {
    meaning: "A COMMIT waits: no copy of the synchronous set has confirmed it. It is waited for, never cancelled.",
    normal: true,
    retry: "later",
    hint: "With the policy never-lose this lasts until a standby is back; look at the standbys.",
  },
  "TM-APPLIER-CONTENTION": {
    meaning: "The database gave up a transaction because of others: serialization, deadlock, a lock timeout. It is tried again.",
    normal: true,
    retry: "later",
    hint: "If it lasts, look for long transactions of other clients that lock the same rows.",
  },
  "TM-APPLIER-RESOURCES": {
    meaning: "The database is short of a resource: disk, memory, connections. Applying waits and goes on by itself.",
    normal: false,
    retry: "later",
    hint: "Free the resource that the message names; nothing accepted is lost meanwhile.",
  },
  "TM-APPLIER-STATEMENT-FAULT": {
    meaning: "A command's statement does not fit the database: a table, column or privilege is missing. Applying of that partition waits.",
    normal: false,
    retry: "later",
    hint: "Make the table or grant the privilege, or correct the command in tidemark.yaml; no write is dropped for it.",
  },
  "TM-APPLIER-DATABASE-FAULT": {
    meaning: "The database answered with an error that says nothing certain about the write. Applying of that partition waits.",
    normal: false,
    retry: "later",
    hint: "Read the message and the database's log.",
  },
  "TM-APPLIER-DATABASE-DAMAGED": {
    meaning: "The database reports damaged data or a damaged index. Applying stopped (FAIL-STOP).",
    normal: false,
    retry: "never",
    hint: "Fail over to a copy that is sound, or restore; what is journalled is applied there.",
  },
  "TM-APPLIER-REJECTED": {
    meaning: "The database refused a write for good; it is among the dead letters with the reason.",
    normal: false,
    retry: "never",
    hint: "Look at the dead letter; correct the data and replay it, or discard it.",
  },
  "TM-APPLIER-KEY-CONFLICT": {
    meaning: "A write's idempotency key was taken in the database by a write with other content.",
    normal: false,
    retry: "never",
    hint: "The same key went through two gateways, or came again after its window, with other content; decide which one is meant.",
  },
  "TM-APPLIER-OUTCOME-CHANGED": {
    meaning: "A write that had taken effect was refused when it was applied again after a failover or restore (R13). It counts as lost.",
    normal: false,
    retry: "never",
    hint: "Something outside of Tidemark changed the rows that it depends on; look at the dead letter.",
  },
  "TM-APPLIER-LINK": {
    meaning: "The applier was started without its gateway, or the gateway's channel closed.",
    normal: false,
    retry: "never",
    hint: "The gateway starts its applier itself; do not start it by hand.",
  },
} satisfies Record<string, ErrorEntry>;
