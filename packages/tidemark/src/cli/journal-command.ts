import { Command, InvalidArgumentError } from "commander";
import { formatDuration } from "@tidemark/kernel/duration";
import { systemClock } from "@tidemark/kernel/platform/system-clock";
import { dumpJournal } from "../journal/embedded/dump-journal.ts";
import { verifyJournal, type VerifyReport } from "../journal/embedded/verify-journal.ts";
import type { JournalRecord } from "../journal/journal.ts";
import { EXIT } from "../platform/exit-codes.ts";
import type { CommandContext } from "./command-line.ts";
import { findPlace, loadPlace, withPlace, type PlaceOptions } from "./place.ts";
import { wrap, type Terminal } from "./terminal.ts";

interface JournalOptions extends PlaceOptions {
  readonly directory?: string;
  readonly json?: boolean;
}

interface DumpFlags extends JournalOptions {
  readonly from?: bigint;
  readonly to?: bigint;
  readonly partition?: number;
}

/** `tidemark journal verify|dump`. Both read only, and beside a gateway that writes. */
export function journalCommand(context: CommandContext): Command {
  const command = new Command("journal").description("Looks into the journal. Changes nothing, and works while the gateway writes.");
  const verify = withPlace(new Command("verify"))
    .description("Reads every record, checks it, and says what is whole, torn or damaged.")
    .option("-d, --directory <folder>", "the journal's folder (default: the configuration's)")
    .option("--json", "print the report as JSON")
    .addHelpText(
      "after",
      "\nExamples:\n  tidemark journal verify\n  tidemark journal verify --directory /var/lib/tidemark/journal --json\n\nExit codes: 0 it is whole · 1 it is damaged, or there is none",
    )
    .action(async (options: JournalOptions) => context.end(await verifyDirectory(context.terminal, options)));
  const dump = withPlace(new Command("dump"))
    .description("Prints the records in order, one a line.")
    .option("-d, --directory <folder>", "the journal's folder (default: the configuration's)")
    .option("--from <sequence>", "the first record (default: the oldest kept)", sequenceOption)
    .option("--to <sequence>", "the last record (default: the newest)", sequenceOption)
    .option("--partition <number>", "only this partition", partitionOption)
    .option("--json", "print every record as JSON; a payload that is JSON as it is, another one as Base64")
    .addHelpText("after", "\nExamples:\n  tidemark journal dump --from 1000 --to 1010\n  tidemark journal dump --partition 3 --json")
    .action(async (options: DumpFlags) => {
      for await (const record of dumpJournal({ ...rangeOf(options), directory: await directoryOf(options) })) {
        context.terminal.out(options.json === true ? JSON.stringify(asJson(record)) : asLine(record));
      }
    });
  return command.addCommand(verify).addCommand(dump);
}

async function directoryOf(options: JournalOptions): Promise<string> {
  return options.directory ?? (await loadPlace(await findPlace(options))).journal.directory;
}

async function verifyDirectory(terminal: Terminal, options: JournalOptions): Promise<number> {
  const report = await verifyJournal({ directory: await directoryOf(options) });
  if (options.json === true) terminal.out(JSON.stringify(report, null, 2));
  else for (const line of describeReport(report, terminal)) terminal.out(line);
  return report.whole ? EXIT.ok : EXIT.failed;
}

function describeReport(report: VerifyReport, { paint, columns }: Terminal): string[] {
  const { good, bad, warn, strong } = paint;
  const lines = [
    report.whole ? `${good("✓")} journal ${strong(report.journal)} is whole` : `${bad("✗")} journal ${strong(report.journal)} is damaged`,
  ];
  const say = (text: string): void => void lines.push(`  ${wrap(text, columns - 2, "    ")}`);
  say(`${report.directory}${report.open ? ", being written now" : ""}`);
  say(
    `${counted(report.records, "record")}${report.records === 0 ? "" : `, ${report.oldest} to ${report.newest}`}, in ${counted(report.segments, "segment")} (${report.prepared} more prepared), ${counted(report.bytes, "byte")}`,
  );
  if (report.oldestAcceptedAtMs !== undefined) {
    say(
      `oldest accepted ${new Date(report.oldestAcceptedAtMs).toISOString()}, ${formatDuration(Math.max(0, systemClock.wallMs() - report.oldestAcceptedAtMs))} ago`,
    );
  }
  if (report.partitions !== undefined) say(`${report.partitions} partitions, generation ${report.generation}`);
  for (const tail of report.torn) {
    const meaning = report.open ? "a group being written, or a torn one" : "a torn group, never acknowledged; opening cuts it off";
    say(
      `${warn("!")} ${tail.bytes} bytes behind record ${BigInt(tail.sequence) - 1n}, segment ${tail.segment} at ${tail.offset}: ${meaning}`,
    );
  }
  for (const damage of report.damage) say(`${bad("✗")} ${damage.message}`);
  return lines;
}

function counted(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? "" : "s"}`;
}

function rangeOf({ from, to, partition }: DumpFlags): { from?: bigint; upTo?: bigint; partition?: number } {
  return {
    ...(from === undefined ? {} : { from }),
    ...(to === undefined ? {} : { upTo: to }),
    ...(partition === undefined ? {} : { partition }),
  };
}

function asLine(record: JournalRecord): string {
  const text = Buffer.from(record.payload).toString("utf8");
  return [
    record.sequence,
    new Date(record.acceptedAtMs).toISOString(),
    `p${record.partition}/g${record.generation}`,
    record.kind,
    JSON.stringify(record.key),
    JSON.stringify(text).slice(1, -1).replaceAll('\\"', '"'),
  ].join("  ");
}

function asJson(record: JournalRecord): object {
  const { sequence, payload, acceptedAtMs, ...rest } = record;
  return { sequence: String(sequence), acceptedAt: new Date(acceptedAtMs).toISOString(), ...rest, ...payloadJson(payload) };
}

function payloadJson(payload: Uint8Array): { payload: unknown } | { payloadBase64: string } {
  try {
    return { payload: JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(payload)) as unknown };
  } catch {
    return { payloadBase64: Buffer.from(payload).toString("base64") }; // The journal takes any bytes.
  }
}

/** For commander. */
function sequenceOption(text: string): bigint {
  if (!/^\d{1,16}$/.test(text)) throw new InvalidArgumentError("write the number of a record, such as 1000.");
  return BigInt(text);
}

function partitionOption(text: string): number {
  if (!/^\d{1,5}$/.test(text)) throw new InvalidArgumentError("write the number of a partition, from 0.");
  return Number(text);
}
