// Runs a command of the operator's: exit code 0 and one number on standard output, or it is away. The last resort for what no other probe
// reads: a snapshot of a cloud, an appliance, a script that somebody trusts.
import type { Clock } from "@tidemark/kernel/clock";
import { runCommand } from "./json-source.ts";
import { ProbeFault } from "./postgresql/postgresql-fault.ts";
import type { CopyFacts } from "./probe-result.ts";
import { known, unknown } from "./probe-result.ts";
import { ProbeTurns } from "./probe-turns.ts";
import type { Probe, ProbeReading } from "./probe.ts";

export interface CommandProbeOptions {
  readonly name: string;
  readonly store: string;
  /** Program and arguments, as they are: no shell reads them. */
  readonly command: readonly [string, ...string[]];
  /** The command gets these and PATH only. */
  readonly environment?: Readonly<Record<string, string>>;
  /**
   * What the number is: how old the copy's newest state is, seconds; when it was made, seconds since 1970; or a figure for metrics and
   * alerts alone, which says nothing of a copy.
   */
  readonly says: "age" | "time" | "figure";
  /** The copy that an age or a time is of. */
  readonly copy?: Pick<CopyFacts, "name" | "kind" | "domain" | "holds" | "lockedUntilMs" | "freshForMs">;
  readonly clock: Clock;
}

export class CommandProbe implements Probe {
  readonly name: string;
  readonly store: string;
  readonly #options: CommandProbeOptions;
  readonly #turns: ProbeTurns;

  constructor(options: CommandProbeOptions) {
    this.#options = options;
    this.#turns = new ProbeTurns(options.clock);
    this.name = `command ${options.name}`;
    this.store = options.store;
  }

  probe(signal: AbortSignal): Promise<ProbeReading> {
    const { command, environment = {}, copy, says, name } = this.#options;
    return this.#turns.run(signal, async (turn) => {
      const end = await runCommand({ kind: "command", command, environment }, turn.signal);
      if (end.exitCode !== 0) throw new ProbeFault("TM-PROBE-FAILED", `the command ended with code ${end.exitCode}`);
      const value = readNumber(end.output);
      // It was true at some moment while the command ran.
      const measured = { atMs: turn.atMs, method: "reported" as const, errorMs: turn.elapsedMs() };
      const figures = { [`command_${name}`]: known(value, measured) };
      if (says === "figure" || copy === undefined) return { copies: [], figures };
      const commitMs = says === "age" ? turn.atMs - value * 1_000 : value * 1_000;
      if (commitMs > turn.atMs + turn.elapsedMs()) throw new ProbeFault("TM-PROBE-GARBAGE", "the number is a time that has not come");
      const silent = unknown<never>("the command says how old the copy is, and no more", turn.atMs);
      return {
        copies: [
          {
            ...copy,
            // A time alone never says that nothing is missing since.
            recoveryPoint: known({ commitMs, complete: false }, measured),
            missingBytes: silent,
            missingTransactions: silent,
            synchronous: known(false, measured),
            remarks: [`as the command ${name} says`],
          },
        ],
        figures,
      };
    });
  }

  close(): Promise<void> {
    return this.#turns.close();
  }
}

/** One number, and nothing else. Its text is not repeated: it may be anything, also a secret. */
function readNumber(output: string): number {
  const text = output.trim();
  if (!/^[+-]?\d{1,30}(\.\d{1,30})?$/.test(text)) throw new ProbeFault("TM-PROBE-GARBAGE", "it wrote something else than one number");
  return Number(text);
}
