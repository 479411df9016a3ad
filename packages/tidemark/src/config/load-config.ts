import { access, readFile } from "node:fs/promises";
import { resolve } from "node:path";
import { TidemarkError } from "@tidemark/kernel/errors";
import type { Config } from "./config.ts";
import { completeConfig } from "./config-defaults.ts";
import { parseConfigDocument, type ConfigDocument } from "./config-document.ts";
import type { ConfigFile } from "./config-file.ts";
import { ConfigError, toPointer, type ConfigProblem, type Finding } from "./config-problem.ts";
import { checkDurability, checkRules } from "./config-rules.ts";
import { checkAgainstSchema } from "./config-schema.ts";
import { checkSecrets } from "./secret-rules.ts";

export interface ConfigOptions {
  /** Overrides `stateDir` of the file; relative to the working folder. */
  readonly stateDir?: string;
}

/** A configuration that can be used, or everything that is wrong with it, in order of lines. */
export type CheckedConfig = { readonly config: Config } | { readonly problems: readonly ConfigProblem[] };

/**
 * Checks the text of a tidemark.yaml: its form, its schema, and what must hold beyond it. Reads no files and never
 * throws on any text. `file` is its path: for messages, and its folder is what relative paths are relative to.
 */
export function checkConfig(text: string, file: string, options: ConfigOptions = {}): CheckedConfig {
  const document = parseConfigDocument(text);
  if (document.broken.length > 0)
    return {
      problems: document.broken.map(({ line, column, message, expected, code }) => ({
        file,
        line,
        column,
        path: "",
        message,
        expected,
        code,
      })),
    };
  const secrets = checkSecrets(document.value);
  const secretAt = new Set(secrets.map(({ path }) => toPointer(path)));
  // Of a place with a secret nothing else is said: it might repeat it.
  const bySchema = checkAgainstSchema(document.value);
  const others = [...bySchema, ...rulesAsFarAsSound(document.value, bySchema)].filter(({ path }) => !secretAt.has(toPointer(path)));
  const findings = [...secrets, ...others];
  if (findings.length > 0) return { problems: placed(findings, document, file) };
  const config = completeConfig(document.value as ConfigFile, file, options.stateDir === undefined ? undefined : resolve(options.stateDir));
  const tooWeak = checkDurability(config);
  return tooWeak.length > 0 ? { problems: placed(tooWeak, document, file) } : { config };
}

/**
 * Loads a tidemark.yaml. Rejects with TM-CONFIG-NOT-FOUND when it cannot be read, and with a {@link ConfigError}
 * (TM-CONFIG-INVALID) that has every problem, also files that it names and that are not there.
 */
export async function loadConfig(file: string, options: ConfigOptions = {}): Promise<Config> {
  let text: string;
  try {
    text = await readFile(file, "utf8");
  } catch (cause) {
    throw new TidemarkError("TM-CONFIG-NOT-FOUND", `could not read the configuration ${resolve(file)}`, { cause, details: { file } });
  }
  const checked = checkConfig(text, file, options);
  if ("problems" in checked) throw new ConfigError(file, checked.problems);
  const missing = await missingFiles(checked.config);
  if (missing.length > 0) throw new ConfigError(file, placed(missing, parseConfigDocument(text), file));
  return checked.config;
}

/** A part is sound when no finding of the schema lies in it, nor at a place that contains it. */
function rulesAsFarAsSound(value: unknown, bySchema: readonly Finding[]): Finding[] {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return [];
  const faulty = bySchema.filter(({ path, code }) => code !== "TM-CONFIG-UNKNOWN-KEY" && path.length > 0).map(({ path }) => path);
  return checkRules(
    value as ConfigFile,
    (...part) => !faulty.some((path) => path.every((step, index) => index >= part.length || String(step) === part[index])),
  );
}

function placed(findings: readonly Finding[], document: ConfigDocument, file: string): ConfigProblem[] {
  return findings
    .map(({ path, at, message, expected, code }) => ({
      file,
      ...document.locate(path, at),
      path: toPointer(path),
      message,
      expected,
      code,
    }))
    .toSorted((a, b) => a.line - b.line || a.column - b.column);
}

async function missingFiles(config: Config): Promise<Finding[]> {
  const named: { path: (string | number)[]; file: string }[] = [];
  for (const [name, store] of Object.entries(config.stores)) {
    for (const [index, file] of store.setup.entries()) named.push({ path: ["stores", name, "setup", index], file });
  }
  if (config.gateway.tls !== undefined) {
    for (const key of ["certFile", "keyFile"] as const) named.push({ path: ["gateway", "tls", key], file: config.gateway.tls[key] });
  }
  const missing: Finding[] = [];
  for (const { path, file } of named) {
    try {
      await access(file);
    } catch (error) {
      missing.push({
        path,
        code: "TM-CONFIG-FILE",
        message: `the file ${file} cannot be read (${(error as NodeJS.ErrnoException).code ?? "unknown"})`,
        expected: "a file that is there",
      });
    }
  }
  return missing;
}
