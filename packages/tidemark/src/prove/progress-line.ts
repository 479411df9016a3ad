import { formatDuration } from "@tidemark/kernel/duration";
import type { PhaseName, ProgressListener } from "./phases.ts";
import { formatCount } from "./report/numbers.ts";

/** Where progress is shown. */
export interface ProgressOutput {
  write(text: string): void;
  readonly columns: number;
  /** A terminal: one line that is written over. Otherwise one line for each phase. */
  readonly live: boolean;
}

/** Narrower terminals get the time in short. */
const NARROW = 60;
const REDRAW_MS = 250;
const ERASE_LINE = "\r\u001b[2K";

/** Shows what a proof is at: phase, rate, acknowledged, elapsed, and when it should end. */
export class ProgressLine implements ProgressListener {
  readonly #title: string;
  readonly #output: ProgressOutput;
  readonly #expectedMs: number;
  readonly #startedMs = Date.now();
  readonly #timer: NodeJS.Timeout | undefined;
  #phase: PhaseName | undefined;
  #acknowledged = 0;
  #rate = 0;
  #last = { atMs: Date.now(), acknowledged: 0 };

  /** @param expectedMs about how long the whole of it takes. */
  constructor(title: string, output: ProgressOutput, expectedMs: number) {
    this.#title = title;
    this.#output = output;
    this.#expectedMs = expectedMs;
    if (output.live) this.#timer = setInterval(() => this.#draw(), REDRAW_MS).unref();
  }

  phase(name: PhaseName, _expectedMs?: number): void {
    this.#phase = name;
    if (this.#output.live) this.#draw();
    else this.#output.write(`${this.#line(80)}\n`);
  }

  counts(acknowledged: number): void {
    this.#acknowledged = acknowledged;
    const nowMs = Date.now();
    if (nowMs - this.#last.atMs < 500) return;
    this.#rate = ((acknowledged - this.#last.acknowledged) * 1_000) / (nowMs - this.#last.atMs);
    this.#last = { atMs: nowMs, acknowledged };
  }

  note(text: string): void {
    if (!this.#output.live) this.#output.write(`  ${text}\n`);
  }

  /** Takes the line away. */
  end(): void {
    clearInterval(this.#timer);
    if (this.#output.live) this.#output.write(ERASE_LINE);
  }

  #draw(): void {
    this.#output.write(`${ERASE_LINE}${this.#line(this.#output.columns - 1)}`);
  }

  #line(columns: number): string {
    const elapsedMs = Date.now() - this.#startedMs;
    const [elapsed, expected] = [short(elapsedMs), short(this.#expectedMs)];
    const wide = elapsedMs < this.#expectedMs ? `${elapsed} of about ${expected}` : `${elapsed}, longer than thought`;
    const clock = columns < NARROW ? `${elapsed}/${expected}` : wide;
    const parts = [
      this.#title,
      this.#phase ?? "starting",
      ...(this.#acknowledged === 0 ? [] : [`${formatCount(Math.round(this.#rate))}/s`, `${formatCount(this.#acknowledged)} acknowledged`]),
      clock,
    ];
    return fitParts(parts, columns);
  }
}

/** Joins the parts, leaving out from the middle what does not fit; what is at hand and the time stay. */
export function fitParts(parts: readonly string[], columns: number): string {
  const left = [...parts];
  while (left.length > 3 && left.join("  ").length > columns) left.splice(2, 1);
  const line = left.join("  ");
  return line.length <= columns ? line : line.slice(0, columns);
}

function short(ms: number): string {
  return formatDuration(Math.round(ms / 1_000) * 1_000).replace(/\.\d+ s$/, " s");
}
