import { assert } from "@tidemark/kernel/errors";
import type { JournalRecord } from "../journal/journal.ts";
import type { VerdictPayload, WritePayload } from "./write-payload.ts";

const decoder = new TextDecoder();
const encoder = new TextEncoder();

/** Reads the payload of a record of kind `write` back. */
export function readWritePayload(payload: Uint8Array): WritePayload {
  return JSON.parse(decoder.decode(payload)) as WritePayload;
}

/** Reads the verdict that a record holds. The index only points at records of that kind. */
export function readVerdictPayload(record: JournalRecord | undefined): VerdictPayload {
  assert(record?.kind === "verdict", "the index of verdicts points at a verdict");
  return JSON.parse(decoder.decode(record.payload)) as VerdictPayload;
}

/** The bytes of a payload that is not on the fast path. */
export function encodePayload(payload: WritePayload | VerdictPayload): Uint8Array {
  return encoder.encode(JSON.stringify(payload));
}
