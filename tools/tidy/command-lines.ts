// The command lines of `tidemark` that a page shows: in inline code, and in blocks that somebody copies into a shell.

export interface CommandLine {
  readonly line: number;
  /** As it stands there, from `tidemark` on. */
  readonly text: string;
  /** The words behind `tidemark`. */
  readonly words: readonly string[];
  /** In a block for a shell it has to run as it is; inline it may be the name of a command without its arguments. */
  readonly whole: boolean;
}

/** Blocks in these languages are run; the others show files and output. */
const RUN = new Set(["sh", "bash", "shell", "console"]);

export function commandLinesOf(page: string): CommandLine[] {
  const found: CommandLine[] = [];
  let language: string | undefined;
  const lines = page.split("\n");
  for (let index = 0; index < lines.length; index++) {
    const line = lines[index] ?? "";
    const number = index + 1;
    const fence = /^\s*```(\w*)/.exec(line);
    if (fence !== null) {
      language = language === undefined ? (fence[1] ?? "") : undefined;
      continue;
    }
    if (language !== undefined) {
      if (!RUN.has(language)) continue;
      let whole = line;
      while (whole.endsWith("\\") && index + 1 < lines.length) whole = `${whole.slice(0, -1)}${lines[++index] ?? ""}`;
      for (const match of whole.matchAll(/(?:^|[|;&(]\s*|\s--\s|^\$\s|\bnpx )tidemark\s+(.*)$/g))
        found.push(lineOf(match[1] ?? "", number, true));
      continue;
    }
    for (const match of line.matchAll(/`(?:npx )?tidemark\s+([^`]+)`/g)) found.push(lineOf(match[1] ?? "", number, false));
  }
  return found;
}

function lineOf(rest: string, line: number, whole: boolean): CommandLine {
  const words = shellWords(rest);
  return { line, text: `tidemark ${words.join(" ")}`, words, whole };
}

/** The words of the first command, as a shell has them: quotes, and an end at a pipe, a redirection, a comment. */
export function shellWords(text: string): string[] {
  const words: string[] = [];
  let word: string | undefined;
  let quote: string | undefined;
  for (let index = 0; index < text.length; index++) {
    const character = text.charAt(index);
    if (quote !== undefined) {
      if (character === quote) quote = undefined;
      else word += character;
    } else if (character === '"' || character === "'") {
      quote = character;
      word ??= "";
    } else if (/\s/.test(character)) {
      if (word !== undefined) words.push(word);
      word = undefined;
    } else if (/[|;&)]/.test(character) || (character === "#" && word === undefined) || isRedirection(text, index)) {
      break;
    } else word = (word ?? "") + character;
  }
  if (word !== undefined) words.push(word);
  return words;
}

/** `> file` and not `<store>`, which is a place for a name. */
function isRedirection(text: string, index: number): boolean {
  return text[index] === ">" && !/<[^<>\s]*$/.test(text.slice(0, index));
}
