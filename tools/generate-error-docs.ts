// Writes docs/errors.md from the error catalogue. Run: node tools/run.mjs error-docs
import { writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { errorCatalogue } from "@tidemark/kernel/error-catalogue";
import type { ErrorEntry, Retry } from "@tidemark/kernel/errors";

/** Where the page lies. */
export const ERROR_DOCS_FILE = fileURLToPath(new URL("../docs/errors.md", import.meta.url));

const RETRY: Readonly<Record<Retry, string>> = {
  never: "never: the same attempt fails again",
  later: "later: the same attempt may succeed",
  unknown: "unknown: it may have taken effect; repeat only what is idempotent",
};

const AREAS: Readonly<Record<string, string>> = {
  APPLIER: "The applier",
  CLUSTER: "Agents, the lease store and failover",
  CONFIG: "The configuration",
  EXPOSURE: "Exposure",
  GATEWAY: "The gateway's HTTP API and acceptance",
  HISTORY: "The history of figures",
  JOURNAL: "The journal",
  PG: "PostgreSQL: the embedded server, the replication protocol, base backups",
  PLATFORM: "Processes, files and the command line",
  PROOF: "Proofs, the audit log and their keys",
  PROVE: "`tidemark prove`",
};

/** The page, from the catalogue. */
export function renderErrorDocs(catalogue: Readonly<Record<string, ErrorEntry>> = errorCatalogue): string {
  const byArea = Map.groupBy(Object.keys(catalogue).toSorted(), (code) => code.split("-")[1] ?? "");
  const lines = [
    "# Errors",
    "",
    "Every error has a code `TM-<AREA>-<WHAT>`. The code is its identity: it is never renamed or used for something else; the",
    "message may change. This page is generated from the catalogue in `packages/kernel/src/error-codes` (`node tools/run.mjs",
    "error-docs`), and a test proves that both agree.",
    "",
    "*Retry* says whether the same attempt may be made again. *Normal* errors belong to everyday operation; for the others",
    "somebody has to look. Over HTTP errors are RFC 9457 problems with the code in `code`.",
  ];
  for (const [area, codes] of byArea) {
    lines.push("", `## ${AREAS[area] ?? area}`);
    for (const code of codes) {
      const entry = catalogue[code];
      if (entry !== undefined) lines.push("", ...section(code, entry));
    }
  }
  return `${lines.join("\n")}\n`;
}

function section(code: string, { meaning, normal, retry, hint, httpStatus }: ErrorEntry): string[] {
  const facts = [`retry ${RETRY[retry]}`, normal ? "normal" : "not normal", ...(httpStatus === undefined ? [] : [`HTTP ${httpStatus}`])];
  return [`### ${code}`, "", meaning, "", `- ${facts.join("; ")}`, `- what to do: ${hint}`];
}

if (process.argv[1] === fileURLToPath(import.meta.url)) writeFileSync(ERROR_DOCS_FILE, renderErrorDocs());
