// A running postmaster, as a child of ours or adopted from an agent that died. Either way its end is an event.
import type { ChildProcess } from "node:child_process";
import type { Clock, Timer } from "@tidemark/kernel/clock";
import { processState, signalProcess } from "./process-table.ts";

export interface PostmasterExit {
  readonly pid: number;
  /** Unknown (null) for an adopted postmaster: only its parent is told. */
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly adopted: boolean;
  /** Whether we had asked for it. */
  readonly expected: boolean;
}

/** How often an adopted postmaster is looked at, milliseconds. A child's death is reported by the kernel instead. */
export const ADOPTED_POLL_MS = 20;

export class Postmaster {
  readonly pid: number;
  readonly adopted: boolean;
  /** Resolves when the process is gone; never rejects. */
  readonly exited: Promise<PostmasterExit>;
  #exit: PostmasterExit | undefined;
  #expected = false;
  #child: ChildProcess | undefined;

  private constructor(pid: number, child: ChildProcess | undefined, gone: Promise<{ code: number | null; signal: NodeJS.Signals | null }>) {
    this.pid = pid;
    this.adopted = child === undefined;
    this.#child = child;
    this.exited = gone.then((how) => (this.#exit = { pid, ...how, adopted: this.adopted, expected: this.#expected }));
  }

  /** For a child that has started (it has a pid). */
  static ofChild(child: ChildProcess, pid: number): Postmaster {
    return new Postmaster(pid, child, new Promise((resolve) => child.once("exit", (code, signal) => resolve({ code, signal }))));
  }

  /** For a process that somebody else started; it is watched by polling. */
  static adopt(pid: number, clock: Clock): Postmaster {
    const gone = new Promise<{ code: null; signal: null }>((resolve) => {
      const look = async (): Promise<void> => {
        if ((await processState(pid)) === "gone") resolve({ code: null, signal: null });
        else schedule();
      };
      const schedule = (): Timer => clock.setTimer(ADOPTED_POLL_MS, () => void look(), { keepAlive: false });
      schedule();
    });
    return new Postmaster(pid, undefined, gone);
  }

  get exit(): PostmasterExit | undefined {
    return this.#exit;
  }

  /** Marks the coming end as asked for. */
  expectExit(): void {
    this.#expected = true;
  }

  /** False when the process is gone. */
  signal(signal: NodeJS.Signals): boolean {
    return this.#exit === undefined && signalProcess(this.pid, signal);
  }

  /** Lets this process end while the postmaster goes on. */
  release(): void {
    this.#child?.unref();
  }
}
