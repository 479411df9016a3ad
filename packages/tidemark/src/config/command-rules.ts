// What must hold for each command beyond the schema of the file: its own schema, its key, its statements.
import { Ajv2020 } from "ajv/dist/2020.js";
import formatsPlugin from "ajv-formats";
import { TidemarkError } from "@tidemark/kernel/errors";
import { compileCommand } from "../gateway/command-catalogue.ts";
import { completeCommand } from "./config-defaults.ts";
import type { CommandFile } from "./config-file.ts";
import { fromPointer, type ConfigPath, type Finding } from "./config-problem.ts";
import { didYouMean } from "./did-you-mean.ts";

type JsonSchema = Readonly<Record<string, unknown>>;

/** What is wrong with one command; `path` is its place. `stores` are all that the file has, those undefined of which the form is wrong. */
export function checkCommand(
  command: CommandFile,
  path: ConfigPath,
  stores: ReadonlyMap<string, { readonly kind?: string } | undefined>,
): Finding[] {
  const findings: Finding[] = [];
  const written = [...stores].filter(([, store]) => store?.kind !== "observed").map(([name]) => name);
  if (!stores.has(command.store)) findings.push(unknownStore([...path, "store"], command.store, written));
  else if (!written.includes(command.store))
    findings.push({
      path: [...path, "store"],
      code: "TM-CONFIG-UNKNOWN-STORE",
      message: `the store "${command.store}" is run by somebody else: Tidemark looks at it and writes nothing to it`,
      expected: "a store that Tidemark runs",
    });
  const schemaFinding = checkArgumentSchema(command.schema, [...path, "schema"]);
  if (schemaFinding === undefined) findings.push(...checkKey(command, path), ...checkStatements(command, path));
  else findings.push(schemaFinding);
  if (command.sql !== undefined && command.statements !== undefined) {
    findings.push({
      path: [...path, "statements"],
      at: "key",
      code: "TM-CONFIG-COMMAND-SQL",
      message: "both `sql` and `statements` are given",
      expected: "one of them",
    });
  } else if (command.sql === undefined && command.statements === undefined) {
    findings.push({
      path,
      at: "key",
      code: "TM-CONFIG-COMMAND-SQL",
      message: "the command has no SQL",
      expected: "`sql` with one statement, or `statements` with a list",
    });
  }
  return findings;
}

/** The finding for a name that is no store. */
export function unknownStore(path: ConfigPath, name: string, stores: readonly string[]): Finding {
  const meant = didYouMean(name, stores);
  return {
    path,
    code: "TM-CONFIG-UNKNOWN-STORE",
    message: `there is no store "${name}"`,
    expected:
      meant === undefined ? `one of ${stores.join(", ") || "the stores that Tidemark runs (there are none)"}` : `did you mean "${meant}"?`,
  };
}

/** Made once: it compiles the schema of schemas when it is first used. */
let schemas: Ajv2020 | undefined;

function checkArgumentSchema(schema: JsonSchema, path: ConfigPath): Finding | undefined {
  const fault = (message: string): Finding => ({
    path,
    code: "TM-CONFIG-COMMAND-SCHEMA",
    message,
    expected: "a JSON Schema (2020-12) with `type: object` and `properties`",
  });
  if (schema["type"] !== "object") return fault("the schema of the arguments is not of `type: object`");
  schemas ??= formatsPlugin.default(
    new Ajv2020({ strict: true, strictTypes: false, strictRequired: false, allowUnionTypes: true, allErrors: false, logger: false }),
  );
  try {
    schemas.compile(schema);
    return undefined;
  } catch (error) {
    return fault(`the schema of the arguments is not valid: ${error instanceof Error ? error.message : String(error)}`);
  } finally {
    // Two commands may give their schemas the same $id.
    schemas.removeSchema(schema);
  }
}

function checkKey(command: CommandFile, path: ConfigPath): Finding[] {
  const at = [...path, "key"];
  const fault = (message: string, expected: string): Finding[] => [{ path: at, code: "TM-CONFIG-KEY-POINTER", message, expected }];
  let schema: JsonSchema | undefined = command.schema;
  const passed: string[] = [];
  for (const step of fromPointer(command.key)) {
    const properties = propertiesOf(schema, command.schema);
    const next: JsonSchema | undefined = Object.hasOwn(properties, step) ? properties[step] : undefined;
    if (next === undefined) {
      const meant = didYouMean(step, Object.keys(properties));
      return fault(
        `the key ${command.key} points to no argument of the schema`,
        meant === undefined
          ? `a pointer to one of ${Object.keys(properties).join(", ") || "the schema's properties (there are none)"}`
          : `did you mean "/${[...passed, meant].join("/")}"?`,
      );
    }
    if (!requiredOf(schema, command.schema).includes(step))
      return fault(`the key ${command.key} points to an argument that may be absent`, `"${step}" among the \`required\` of the schema`);
    passed.push(step);
    schema = next;
  }
  const types = [resolved(schema, command.schema)["type"]].flat();
  if (types.some((type) => type !== undefined && type !== "string" && type !== "integer" && type !== "number")) {
    return fault(
      `the key ${command.key} points to an argument of type ${types.join(" or ")}`,
      "an argument of type string, integer or number",
    );
  }
  return [];
}

function propertiesOf(schema: JsonSchema | undefined, root: JsonSchema): Readonly<Record<string, JsonSchema>> {
  return (resolved(schema, root)["properties"] ?? {}) as Readonly<Record<string, JsonSchema>>;
}

function requiredOf(schema: JsonSchema | undefined, root: JsonSchema): readonly unknown[] {
  return (resolved(schema, root)["required"] ?? []) as readonly unknown[];
}

/** Follows `$ref` within the schema, a few steps deep: references may form a circle. */
function resolved(schema: JsonSchema | undefined, root: JsonSchema): JsonSchema {
  let current: JsonSchema = typeof schema === "object" && schema !== null ? schema : {};
  for (let steps = 0; steps < 8 && typeof current["$ref"] === "string" && current["$ref"].startsWith("#"); steps++) {
    let target: unknown = root;
    for (const step of fromPointer(current["$ref"].slice(1))) target = (target as Record<string, unknown> | undefined)?.[step];
    current = typeof target === "object" && target !== null ? (target as JsonSchema) : {};
  }
  return current;
}

/** The statements as the gateway compiles them: parameters, volatile functions, what is not allowed at all. */
function checkStatements(command: CommandFile, path: ConfigPath): Finding[] {
  const findings: Finding[] = [];
  for (const [index, sql] of statementsOf(command).entries()) {
    try {
      compileCommand(String(path.at(-1)), { ...completeCommand(command), statements: [sql] });
    } catch (error) {
      if (!(error instanceof TidemarkError)) throw error;
      findings.push({
        path: command.sql === undefined ? [...path, "statements", index] : [...path, "sql"],
        code: error.code,
        message: error.message.replace(/, statement 1\b/, ""),
        expected: error.hint,
      });
    }
  }
  return findings;
}

function statementsOf(command: CommandFile): readonly string[] {
  return command.statements ?? (command.sql === undefined ? [] : [command.sql]);
}
