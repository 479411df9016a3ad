// Questions to a person on a terminal, a line each.
import { createInterface } from "node:readline";
import type { Question, Questioner } from "../init/interview.ts";
import type { Terminal } from "./terminal.ts";
import { wrap } from "./terminal.ts";

/** The person pressed Ctrl-C, or the terminal is gone. */
export class GoneAway extends Error {}

/** Where answers come from and questions go to. */
export interface QuestionStreams {
  readonly input: NodeJS.ReadableStream;
  readonly output: NodeJS.WritableStream;
}

/** So many lines are kept that nobody has asked for yet; more are dropped. */
const MOST_EARLY = 100;

/** One at a time; `close` gives the terminal back. */
export class LineQuestioner implements Questioner, Disposable {
  readonly #terminal: Terminal;
  readonly #lines: ReturnType<typeof createInterface>;
  readonly #gone = Promise.withResolvers<never>();
  /** Lines that came before they were asked for: typed ahead, or pasted. */
  readonly #early: string[] = [];
  #waiting: ((line: string) => void) | undefined;

  constructor(terminal: Terminal, streams: QuestionStreams) {
    this.#terminal = terminal;
    this.#lines = createInterface({ ...streams, terminal: terminal.interactive });
    this.#gone.promise.catch(() => undefined);
    const goAway = (): void => this.#gone.reject(new GoneAway());
    this.#lines.on("line", (line) => {
      if (this.#waiting !== undefined) this.#waiting(line);
      else if (this.#early.length < MOST_EARLY) this.#early.push(line);
    });
    this.#lines.once("SIGINT", goAway).once("close", goAway);
  }

  async ask({ about, text, byDefault = "", fault }: Question): Promise<string> {
    const { out, paint, columns } = this.#terminal;
    if (about !== undefined) out(wrap(about, columns));
    for (;;) {
      const prompt = `${paint.strong(text)} ${byDefault === "" ? "" : paint.dim(`[${byDefault}] `)}`;
      const answer = ((await this.#line(prompt)).trim() || byDefault).trim();
      const wrong = fault?.(answer);
      if (wrong === undefined) return answer;
      out(paint.warn(wrap(`That does not fit: ${wrong}.`, columns)));
    }
  }

  [Symbol.dispose](): void {
    this.#lines.close();
  }

  #line(prompt: string): Promise<string> {
    this.#lines.setPrompt(prompt);
    this.#lines.prompt();
    const early = this.#early.shift();
    if (early !== undefined) return Promise.resolve(early);
    const line = new Promise<string>((resolve) => {
      this.#waiting = (text) => {
        this.#waiting = undefined;
        resolve(text);
      };
    });
    return Promise.race([line, this.#gone.promise]);
  }
}
