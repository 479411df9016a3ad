import { TidemarkError } from "@tidemark/kernel/errors";
import { listProcesses, readProcess, readProcFile, type ProcessFacts } from "./process-facts.ts";

/** The environment variable by which a proof knows the processes that it started, and theirs. */
export const MARK = "TIDEMARK_PROVE_RUN";

/**
 * The processes that belong to one proof's stack: those that carry its mark in their environment, those that name its
 * folders on their command line (PostgreSQL is started with a fresh environment), and the children of both. Membership
 * is remembered by pid and start time, so that it outlives the parent, and a pid used again is never taken for ours.
 */
export class OwnProcesses {
  readonly #mark: string;
  readonly #folders: () => readonly string[];
  readonly #known = new Map<number, string>();

  /** @param options.folders the folders of the proof; asked anew at each look, for data may lie behind a link that is made later. */
  constructor(options: { mark: string; folders: () => readonly string[] }) {
    this.#mark = `${MARK}=${options.mark}`;
    this.#folders = options.folders;
  }

  /** Looks at all processes, remembers the new ones of ours, and gives those that live. */
  refresh(): ProcessFacts[] {
    const all = listProcesses();
    const byPid = new Map(all.map((facts) => [facts.pid, facts]));
    const strangers = new Set<number>();
    const folders = this.#folders();
    const belongs = (facts: ProcessFacts): boolean => {
      if (this.#known.get(facts.pid) === facts.started) return true;
      if (strangers.has(facts.pid) || facts.pid === process.pid) return false;
      const parent = byPid.get(facts.parentPid);
      const ours = (parent !== undefined && parent.pid > 1 && belongs(parent)) || this.#carriesMark(facts.pid, folders);
      if (ours) this.#known.set(facts.pid, facts.started);
      else strangers.add(facts.pid);
      return ours;
    };
    return all.filter((facts) => belongs(facts) && facts.state !== "Z");
  }

  /** The process and its descendants that live, itself first. Throws TM-PROVE-PROCESS when it is not ours. */
  tree(pid: number): ProcessFacts[] {
    const mine = this.refresh();
    const root = mine.find((facts) => facts.pid === pid);
    if (root === undefined) throw new TidemarkError("TM-PROVE-PROCESS", `process ${pid} is not there, or not of this proof`);
    const found = [root];
    for (const facts of found) found.push(...mine.filter((other) => other.parentPid === facts.pid && !found.includes(other)));
    return found;
  }

  /** Sends a signal to each, after a last look that it is still the same process; gives those that it reached. */
  signal(targets: readonly ProcessFacts[], signal: NodeJS.Signals): ProcessFacts[] {
    return targets.filter((facts) => {
      if (this.#known.get(facts.pid) !== facts.started)
        throw new TidemarkError("TM-PROVE-PROCESS", `process ${facts.pid} is not of this proof`);
      if (readProcess(facts.pid)?.started !== facts.started) return false;
      try {
        process.kill(facts.pid, signal);
        return true;
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === "ESRCH") return false; // Ended in between.
        throw error;
      }
    });
  }

  /** Ends everything of this proof with SIGKILL, also what it starts meanwhile. Resolves when nothing is left. */
  async end(): Promise<void> {
    for (let round = 0; round < ROUNDS; round++) {
      const mine = this.refresh();
      if (mine.length === 0) return;
      // First hold everything, so that no supervisor starts what was just ended.
      this.signal(mine, "SIGSTOP");
      this.signal(mine, "SIGKILL");
      await new Promise((resolve) => setTimeout(resolve, ROUND_MS));
    }
    throw new TidemarkError(
      "TM-PROVE-PROCESS",
      `processes of the proof do not end: ${this.refresh()
        .map((facts) => facts.pid)
        .join(", ")}`,
    );
  }

  #carriesMark(pid: number, folders: readonly string[]): boolean {
    const line = readProcFile(pid, "cmdline")?.split("\0") ?? [];
    if (line.some((part) => folders.some((folder) => part.includes(folder)))) return true;
    return readProcFile(pid, "environ")?.split("\0").includes(this.#mark) === true;
  }
}

/** Rounds of {@link OwnProcesses.end}: five seconds together. */
const ROUNDS = 100;
const ROUND_MS = 50;
