import type { JournalEntry, AppendedRecord } from "../journal/journal.ts";
import { MAX_PAYLOAD_BYTES } from "../journal/journal.ts";
import type { ErrorCode } from "@tidemark/kernel/errors";
import { uuidV7, type Random } from "@tidemark/kernel/random";
import type { ArgumentValidator } from "./argument-validator.ts";
import type { CompiledCommand } from "./command-catalogue.ts";
import type { IdempotencyWindow, KeyDigest } from "./idempotency-window.ts";
import { problem, type Problem } from "./problem.ts";
import { contentHash, keyDigest } from "./write-digest.ts";
import type { ReadWrite } from "./write-text.ts";

/** Longest idempotency key, in UTF-16 units. */
const MOST_KEY_CHARACTERS = 255;
/** Longest partition key, in UTF-16 units. */
const MOST_PARTITION_KEY_CHARACTERS = 512;

/** What a request says of all of its writes. */
export interface RequestFacts {
  /** The token's name: idempotency keys of two tokens never meet. */
  readonly scope: string;
  readonly nowMs: number;
  /** The Idempotency-Key header; for a single write only. */
  readonly headerKey?: string | undefined;
  /** Whether somebody waits for rows. */
  readonly rows: boolean;
}

/** A write on its way into the journal. Duplicates that arrive meanwhile wait on the same one (R15). */
export interface AcceptedWrite {
  readonly digest: KeyDigest;
  readonly contentHash: string;
  readonly command: CompiledCommand;
  readonly frozenId: string;
  readonly acceptedAtMs: number;
  readonly group: AppendGroup;
  /** Place among the group's entries. */
  readonly index: number;
}

/** What one request appends together. `appended` is set before anybody else can look. */
export interface AppendGroup {
  readonly writes: AcceptedWrite[];
  readonly entries: JournalEntry[];
  appended: Promise<readonly AppendedRecord[]>;
}

/** What becomes of one write of a request. */
export type Decision =
  | { readonly kind: "refused"; readonly problem: Problem }
  /** New, or a duplicate of one that is not durable yet: its group's promise decides. */
  | { readonly kind: "pending"; readonly write: AcceptedWrite; readonly duplicate: boolean }
  /** A duplicate of a record in the journal. */
  | {
      readonly kind: "remembered";
      readonly sequence: bigint;
      readonly acceptedAtMs: number;
      readonly command: CompiledCommand;
      readonly key: string;
    };

interface Acceptable {
  readonly command: CompiledCommand;
  readonly args: Readonly<Record<string, unknown>>;
  readonly key: string;
  readonly idempotencyKey: string;
}

const MEMBERS = new Set(["command", "args", "key", "idempotencyKey"]);

/**
 * The pure part of accepting: from what was read to what is to be appended. Holds which writes are in flight; the shell
 * (write-service.ts) appends a group and then calls {@link settle}. Nothing here waits, and a write that is refused has
 * left no trace.
 */
export class Acceptance {
  readonly #commands: ReadonlyMap<string, CompiledCommand>;
  readonly #validators: ReadonlyMap<string, ArgumentValidator>;
  readonly #window: IdempotencyWindow;
  readonly #random: Random;
  readonly #appliedFirst: ReadonlySet<string>;
  readonly #inFlight = new Map<KeyDigest, AcceptedWrite>();

  constructor(parts: {
    commands: ReadonlyMap<string, CompiledCommand>;
    validators: ReadonlyMap<string, ArgumentValidator>;
    window: IdempotencyWindow;
    random: Random;
    /** Stores that acknowledge once applied: their writers always wait, so rows are kept for them. */
    appliedFirst: ReadonlySet<string>;
  }) {
    this.#commands = parts.commands;
    this.#validators = parts.validators;
    this.#window = parts.window;
    this.#random = parts.random;
    this.#appliedFirst = parts.appliedFirst;
  }

  /** Decides about every write of a request; what is to be appended is in `group`. The caller must append it at once, or {@link settle} it as refused. */
  decide(writes: readonly ReadWrite[], facts: RequestFacts): { decisions: Decision[]; group: AppendGroup } {
    const group: AppendGroup = { writes: [], entries: [], appended: Promise.resolve([]) };
    const decisions = writes.map((write) => this.#decideOne(write, facts, group));
    return { decisions, group };
  }

  /**
   * The group's outcome. `durable`: its keys are remembered from now on. `refused`: nothing was written, so the keys are
   * free again. `unknown`: the keys stay in flight until the gateway is started again and reads what the journal really
   * holds; a repeat must hear "unknown" again, not "refused" (R15).
   */
  settle(group: AppendGroup, outcome: "durable" | "refused" | "unknown", appended: readonly AppendedRecord[] = []): void {
    if (outcome === "unknown") return;
    for (const write of group.writes) {
      this.#inFlight.delete(write.digest);
      const record = appended[write.index];
      if (outcome === "durable" && record !== undefined) {
        this.#window.remember(write.digest, {
          contentHash: write.contentHash,
          sequence: record.sequence,
          acceptedAtMs: write.acceptedAtMs,
        });
      }
    }
  }

  #decideOne(read: ReadWrite, facts: RequestFacts, group: AppendGroup): Decision {
    if (read.problem !== undefined) return { kind: "refused", problem: read.problem };
    const write = this.#validated(read.value, facts);
    if ("refusal" in write)
      return {
        kind: "refused",
        problem: problem(write.refusal, write.detail, { line: read.line, ...(write.field === undefined ? {} : { field: write.field }) }),
      };
    const digest = keyDigest(facts.scope, write.idempotencyKey);
    const content = contentHash(write.command.name, write.key, write.args);
    const inFlight = this.#inFlight.get(digest);
    if (inFlight !== undefined)
      return inFlight.contentHash === content ? { kind: "pending", write: inFlight, duplicate: true } : reused(write, read.line);
    const remembered = this.#window.find(digest, content, facts.nowMs);
    if (remembered !== undefined) {
      return remembered.sameContent
        ? {
            kind: "remembered",
            sequence: remembered.sequence,
            acceptedAtMs: remembered.acceptedAtMs,
            command: write.command,
            key: write.key,
          }
        : reused(write, read.line);
    }
    const frozenId = uuidV7(facts.nowMs, this.#random);
    const rows = facts.rows || this.#appliedFirst.has(write.command.store);
    // Buffer.from takes small texts from a pool: a fifth of the time of TextEncoder, which makes an ArrayBuffer for each.
    const payload = Buffer.from(payloadText(write, { frozenId, contentHash: content, scope: facts.scope, rows }), "utf8");
    if (payload.byteLength > MAX_PAYLOAD_BYTES) {
      return {
        kind: "refused",
        problem: problem(
          "TM-GATEWAY-TOO-LARGE",
          `the write takes ${payload.byteLength} bytes in the journal; at most ${MAX_PAYLOAD_BYTES} are taken`,
          { line: read.line },
        ),
      };
    }
    const accepted: AcceptedWrite = {
      digest,
      contentHash: content,
      command: write.command,
      frozenId,
      acceptedAtMs: facts.nowMs,
      group,
      index: group.entries.length,
    };
    group.entries.push({ kind: "write", key: write.key, acceptedAtMs: facts.nowMs, payload });
    group.writes.push(accepted);
    this.#inFlight.set(digest, accepted);
    return { kind: "pending", write: accepted, duplicate: false };
  }

  #validated(value: unknown, facts: RequestFacts): Acceptable | Refusal {
    if (typeof value !== "object" || value === null || Array.isArray(value))
      return refuse("TM-GATEWAY-INVALID", "", "a write must be an object");
    const members = value as Record<string, unknown>;
    for (const name in members) {
      if (!MEMBERS.has(name))
        return refuse("TM-GATEWAY-INVALID", `/${escapePointer(name)}`, `unknown member; a write has ${[...MEMBERS].join(", ")}`);
    }
    const { command: name, args = {}, key } = members;
    if (typeof name !== "string") return refuse("TM-GATEWAY-INVALID", "/command", "must be the name of a command");
    const command = this.#commands.get(name);
    const validate = this.#validators.get(name);
    if (command === undefined || validate === undefined)
      return refuse("TM-GATEWAY-COMMAND-UNKNOWN", "/command", `there is no command "${name.slice(0, 100)}"`);
    const idempotencyKey = members["idempotencyKey"] ?? facts.headerKey;
    if (idempotencyKey === undefined) return refuse("TM-GATEWAY-KEY-MISSING", "/idempotencyKey", "is missing");
    if (!isShortText(idempotencyKey, MOST_KEY_CHARACTERS))
      return refuse("TM-GATEWAY-INVALID", "/idempotencyKey", `must be a text of 1 to ${MOST_KEY_CHARACTERS} characters`);
    if (facts.headerKey !== undefined && idempotencyKey !== facts.headerKey)
      return refuse("TM-GATEWAY-INVALID", "/idempotencyKey", "differs from the Idempotency-Key header");
    const fault = validate(args);
    if (fault !== undefined) return refuse("TM-GATEWAY-INVALID", `/args${fault.pointer}`, fault.message);
    const partitionKey = key === undefined ? scalarText(resolvePointer(args, command.key)) : key;
    const place = key === undefined ? `/args${command.key}` : "/key";
    if (!isShortText(partitionKey, MOST_PARTITION_KEY_CHARACTERS))
      return refuse("TM-GATEWAY-INVALID", place, `the key of the write must be a text of 1 to ${MOST_PARTITION_KEY_CHARACTERS} characters`);
    return { command, args: args as Record<string, unknown>, key: partitionKey, idempotencyKey };
  }
}

interface Refusal {
  readonly refusal: ErrorCode;
  readonly field?: string;
  readonly detail: string;
}

function refuse(code: ErrorCode, field: string, what: string): Refusal {
  return { refusal: code, field, detail: field === "" ? what : `${field}: ${what}` };
}

function reused(write: Acceptable, line: number | undefined): Decision {
  const detail = `the idempotency key "${write.idempotencyKey}" stands for a write with other content`;
  return { kind: "refused", problem: problem("TM-GATEWAY-KEY-REUSED", detail, { field: "/idempotencyKey", line }) };
}

/** The JSON of a WritePayload, members in its order. */
function payloadText(write: Acceptable, made: { frozenId: string; contentHash: string; scope: string; rows: boolean }): string {
  return (
    `{"v":1,"id":"${made.frozenId}","command":${JSON.stringify(write.command.name)},"args":${JSON.stringify(write.args)},` +
    `"idempotencyKey":${JSON.stringify(write.idempotencyKey)},"scope":${JSON.stringify(made.scope)},"contentHash":"${made.contentHash}"${made.rows ? ',"rows":true' : ""}}`
  );
}

function isShortText(value: unknown, mostCharacters: number): value is string {
  return typeof value === "string" && value !== "" && value.length <= mostCharacters;
}

function scalarText(value: unknown): unknown {
  return typeof value === "number" || typeof value === "boolean" ? String(value) : value;
}

/** The value at a JSON Pointer (RFC 6901), or undefined. Own members only. */
function resolvePointer(value: unknown, pointer: string): unknown {
  if (pointer === "") return value;
  let found = value;
  for (const part of pointer.slice(1).split("/")) {
    const name = part.includes("~") ? part.replaceAll("~1", "/").replaceAll("~0", "~") : part;
    if (typeof found !== "object" || found === null || !Object.hasOwn(found, name)) return undefined;
    found = (found as Record<string, unknown>)[name];
  }
  return found;
}

function escapePointer(name: string): string {
  return name.replaceAll("~", "~0").replaceAll("/", "~1");
}
