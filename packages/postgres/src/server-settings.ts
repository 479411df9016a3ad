// Tidemark's settings stand in a file of their own, included last, so that it never edits what a person wrote into
// postgresql.conf. The file is replaced as a whole: written beside, synced, renamed, folder synced.
import { chown, open, readFile, rename } from "node:fs/promises";
import { dirname, join } from "node:path";
import { TidemarkError } from "@tidemark/kernel/errors";
import type { PostgresUser } from "./unprivileged-user.ts";

/** Settings by name, as one would write them into postgresql.conf, unquoted: `{ max_connections: "100" }`. */
export type ServerSettings = Readonly<Record<string, string>>;

/** Name of the file in the data directory. */
export const SETTINGS_FILE = "tidemark.conf";

const NAME = /^[a-z_][a-z0-9_]*(\.[a-z_][a-z0-9_]*)?$/i;
// eslint-disable-next-line no-control-regex -- control characters are what is looked for
const CONTROL = /[\u0000-\u001f\u007f]/;

/** The text of the settings file. Names sorted, so that the same settings give the same bytes. Throws TM-PG-SETTING. */
export function renderSettings(settings: ServerSettings): string {
  const lines = Object.keys(settings)
    .sort()
    .map((name) => `${checkName(name)} = ${quoteSetting(settings[name] ?? "")}`);
  return ["# Written by Tidemark. Changes made here are lost; postgresql.conf is yours.", ...lines, ""].join("\n");
}

/** A value in the quotes of a configuration file, where both ' and \ must be doubled. Throws TM-PG-SETTING. */
export function quoteSetting(value: string): string {
  if (CONTROL.test(value)) throw new TidemarkError("TM-PG-SETTING", "a value holds a control character");
  return `'${value.replaceAll("\\", "\\\\").replaceAll("'", "''")}'`;
}

function checkName(name: string): string {
  if (!NAME.test(name)) throw new TidemarkError("TM-PG-SETTING", `"${name}" is not the name of a setting`);
  return name;
}

/** Writes the settings file and makes postgresql.conf include it. A running server sees it at the next reload or start. */
export async function writeSettings(dataDir: string, settings: ServerSettings, user: PostgresUser): Promise<void> {
  await replaceFile(join(dataDir, SETTINGS_FILE), renderSettings(settings), user);
  const main = join(dataDir, "postgresql.conf");
  const text = await readFile(main, "utf8");
  const include = `include_if_exists = '${SETTINGS_FILE}'`;
  if (text.split("\n").some((line) => line.trim() === include)) return;
  await replaceFile(main, `${text.replace(/\n?$/, "\n")}\n${include}\n`, user);
}

/** Gives each replacement a file of its own, so that two at once cannot mix. */
let replacements = 0;

/** Replaces a file so that after a crash either the old or the new content is there, whole. Mode 0600, owned by `user`. */
export async function replaceFile(path: string, content: string | Uint8Array, user: PostgresUser): Promise<void> {
  const temporary = `${path}.new-${process.pid}-${replacements++}`;
  const file = await open(temporary, "w", 0o600);
  try {
    await file.writeFile(content);
    await file.sync();
  } finally {
    await file.close();
  }
  if (user.switches) await chown(temporary, user.uid, user.gid);
  await rename(temporary, path);
  await syncFolder(dirname(path));
}

/** Makes names in a folder durable: creation, removal and renaming of files survive a power cut only after this. */
export async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, "r");
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}
