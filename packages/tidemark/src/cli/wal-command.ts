import { Command, Option } from "commander";
import type { CommandContext } from "./command-line.ts";
import { durationOption } from "./down-command.ts";
import { withPlace } from "./place.ts";
import type { FetchOptions } from "./wal-fetch-command.ts";
import type { WalPlaceOptions } from "./wal-place.ts";
import type { PushOptions } from "./wal-push-command.ts";

const DEFAULT_PATIENCE = "30s";
const DEFAULT_ARCHIVE_WAIT = "60s";

/** `tidemark wal push|fetch|status|time-to-lsn|rebuild-catalogue|clear-fault`. Each is loaded when it runs: `fetch` is started for every segment. */
export function walCommand(context: CommandContext): Command {
  return new Command("wal")
    .description("Archives WAL into vaults, gives it back to a recovery, and says up to where one could go.")
    .addCommand(fetchCommand(context))
    .addCommand(pushCommand(context))
    .addCommand(statusCommand(context))
    .addCommand(timeCommand(context))
    .addCommand(rebuildCommand(context))
    .addCommand(clearFaultCommand(context));
}

function withWalPlace(command: Command): Command {
  return withPlace(command)
    .option("-s, --store <name>", "the store, as named in the configuration (default: the only one with vaults)")
    .option("--vault <name>", "only this vault (default: all of the store)");
}

function withoutConfiguration(command: Command): Command {
  return command
    .option("--url <host:port>", "the vault's address; with --token-file no configuration is read, which is faster")
    .option("--token-file <file>", "the internal token (default: the configuration's)");
}

function fetchCommand(context: CommandContext): Command {
  return withoutConfiguration(withWalPlace(new Command("fetch")))
    .summary("restore_command: give a recovery a WAL file")
    .description(
      "restore_command: gives a recovery the WAL file %f in %p. Asks the vaults, then the object stores themselves. Whatever is unclear makes PostgreSQL stop instead of opening the database short.",
    )
    .argument("<name>", "%f: a segment or a history file")
    .argument("<destination>", "%p: where PostgreSQL wants it")
    .addOption(
      new Option("--patience <duration>", "how long what may pass is tried again")
        .argParser(durationOption)
        .default(30_000, DEFAULT_PATIENCE),
    )
    .option("--without-vault", "vaults that do not answer are lost for good: what the object stores have is all there is")
    .option("--system <identifier>", "the cluster's system identifier (default: that of the data directory it is started in)")
    .addHelpText(
      "after",
      `
Examples:
  tidemark wal fetch 00000001000000000000002A /tmp/segment
  restore_command = 'tidemark wal fetch %f "%p" --config /etc/tidemark.yaml'

Exit codes: 0 it is there · 1 the WAL surely ends before it, so recovery ends
PostgreSQL stops at: 200 may pass, out of patience · 201 a hole · 202 damaged
  203 key missing or wrong · 204 another history or cluster · 205 destination
  206 wrong use or configuration · 255 unexpected`,
    )
    .action(async (name: string, destination: string, options: FetchOptions) => {
      const { runFetch } = await import("./wal-fetch-command.ts");
      context.end(await runFetch(context.terminal, { name, destination }, options));
    });
}

function pushCommand(context: CommandContext): Command {
  return withoutConfiguration(withWalPlace(new Command("push")))
    .summary("archive_command: give a WAL file to the vaults")
    .description("archive_command: gives the WAL file %p to the vaults. Ends with 0 only when every one of them has made it durable.")
    .argument("<path>", "%p: a WAL segment, a history file or a backup label file")
    .addOption(
      new Option("--archived [duration]", "wait until every object store has it, read back and compared, at most so long")
        .argParser(durationOption)
        .preset(DEFAULT_ARCHIVE_WAIT),
    )
    .addHelpText(
      "after",
      `
Examples:
  tidemark wal push /old/pg_wal/00000001000000000000002A
  archive_command = 'tidemark wal push "%p" --config /etc/tidemark.yaml'
  archive_command = 'tidemark wal push "%p" --archived 2min'

A name that is there already: with the same bytes it is done, with other bytes
it is refused and both are kept. PostgreSQL keeps what was refused and tries
again. Exit codes: 0 durable · else not (docs/cli.md)`,
    )
    .action(async (path: string, options: PushOptions) => {
      const { runPush } = await import("./wal-push-command.ts");
      context.end(await runPush(context.terminal, path, options));
    });
}

function statusCommand(context: CommandContext): Command {
  return withWalPlace(new Command("status"))
    .summary("recovery points, holes and damage")
    .description(
      "Says up to which commit each vault and each of its object stores could restore, what is missing or damaged, and whether WAL still comes. Where a vault does not answer, its object stores are looked into.",
    )
    .option("--json", "print everything that is known as JSON")
    .addHelpText(
      "after",
      "\nExamples:\n  tidemark wal status\n  tidemark wal status --json | jq '.vaults[].status.faults'\n\nExit codes: 0 all is well · 1 something is wrong, or not known",
    )
    .action(async (options: WalPlaceOptions & { json?: boolean }) => {
      const { runWalStatus } = await import("./wal-status-command.ts");
      context.end(await runWalStatus(context.terminal, options));
    });
}

function timeCommand(context: CommandContext): Command {
  return withWalPlace(new Command("time-to-lsn"))
    .summary("find the position of a time")
    .description(
      "Turns a time into the LSN of the last commit at or before it, to recover to with recovery_target_lsn (inclusive). A recovery_target_time after the last commit would fail.",
    )
    .argument("<time>", "such as 2026-03-01T12:00:00Z; without a zone it is UTC")
    .option("--json", "print it as JSON")
    .addHelpText(
      "after",
      "\nExample:\n  tidemark wal time-to-lsn 2026-03-01T12:00:00Z\n\nExit codes: 0 found · 1 no commit that early is known",
    )
    .action(async (time: string, options: WalPlaceOptions & { json?: boolean }) => {
      const { runTimeToLsn } = await import("./wal-time-command.ts");
      context.end(await runTimeToLsn(context.terminal, time, options));
    });
}

function rebuildCommand(context: CommandContext): Command {
  return withWalPlace(new Command("rebuild-catalogue"))
    .summary("read the object stores again")
    .description(
      "Makes a vault forget what its catalogue says of the object stores, and read it again from their objects. Changes no object.",
    )
    .addHelpText(
      "after",
      "\nExample:\n  tidemark wal rebuild-catalogue --vault vault1\n\nExit codes: 0 done · 75 the vault does not answer",
    )
    .action(async (options: WalPlaceOptions) => {
      const { runRebuild } = await import("./wal-rebuild-command.ts");
      context.end(await runRebuild(context.terminal, options));
    });
}

function clearFaultCommand(context: CommandContext): Command {
  return withWalPlace(new Command("clear-fault"))
    .description(
      "Says that somebody has seen to what a vault recorded and keeps telling: a gap, WAL past a fork, damage. It is told no more; with TM-VAULT-GAP no base backup is asked for any more. Evidence stays. Faults that stand now go away with their cause only.",
    )
    .argument("<code>", "as `tidemark wal status` shows it")
    .requiredOption("--reason <text>", "why, for the audit log")
    .addHelpText(
      "after",
      '\nExample:\n  tidemark wal clear-fault TM-VAULT-GAP --reason "base backup of 1 March taken"\n\nExit codes: 0 cleared · 1 none of this code was recorded · 75 no answer',
    )
    .action(async (code: string, options: WalPlaceOptions & { reason: string }) => {
      const { runClearFault } = await import("./wal-clear-fault-command.ts");
      context.end(await runClearFault(context.terminal, code, options));
    });
}
