import { TidemarkError } from "@tidemark/kernel/errors";
import type { VerdictPayload, WritePayload } from "../gateway/write-payload.ts";
import type { JournalRecord } from "../journal/journal.ts";

/** A record with its payload read. */
export type DecodedRecord =
  | { readonly kind: "write"; readonly record: JournalRecord; readonly write: WritePayload }
  | { readonly kind: "verdict"; readonly record: JournalRecord; readonly verdict: VerdictPayload }
  | { readonly kind: "generation"; readonly record: JournalRecord };

const text = new TextDecoder("utf-8", { fatal: true });

/** Reads a record's payload. Throws TM-APPLIER-PAYLOAD for what this version does not know (FAIL-STOP). */
export function decodeRecord(record: JournalRecord): DecodedRecord {
  if (record.kind === "generation") return { kind: "generation", record };
  const payload = parse(record) as { v?: unknown };
  if (payload.v !== 1) {
    throw new TidemarkError(
      "TM-APPLIER-PAYLOAD",
      `record ${record.sequence} has a payload of version ${String(payload.v)}; this applier reads version 1`,
    );
  }
  if (record.kind === "verdict") return { kind: "verdict", record, verdict: payload as VerdictPayload };
  return { kind: "write", record, write: payload as WritePayload };
}

function parse(record: JournalRecord): unknown {
  try {
    return JSON.parse(text.decode(record.payload)) ?? {};
  } catch (cause) {
    throw new TidemarkError("TM-APPLIER-PAYLOAD", `the payload of record ${record.sequence} (${record.kind}) is not JSON`, { cause });
  }
}
