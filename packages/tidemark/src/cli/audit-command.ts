import { join } from "node:path";
import { Command, InvalidArgumentError } from "commander";
import type { AuditEntry, AuditHead } from "../audit/audit-entry.ts";
import { verifyAuditLog } from "../audit/verify-audit-log.ts";
import { EXIT } from "../platform/exit-codes.ts";
import type { CommandContext } from "./command-line.ts";
import { findPlace, stateDirOf, withPlace, type PlaceOptions } from "./place.ts";
import { wrap, type Terminal } from "./terminal.ts";

interface AuditOptions extends PlaceOptions {
  readonly json?: boolean;
  readonly anchor?: AuditHead;
  readonly lines?: number;
}

/** `tidemark audit verify|show`. */
export function auditCommand(context: CommandContext): Command {
  const command = new Command("audit").description("Verifies and shows the audit log: who did what, and why.");
  const verify = withPlace(new Command("verify"))
    .description(
      "Checks every entry and the chain of their hashes. A changed, removed or moved entry is found; one that was cut off the end together with its head file is found with --anchor.",
    )
    .argument("[file]", "the log (default: audit/audit.jsonl in the state folder)")
    .option("--anchor <entry:hash>", "where the log ended once, as a proof or an operator kept it", anchor)
    .option("--json", "print the verdict as JSON")
    .addHelpText(
      "after",
      "\nExamples:\n  tidemark audit verify\n  tidemark audit verify /backup/audit.jsonl --anchor 42:9f86d0…\n\nExit codes: 0 it is whole · 1 it was changed or damaged · 75 it cannot be read",
    )
    .action(async (file: string | undefined, options: AuditOptions) => context.end(await verifyLog(context.terminal, file, options)));
  const show = withPlace(new Command("show"))
    .description("Shows the entries, newest last.")
    .argument("[file]", "the log (default: audit/audit.jsonl in the state folder)")
    .option("-n, --lines <number>", "the last so many entries", (text) => Number(text), 50)
    .option("--json", "print the entries as they are, JSON lines")
    .addHelpText("after", "\nExample:\n  tidemark audit show -n 10")
    .action(async (file: string | undefined, options: AuditOptions) => context.end(await showLog(context.terminal, file, options)));
  return command.addCommand(verify).addCommand(show);
}

function anchor(text: string): AuditHead {
  const match = /^(\d{1,15}):([0-9a-f]{64})$/.exec(text);
  if (match === null) throw new InvalidArgumentError("the number of an entry and its hash, as 42:<64 hexadecimal digits>.");
  return { seq: Number(match[1]), hash: match[2] ?? "" };
}

async function fileOf(file: string | undefined, options: PlaceOptions): Promise<string> {
  return file ?? join(await stateDirOf(await findPlace(options)), "audit", "audit.jsonl");
}

async function verifyLog({ out, paint, columns }: Terminal, given: string | undefined, options: AuditOptions): Promise<number> {
  const file = await fileOf(given, options);
  const { whole, absent, head, faults, tornBytes } = await verifyAuditLog(file, {
    mayBeAbsent: given === undefined,
    ...(options.anchor === undefined ? {} : { anchor: options.anchor }),
  });
  if (options.json === true) out(JSON.stringify({ file, whole, absent, head, faults, tornBytes }, null, 2));
  else if (whole && absent) {
    out(wrap(`Nothing has been recorded yet: there is no ${file}`, columns, "  "));
    out(wrap("The first failover, discarded write or other decision begins it.", columns));
  } else if (whole) {
    out(`${paint.good("✓")} ${head.seq} entries, whole and in order`);
    out(`  ${wrap(`the log ends at ${head.seq}:${head.hash}`, columns - 2, "  ")}`);
    if (tornBytes > 0)
      out(
        `  ${wrap(`${tornBytes} bytes of an entry that was never finished stand at the end; the next entry cuts them`, columns - 2, "  ")}`,
      );
  } else {
    out(`${paint.bad("✗")} ${file} was changed or damaged`);
    for (const fault of faults) out(`  ${wrap(fault.line === 0 ? fault.what : `line ${fault.line}: ${fault.what}`, columns - 2, "    ")}`);
    out(`  ${wrap(`${head.seq} entries before that are whole`, columns - 2, "  ")}`);
  }
  return whole ? EXIT.ok : EXIT.failed;
}

async function showLog({ out, err, paint, columns }: Terminal, given: string | undefined, options: AuditOptions): Promise<number> {
  const { entries, whole, absent } = await verifyAuditLog(await fileOf(given, options), { mayBeAbsent: given === undefined });
  if (absent && whole) err("nothing has been recorded yet");
  for (const entry of entries.slice(-(options.lines ?? 50))) {
    if (options.json === true) out(JSON.stringify(entry));
    else for (const line of describeEntry(entry)) out(wrap(line, columns, "    "));
  }
  if (!whole) err(`${paint.bad("✗")} the log is damaged after entry ${entries.length}: tidemark audit verify`);
  return whole ? EXIT.ok : EXIT.failed;
}

function describeEntry(entry: AuditEntry): string[] {
  const facts = Object.entries(entry.facts).map(([name, value]) => `${name}=${typeof value === "string" ? value : JSON.stringify(value)}`);
  return [
    `${entry.at} ${entry.who} ${entry.action} ${entry.subject}`,
    `  ${entry.reason}`,
    ...(facts.length === 0 ? [] : [`  ${facts.join(" ")}`]),
  ];
}
