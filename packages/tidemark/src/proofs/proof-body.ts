import type { AuditHead } from "../audit/audit-entry.ts";
import type { Scenario } from "../objectives/failure-domain.ts";

/** The version of the form of a proof; docs/proof-format.md specifies it. */
const PROOF_FORMAT_VERSION = 1;

/**
 * What a recovery showed. `proven`: everything acknowledged was there, once. `loss-stated`: what was lost is what was
 * known to be lost before. `unproven`: it could not be judged in time. `failed`: something was lost or duplicated.
 */
export type ProofOutcome = "proven" | "loss-stated" | "unproven" | "failed";

/** Distinct writes; the words are those of docs/glossary.md. Other counts may stand beside these. */
export interface ProofCounts {
  readonly acknowledged: number;
  readonly found: number;
  readonly lost: number;
  readonly duplicated: number;
  readonly resurrected: number;
  readonly indeterminate: number;
  /** Refused by the database after acceptance. */
  readonly rejected: number;
  /** Refused before acceptance. */
  readonly refused: number;
  readonly [other: string]: number;
}

/** A figure beside what it should be. Null where it was not measured: unknown is not zero (HONEST-NUMBER). */
export interface MeasuredTarget {
  readonly measuredMs: number | null;
  readonly targetMs: number | null;
}

/** The reign of a primary before or after. */
export interface ProofReign {
  readonly primary: string;
  readonly epoch: number;
  readonly timeline: number;
  /** Where the timeline forked off, as PostgreSQL writes it. */
  readonly forkLsn: string;
}

/** The signed content: one recovery and its counts. */
export interface ProofBody {
  readonly formatVersion: typeof PROOF_FORMAT_VERSION;
  /** A UUID. */
  readonly id: string;
  /** What was proven, a sentence for people. */
  readonly claim: string;
  readonly outcome: ProofOutcome;
  /** `name` of the configuration. */
  readonly deployment: string;
  readonly scenario: Scenario;
  /** What was done to bring the accident about, such as `kill-primary`. */
  readonly fault: string;
  readonly store?: string;
  /** What an acknowledgement was worth while it ran, in words. */
  readonly guarantee?: string;
  readonly counts: ProofCounts;
  readonly rpo: MeasuredTarget;
  readonly rto: MeasuredTarget;
  /** ISO 8601, UTC. */
  readonly began: string;
  readonly ended: string;
  readonly versions: { readonly tidemark: string; readonly postgresql: string; readonly [other: string]: string };
  readonly before?: ProofReign;
  readonly after?: ProofReign;
  /** SHA-256 (hex) of the configuration file's bytes. */
  readonly configurationHash: string;
  /** SHA-256 (hex) of the report that goes with it. */
  readonly reportHash?: string;
  /** Where the audit log ended: an anchor that tells whether it was cut short later. */
  readonly auditHead?: AuditHead;
}

/** A proof as it stands in a file. */
export interface SignedProof {
  readonly body: ProofBody;
  readonly signature: ProofSignature;
}

export interface ProofSignature {
  readonly algorithm: "Ed25519";
  /** See proof-key.ts. */
  readonly keyId: string;
  /** Base64 of 64 bytes. */
  readonly value: string;
}

const COUNTS = ["acknowledged", "found", "lost", "duplicated", "resurrected", "indeterminate", "rejected", "refused"];
const OUTCOMES: ReadonlySet<unknown> = new Set(["proven", "loss-stated", "unproven", "failed"]);
const TEXTS = ["id", "claim", "deployment", "scenario", "fault", "began", "ended", "configurationHash"];

/** What keeps a value from being a signed proof of this version, or undefined. Says nothing about the signature. */
export function proofFault(value: unknown): string | undefined {
  if (!isObject(value) || !isObject(value["body"]) || !isObject(value["signature"])) return "it has no body or no signature";
  const { body, signature } = value;
  if (body["formatVersion"] !== PROOF_FORMAT_VERSION)
    return `it has version ${String(body["formatVersion"])} of the form, known is ${PROOF_FORMAT_VERSION}`;
  if (signature["algorithm"] !== "Ed25519" || typeof signature["keyId"] !== "string" || typeof signature["value"] !== "string")
    return "its signature is not one of Ed25519";
  for (const name of TEXTS) if (typeof body[name] !== "string") return `"${name}" is missing`;
  if (Number.isNaN(Date.parse(String(body["began"]))) || Number.isNaN(Date.parse(String(body["ended"])))) return "its times cannot be read";
  if (!OUTCOMES.has(body["outcome"])) return "its outcome is not known";
  const counts = body["counts"];
  if (!isObject(counts)) return '"counts" is missing';
  for (const name of COUNTS) if (!Number.isSafeInteger(counts[name]) || Number(counts[name]) < 0) return `the count "${name}" is missing`;
  for (const name of ["rpo", "rto", "versions"]) if (!isObject(body[name])) return `"${name}" is missing`;
  return undefined;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
