import picocolors from "picocolors";
import { EXIT } from "../platform/exit-codes.ts";

/** Where a command prints, as it is told: tests give it a buffer and a width. */
export interface Terminal {
  readonly out: (text: string) => void;
  readonly err: (text: string) => void;
  readonly paint: Paint;
  /** Columns; output that is meant for people is laid out for it. */
  readonly columns: number;
  /** Whether a person looks on: cursor movements and redrawing make sense. */
  readonly interactive: boolean;
}

/** Colours by meaning. Without colour each gives its text back. */
export interface Paint {
  readonly good: (text: string) => string;
  readonly bad: (text: string) => string;
  readonly warn: (text: string) => string;
  readonly dim: (text: string) => string;
  readonly strong: (text: string) => string;
}

/** Of a terminal that redraws: what was there is gone, also what scrolled away. */
export const CLEAR_SCREEN = "\u001b[H\u001b[2J\u001b[3J";

/** Used where the terminal does not say how wide it is: a pipe, a file. */
const DEFAULT_COLUMNS = 80;
/** Narrower terminals are treated as this narrow. */
const LEAST_COLUMNS = 40;

/** Colours, or none. */
export function makePaint(colours: boolean): Paint {
  const { green, red, yellow, dim, bold } = picocolors.createColors(colours);
  return { good: green, bad: red, warn: yellow, dim, strong: bold };
}

/** This process's terminal. Colours only where a person looks on and NO_COLOR (https://no-color.org) is not set. */
export function openTerminal(env: NodeJS.ProcessEnv = process.env): Terminal {
  const interactive = process.stdout.isTTY;
  // `tidemark logs | head`: whoever reads has had enough, which is no fault of this command.
  process.stdout.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code !== "EPIPE") throw error;
    process.exit(EXIT.ok);
  });
  const colours = (env["NO_COLOR"] ?? "") === "" && env["TERM"] !== "dumb" && (interactive || (env["FORCE_COLOR"] ?? "0") !== "0");
  const columns = process.stdout.columns ?? (Number(env["COLUMNS"]) || DEFAULT_COLUMNS);
  return {
    out: (text) => void process.stdout.write(`${text}\n`),
    err: (text) => void process.stderr.write(`${text}\n`),
    paint: makePaint(colours),
    columns: Math.max(LEAST_COLUMNS, columns),
    interactive,
  };
}

/** Breaks text at spaces so that no line is longer than `columns`; lines after the first begin with `indent`. Words longer than a line stay whole. */
export function wrap(text: string, columns: number, indent = ""): string {
  return text
    .split("\n")
    .map((paragraph) => {
      const lines: string[] = [];
      let line = "";
      const lead = /^ */.exec(paragraph)?.[0] ?? "";
      for (const word of paragraph.slice(lead.length).split(" ")) {
        const room = columns - (lines.length === 0 ? lead.length : indent.length);
        if (line !== "" && line.length + 1 + word.length > room) {
          lines.push(line);
          line = word;
        } else line = line === "" ? word : `${line} ${word}`;
      }
      lines.push(line);
      return lead + lines.join(`\n${indent}`);
    })
    .join(`\n${indent}`);
}
