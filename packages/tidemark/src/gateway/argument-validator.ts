import { TidemarkError } from "@tidemark/kernel/errors";
import { Ajv2020, type ErrorObject } from "ajv/dist/2020.js";
import addFormats from "ajv-formats";
import type { CommandConfig } from "../config/config.ts";

/** What is wrong with the arguments of a write: the first finding, for validation stops there. */
export interface ArgumentFault {
  /** JSON Pointer into the arguments. */
  readonly pointer: string;
  readonly message: string;
}

/** Checks the arguments of one command; undefined when they are right. */
export type ArgumentValidator = (args: unknown) => ArgumentFault | undefined;

/**
 * Compiles the JSON Schemas (draft 2020-12, strict, formats asserted) of all commands. Values are never coerced and
 * defaults never filled in: what was sent is what is journalled. Throws TM-GATEWAY-COMMAND-SCHEMA with the command.
 */
export function compileValidators(commands: Readonly<Record<string, CommandConfig>>): Map<string, ArgumentValidator> {
  const ajv = new Ajv2020({ strict: true, strictRequired: false, allErrors: false, messages: true, unicodeRegExp: true });
  // ajv-formats is CommonJS; its function is the default export of the namespace.
  (addFormats as unknown as (to: Ajv2020) => void)(ajv);
  return new Map(Object.entries(commands).map(([name, config]) => [name, compileValidator(ajv, name, config)]));
}

function compileValidator(ajv: Ajv2020, name: string, config: CommandConfig): ArgumentValidator {
  if (config.schema["type"] !== "object")
    throw new TidemarkError("TM-GATEWAY-COMMAND-SCHEMA", `command "${name}": its schema must have type: object at the top`);
  let validate;
  try {
    validate = ajv.compile(config.schema);
  } catch (error) {
    throw new TidemarkError("TM-GATEWAY-COMMAND-SCHEMA", `command "${name}": ${(error as Error).message}`, { cause: error });
  }
  return (args) => (validate(args) ? undefined : faultOf(validate.errors?.[0]));
}

function faultOf(error: ErrorObject | undefined): ArgumentFault {
  if (error === undefined) return { pointer: "", message: "do not fit the schema" };
  const named = namedMember(error);
  const pointer = named === undefined ? error.instancePath : `${error.instancePath}/${named.replaceAll("~", "~0").replaceAll("/", "~1")}`;
  return { pointer, message: `${error.message ?? "does not fit the schema"}${allowedValues(error)}` };
}

/** The member that a finding about an object is really about. */
function namedMember(error: ErrorObject): string | undefined {
  const facts = error.params as Record<string, unknown>;
  const named = facts["missingProperty"] ?? facts["additionalProperty"] ?? facts["unevaluatedProperty"] ?? facts["propertyName"];
  return typeof named === "string" ? named : undefined;
}

function allowedValues(error: ErrorObject): string {
  const allowed = (error.params as Record<string, unknown>)["allowedValues"];
  return Array.isArray(allowed) ? `: ${allowed.slice(0, 10).join(", ")}` : "";
}
