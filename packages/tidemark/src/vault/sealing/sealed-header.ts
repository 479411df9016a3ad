// What a sealed object says about itself in the clear: docs/vault-format.md, "Sealed objects". JSON, because it is read by
// people and by programs of other makers too; every field is checked, because the store is not trusted.
import type { SystemIdentifier, Timeline } from "@tidemark/kernel/brands";
import { TidemarkError } from "@tidemark/kernel/errors";
import { formatLsn, parseLsn, type Lsn } from "@tidemark/kernel/lsn";
import { MAX_OBJECT_BYTES } from "../../object-stores/object-store.ts";
import { MAX_WRAPPED_KEY_BYTES, type KeyContext } from "./key-provider.ts";

/** What is sealed: `wal` a whole segment, `wal-partial` the growing one up to `end`, `timeline-history` a history file. */
export type SealedKind = "wal" | "wal-partial" | "timeline-history";

/** What an object is, as who seals it says. */
export interface SealedFacts {
  readonly kind: SealedKind;
  readonly systemIdentifier: SystemIdentifier;
  readonly timeline: Timeline;
  /** The range of WAL in it; a history has none. */
  readonly range?: { readonly start: Lsn; readonly end: Lsn };
  /** The commits in the range, where they are known. */
  readonly commits?: SealedCommits;
}

/** Commits of a range of WAL, so that a time can be turned into an LSN from the archive alone. Times in Unix milliseconds. */
export interface SealedCommits {
  readonly count: number;
  readonly first?: { readonly lsn: Lsn; readonly timeMs: number };
  readonly last?: { readonly lsn: Lsn; readonly timeMs: number };
}

export interface SealedHeader {
  readonly facts: SealedFacts;
  /** Of the bytes that were sealed. */
  readonly rawBytes: number;
  /** Lower-case hexadecimal. Equal bytes have equal ones, under whatever key. */
  readonly rawSha256: string;
  readonly compression: { readonly algorithm: "zstd"; readonly level: number } | "none";
  readonly encryption: SealedEncryption | "none";
}

export interface SealedEncryption {
  readonly algorithm: "AES-256-GCM";
  readonly keyId: string;
  readonly wrappedKey: Uint8Array;
  /** 12 bytes. */
  readonly nonce: Uint8Array;
}

export const NONCE_BYTES = 12;

const MAX_KEY_ID_LENGTH = 2_048;
const KINDS: readonly string[] = ["wal", "wal-partial", "timeline-history"] satisfies SealedKind[];

/** The header as JSON. */
export function encodeHeader(header: SealedHeader): Uint8Array {
  const { facts, compression, encryption } = header;
  return Buffer.from(
    JSON.stringify({
      kind: facts.kind,
      systemIdentifier: facts.systemIdentifier,
      timeline: facts.timeline,
      ...(facts.range === undefined ? {} : { start: formatLsn(facts.range.start), end: formatLsn(facts.range.end) }),
      ...(facts.commits === undefined ? {} : { commits: commitsToJson(facts.commits) }),
      rawBytes: header.rawBytes,
      rawSha256: header.rawSha256,
      compression,
      encryption:
        encryption === "none"
          ? "none"
          : {
              algorithm: encryption.algorithm,
              keyId: encryption.keyId,
              wrappedKey: Buffer.from(encryption.wrappedKey).toString("base64"),
              nonce: Buffer.from(encryption.nonce).toString("base64"),
            },
    }),
    "utf8",
  );
}

/** Reads and checks a header. Fields that it does not know are passed over. Throws TM-SEAL-HEADER. */
export function decodeHeader(json: Uint8Array): SealedHeader {
  try {
    const header = objectOf(JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(json)), "the header");
    return {
      facts: factsOf(header),
      rawBytes: wholeNumber(header["rawBytes"], "rawBytes", MAX_OBJECT_BYTES),
      rawSha256: textOf(header["rawSha256"], "rawSha256", /^[0-9a-f]{64}$/),
      compression: compressionOf(header["compression"]),
      encryption: encryptionOf(header["encryption"]),
    };
  } catch (error) {
    throw new TidemarkError("TM-SEAL-HEADER", `the header of a sealed object makes no sense: ${(error as Error).message}`, {
      cause: error,
    });
  }
}

/** What the data key of an object belongs to: it does not open another object, even if somebody renamed or rewrote that. */
export function keyContext(facts: SealedFacts): KeyContext {
  return {
    "tidemark:kind": facts.kind,
    "tidemark:system": facts.systemIdentifier,
    "tidemark:timeline": String(facts.timeline),
    ...(facts.range === undefined ? {} : { "tidemark:range": `${formatLsn(facts.range.start)}-${formatLsn(facts.range.end)}` }),
  };
}

type Json = Readonly<Record<string, unknown>>;

function factsOf(header: Json): SealedFacts {
  const kind = textOf(header["kind"], "kind", /^[a-z-]{1,32}$/);
  if (!KINDS.includes(kind)) throw new Error(`kind "${kind}"`);
  const hasRange = header["start"] !== undefined || header["end"] !== undefined;
  if (hasRange === (kind === "timeline-history")) throw new Error(`${kind} ${hasRange ? "with" : "without"} a range`);
  return {
    kind: kind as SealedKind,
    systemIdentifier: textOf(header["systemIdentifier"], "systemIdentifier", /^\d{1,20}$/) as SystemIdentifier,
    timeline: wholeNumber(header["timeline"], "timeline", 0xffff_ffff, 1) as Timeline,
    ...(hasRange ? { range: rangeOf(header) } : {}),
    ...(header["commits"] === undefined ? {} : { commits: commitsOf(header["commits"]) }),
  };
}

function rangeOf(header: Json): { start: Lsn; end: Lsn } {
  const start = lsnOf(header["start"], "start");
  const end = lsnOf(header["end"], "end");
  if (end <= start) throw new Error("end before start");
  return { start, end };
}

function commitsToJson(commits: SealedCommits): Json {
  const place = (at: { lsn: Lsn; timeMs: number }): Json => ({ lsn: formatLsn(at.lsn), timeMs: at.timeMs });
  return {
    count: commits.count,
    ...(commits.first === undefined ? {} : { first: place(commits.first) }),
    ...(commits.last === undefined ? {} : { last: place(commits.last) }),
  };
}

function commitsOf(value: unknown): SealedCommits {
  const commits = objectOf(value, "commits");
  const place = (name: string): { lsn: Lsn; timeMs: number } | undefined => {
    if (commits[name] === undefined) return undefined;
    const at = objectOf(commits[name], name);
    const timeMs = at["timeMs"];
    if (typeof timeMs !== "number" || !Number.isFinite(timeMs)) throw new Error(`${name}.timeMs`);
    return { lsn: lsnOf(at["lsn"], name), timeMs };
  };
  const first = place("first");
  const last = place("last");
  return {
    count: wholeNumber(commits["count"], "commits.count", Number.MAX_SAFE_INTEGER),
    ...(first === undefined ? {} : { first }),
    ...(last === undefined ? {} : { last }),
  };
}

function compressionOf(value: unknown): SealedHeader["compression"] {
  if (value === "none") return "none";
  const compression = objectOf(value, "compression");
  if (compression["algorithm"] !== "zstd") throw new Error("compression.algorithm");
  return { algorithm: "zstd", level: wholeNumber(compression["level"], "compression.level", 22, 1) };
}

function encryptionOf(value: unknown): SealedHeader["encryption"] {
  if (value === "none") return "none";
  const encryption = objectOf(value, "encryption");
  if (encryption["algorithm"] !== "AES-256-GCM") throw new Error("encryption.algorithm");
  const keyId = encryption["keyId"];
  if (typeof keyId !== "string" || keyId === "" || keyId.length > MAX_KEY_ID_LENGTH) throw new Error("encryption.keyId");
  const wrappedKey = base64Of(encryption["wrappedKey"], "encryption.wrappedKey");
  const nonce = base64Of(encryption["nonce"], "encryption.nonce");
  if (wrappedKey.length === 0 || wrappedKey.length > MAX_WRAPPED_KEY_BYTES) throw new Error("encryption.wrappedKey");
  if (nonce.length !== NONCE_BYTES) throw new Error("encryption.nonce");
  return { algorithm: "AES-256-GCM", keyId, wrappedKey, nonce };
}

function objectOf(value: unknown, name: string): Json {
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw new Error(`${name} is no object`);
  return value as Json;
}

function textOf(value: unknown, name: string, form: RegExp): string {
  if (typeof value !== "string" || !form.test(value)) throw new Error(name);
  return value;
}

function lsnOf(value: unknown, name: string): Lsn {
  return parseLsn(textOf(value, name, /^[0-9A-F]{1,8}\/[0-9A-F]{1,8}$/));
}

function wholeNumber(value: unknown, name: string, most: number, least = 0): number {
  if (typeof value !== "number" || !Number.isSafeInteger(value) || value < least || value > most) throw new Error(name);
  return value;
}

function base64Of(value: unknown, name: string): Uint8Array {
  const text = textOf(value, name, /^[A-Za-z0-9+/]*={0,2}$/);
  return Buffer.from(text, "base64");
}
