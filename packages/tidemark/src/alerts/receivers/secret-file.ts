// A receiver's secret, read from its file for every delivery, so that a changed one counts at once.
import { readFile } from "node:fs/promises";
import { TidemarkError } from "@tidemark/kernel/errors";
import { Redacted } from "@tidemark/kernel/redacted";

/** Lines that are not empty and no comment. Rejects with TM-ALERT-SECRET, which names the file and never what is in it. */
export async function readSecretLines(file: string): Promise<Redacted<string>[]> {
  let text: string;
  try {
    text = await readFile(file, "utf8");
  } catch (cause) {
    throw new TidemarkError("TM-ALERT-SECRET", `could not read ${file}`, { cause });
  }
  const lines = text
    .split(/\r?\n/)
    .map((line) => line.trim())
    .filter((line) => line !== "" && !line.startsWith("#"));
  if (lines.length === 0) throw new TidemarkError("TM-ALERT-SECRET", `${file} is empty`);
  return lines.map((line) => new Redacted(line));
}

/** The first line. */
export async function readSecret(file: string): Promise<Redacted<string>> {
  const [first] = await readSecretLines(file);
  if (first === undefined) throw new TidemarkError("TM-ALERT-SECRET", `${file} is empty`);
  return first;
}
