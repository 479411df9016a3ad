// The published JSON Schema at work: its errors become findings that say what was expected, in the schema's own words.
import { readFileSync } from "node:fs";
import { Ajv2020, type ErrorObject, type ValidateFunction } from "ajv/dist/2020.js";
import type { ErrorCode } from "@tidemark/kernel/errors";
import { fromPointer, type ConfigPath, type Finding } from "./config-problem.ts";
import { didYouMean } from "./did-you-mean.ts";

/** The JSON Schema of tidemark.yaml, for editors and for the loader. */
export const CONFIG_SCHEMA_FILE = new URL("../../schema/tidemark.schema.json", import.meta.url);

let validate: ValidateFunction | undefined;

/** What in `value` does not fit the schema, one finding for each place. Empty when it fits. */
export function checkAgainstSchema(value: unknown): Finding[] {
  // That the schema is a valid one is tested; checking it here would cost every start of a role 50 ms.
  validate ??= new Ajv2020({
    allErrors: true,
    verbose: true,
    allowUnionTypes: true,
    strict: true,
    strictTypes: false,
    validateSchema: false,
  }).compile(readSchema());
  if (validate(value)) return [];
  const byPlace = new Map<string, Finding>();
  for (const error of validate.errors ?? []) {
    if (error.keyword === "if" || error.propertyName !== undefined) continue;
    const finding = toFinding(error, value);
    const place = `${finding.path.join("\0")}\0${finding.code === "TM-CONFIG-MISSING-KEY" ? finding.message : ""}`;
    // The first error of a place is the most telling one: its type comes before its pattern and limits.
    if (!byPlace.has(place)) byPlace.set(place, finding);
  }
  return [...byPlace.values()];
}

function readSchema(): object {
  return JSON.parse(readFileSync(CONFIG_SCHEMA_FILE, "utf8")) as object;
}

interface SchemaPart {
  readonly title?: string;
  readonly properties?: Readonly<Record<string, unknown>>;
  readonly enum?: readonly unknown[];
}

function toFinding(error: ErrorObject, root: unknown): Finding {
  const path = indexed(fromPointer(error.instancePath), root);
  const part = (error.parentSchema ?? {}) as SchemaPart;
  const params = error.params as Readonly<Record<string, unknown>>;
  switch (error.keyword) {
    case "additionalProperties": {
      const key = String(params["additionalProperty"]);
      const known = Object.keys(part.properties ?? {});
      const meant = didYouMean(key, known);
      return {
        path: [...path, key],
        at: "key",
        code: "TM-CONFIG-UNKNOWN-KEY",
        message: `unknown key "${key}"`,
        expected: meant === undefined ? `one of ${known.join(", ")}` : `did you mean "${meant}"?`,
      };
    }
    case "required": {
      const key = String(params["missingProperty"]);
      return {
        path,
        at: "key",
        code: "TM-CONFIG-MISSING-KEY",
        message: `the key "${key}" is missing`,
        expected: `"${key}"${aboutProperty(part, key)}`,
      };
    }
    case "propertyNames": {
      const key = String(params["propertyName"]);
      const names = (error.schema ?? {}) as { title?: string; $ref?: string };
      return {
        path: [...path, key],
        at: "key",
        code: "TM-CONFIG-VALUE",
        message: `"${shorten(key)}" cannot be a name here`,
        expected: names.title ?? "a name of lower-case letters, digits and hyphens, beginning with a letter, at most 40 long",
      };
    }
    case "enum": {
      const allowed = (params["allowedValues"] as readonly unknown[]).map(String);
      const meant = typeof error.data === "string" ? didYouMean(error.data, allowed) : undefined;
      return {
        path,
        code: "TM-CONFIG-VALUE",
        message: `${describe(error.data)} is not allowed here`,
        expected: `${part.title?.includes("`") === true ? part.title : `one of ${allowed.join(", ")}`}${meant === undefined ? "" : `; did you mean "${meant}"?`}`,
      };
    }
    case "minProperties":
    case "minItems":
      return {
        path,
        at: "key",
        code: "TM-CONFIG-VALUE",
        message: "nothing is given here",
        expected: `at least one: ${part.title ?? "an entry"}`,
      };
    case "maxProperties":
      return { path, at: "key", code: "TM-CONFIG-VALUE", message: "too much is given here", expected: part.title ?? "fewer entries" };
    case "uniqueItems":
      return { path, code: "TM-CONFIG-VALUE", message: "an entry stands here twice", expected: `${part.title ?? "a list"}, each once` };
    default:
      return {
        path,
        code: codeOf(part.title),
        message: `${describe(error.data)} does not fit here`,
        expected:
          path.length === 0
            ? "a mapping with the keys version, name, services and stores"
            : (part.title ?? error.message ?? "another value"),
      };
  }
}

function codeOf(title: string | undefined): ErrorCode {
  if (title?.startsWith("a duration") === true) return "TM-CONFIG-DURATION";
  if (title?.startsWith("a size") === true) return "TM-CONFIG-SIZE";
  if (title?.startsWith("an address") === true) return "TM-CONFIG-ADDRESS";
  return "TM-CONFIG-VALUE";
}

function aboutProperty(part: SchemaPart, key: string): string {
  const about = part.properties?.[key] as { description?: string } | undefined;
  return about?.description === undefined ? "" : `: ${about.description.split(". ")[0]?.replace(/\.$/, "")}`;
}

/** A value for a message: short, and a mapping or list by its kind. */
function describe(value: unknown): string {
  if (value === null || value === undefined) return "an empty value";
  if (Array.isArray(value)) return "a list";
  if (typeof value === "object") return "a mapping";
  return typeof value === "string" ? `"${shorten(value)}"` : shorten(JSON.stringify(value));
}

function shorten(text: string): string {
  // Control characters would steer the terminal that shows the message.
  const line = text
    .replaceAll(/\s+/g, " ")
    .replaceAll(/\p{Cc}/gu, "\uFFFD")
    .replaceAll(/\/\/[^/\s]*@/g, "//…@");
  return line.length > 60 ? `${line.slice(0, 57)}…` : line;
}

/** Turns the indexes of lists, which a pointer has as text, into numbers. */
function indexed(path: readonly string[], root: unknown): ConfigPath {
  let node = root;
  return path.map((key) => {
    const step = Array.isArray(node) ? Number(key) : key;
    node = (node as Record<string | number, unknown> | undefined)?.[step];
    return step;
  });
}
