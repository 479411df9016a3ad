import { readFileSync } from "node:fs";
import { TidemarkError } from "@tidemark/kernel/errors";
import { LEDGER_VERSION, type Answer, type Intent, type LedgerEntry } from "./ledger-entry.ts";

type Line = { readonly ledger?: number; readonly intent?: Intent; readonly answer?: Answer };

/** The ledger's writes in the order of their intents. Throws TM-PROVE-LEDGER where it cannot be trusted. */
export function readLedger(path: string): LedgerEntry[] {
  return parseLedger(readFileSync(path, "utf8"), path);
}

/** As {@link readLedger}, from text. A last line without its end is left out; a broken line before it is an error. */
export function parseLedger(text: string, path: string): LedgerEntry[] {
  const lines = text.split("\n");
  lines.pop(); // What follows the last line end: nothing, or a line that was being written.
  const entries = new Map<number, { intent: Intent; answer?: Answer }>();
  for (const [index, source] of lines.entries()) {
    const line = parseLine(source, path, index + 1);
    if (index === 0) {
      if (line.ledger !== LEDGER_VERSION)
        throw new TidemarkError("TM-PROVE-LEDGER", `read ${path}: version ${line.ledger ?? "missing"}, expected ${LEDGER_VERSION}`);
    } else if (line.intent !== undefined) {
      entries.set(line.intent.n, { intent: line.intent });
    } else if (line.answer !== undefined) {
      const entry = entries.get(line.answer.n);
      if (entry === undefined)
        throw new TidemarkError("TM-PROVE-LEDGER", `read ${path}: line ${index + 1} answers write ${line.answer.n}, which has no intent`);
      entry.answer = line.answer;
    } else {
      throw new TidemarkError("TM-PROVE-LEDGER", `read ${path}: line ${index + 1} is neither an intent nor an answer`);
    }
  }
  return [...entries.values()];
}

function parseLine(source: string, path: string, number: number): Line {
  try {
    return JSON.parse(source) as Line;
  } catch (cause) {
    throw new TidemarkError("TM-PROVE-LEDGER", `read ${path}: line ${number} is not JSON`, { cause });
  }
}
