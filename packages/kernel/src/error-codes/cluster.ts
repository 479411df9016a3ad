import type { ErrorEntry } from "../errors.ts";

/** Errors of the cluster: lease store, coordinator, agents. */
export const clusterErrors = {
  "TM-CLUSTER-CONFLICT": {
    meaning: "A compare-and-set found another revision than the expected one; nothing was changed.",
    normal: true,
    retry: "later",
    hint: "Somebody else was faster: read the key again and decide anew.",
    httpStatus: 409,
  },
  "TM-CLUSTER-LEASE-STORE-AWAY": {
    meaning: "The lease store could not be reached or did not answer in time; the outcome of a change is unknown.",
    normal: true,
    retry: "unknown",
    hint: "Look whether the control process runs and can be reached from here; writes go on meanwhile, a failover does not.",
    httpStatus: 503,
  },
  "TM-CLUSTER-LEASE-STORE-VALUE": {
    meaning: "A key or value for the lease store is outside its limits, or the stored value is not what it should be.",
    normal: false,
    retry: "never",
    hint: "Keys have at most 200 characters, values at most 256 KiB of JSON; an unknown format version needs a newer Tidemark.",
    httpStatus: 400,
  },
  "TM-CLUSTER-STORE-EMPTY": {
    meaning:
      "The lease store knows nothing of this store, but a node has data of it; making a new cluster could hide acknowledged commits (R7).",
    normal: false,
    retry: "never",
    hint: "Bring back the control process's state folder. If the data is not needed, move the data directories of all nodes away.",
  },
  "TM-CLUSTER-NOT-READY": {
    meaning: "The node cannot do this now: PostgreSQL does not run in the role that it needs, or another operation is under way.",
    normal: true,
    retry: "later",
    hint: "Look at the node's status; it comes to the recorded state by itself.",
    httpStatus: 409,
  },
  "TM-CLUSTER-STALE-EPOCH": {
    meaning: "A request belongs to an older epoch than the one that this node has promised or the record shows; nothing was done.",
    normal: true,
    retry: "never",
    hint: "A newer coordinator has taken over; nothing needs to be done.",
    httpStatus: 409,
  },
  "TM-CLUSTER-ABSTAINED": {
    meaning: "A node cannot vote: it has no data, is being cloned, or cannot prove how far its WAL reaches (R4).",
    normal: true,
    retry: "later",
    hint: "The failover goes on with the other nodes; look at this node's log if it stays so.",
    httpStatus: 409,
  },
  "TM-CLUSTER-BEHIND": {
    meaning: "A promotion was refused because the candidate has not replayed up to the voted position (NO-LOSS-PROMOTE).",
    normal: false,
    retry: "later",
    hint: "The coordinator chooses again by itself; look at the candidate's log if it stays so.",
    httpStatus: 409,
  },
  "TM-CLUSTER-TIMELINE": {
    meaning: "A promoted server is on another timeline than the one that the record reserved for it; it was stopped.",
    normal: false,
    retry: "never",
    hint: "Keep the data directory for inspection; the node is cloned anew when it is moved away.",
  },
  "TM-CLUSTER-AGENT-AWAY": {
    meaning: "A node's agent could not be reached or did not answer in time.",
    normal: true,
    retry: "unknown",
    hint: "Look whether the agent runs; its requests are idempotent and are repeated.",
    httpStatus: 503,
  },
  "TM-CLUSTER-BLOCKED": {
    meaning: "No node may be promoted without losing commits that nobody accepted to lose.",
    normal: false,
    retry: "later",
    hint: "Bring a node back, or accept the stated loss by name: POST /v1/stores/<store>/accept-loss.",
    httpStatus: 409,
  },
  "TM-CLUSTER-BOOTSTRAP": {
    meaning: "The first node could not be made.",
    normal: false,
    retry: "later",
    hint: "The cause is in the log; the half-made node is removed and made again at the next attempt.",
  },
  "TM-CLUSTER-UNKNOWN-STORE": {
    meaning: "There is no such store or node in the configuration.",
    normal: false,
    retry: "never",
    hint: "Compare the name with the stores and nodes in tidemark.yaml.",
    httpStatus: 404,
  },
  "TM-CLUSTER-UNAUTHORIZED": {
    meaning: "A request to a role came without the internal token, or with a wrong one.",
    normal: false,
    retry: "never",
    hint: "All roles must read the same control.internalTokenFile.",
    httpStatus: 401,
  },
  "TM-CLUSTER-REQUEST": {
    meaning: "A request to a role is malformed.",
    normal: false,
    retry: "never",
    hint: "The message names the field; roles of different versions may disagree.",
    httpStatus: 400,
  },
} satisfies Record<string, ErrorEntry>;
