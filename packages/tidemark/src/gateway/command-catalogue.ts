import { TidemarkError, type ErrorCode } from "@tidemark/kernel/errors";
import type { CommandConfig } from "../config/config.ts";
import { sqlTokens, UnclosedSql, type SqlToken } from "./sql-tokens.ts";

/** A statement ready for the wire: SQL text with `$1 … $n` and, in that order, the names of what goes there. */
export interface CompiledStatement {
  readonly text: string;
  /** `parameters[0]` is `$1`. Names of arguments, or one of {@link FROZEN_PARAMETERS}. */
  readonly parameters: readonly string[];
}

/** A command as gateway and applier use it. */
export interface CompiledCommand {
  readonly name: string;
  readonly store: string;
  /** JSON Pointer into the arguments to the partition key. */
  readonly key: string;
  readonly statements: readonly CompiledStatement[];
  readonly onReject: "skip" | "stop-key";
  readonly volatile: boolean;
}

/**
 * Parameters that do not come from the arguments. They are frozen at acceptance (R14): `id` is the write's UUID,
 * `accepted_at` the time of acceptance (timestamptz), `key` the partition key (text).
 */
const FROZEN_PARAMETERS = ["id", "accepted_at", "key"] as const;

/** The most statements of one command; more are refused when the configuration is read. */
const MOST_STATEMENTS = 16;

/** Only statements that read and write rows: no transaction control, no session state, no definitions. */
const ALLOWED_FIRST_WORDS = new Set(["insert", "update", "delete", "merge", "select", "with"]);

/** Functions with another answer at another time or in another session, with state outside of the transaction, or with effects outside of the database's rows. */
const VOLATILE_FUNCTIONS = new Set(
  (
    "now clock_timestamp statement_timestamp transaction_timestamp timeofday random random_normal setseed gen_random_uuid gen_random_bytes gen_salt " +
    "uuidv4 uuidv7 uuid_generate_v1 uuid_generate_v1mc uuid_generate_v4 nextval setval currval lastval txid_current txid_current_if_assigned " +
    "txid_current_snapshot pg_current_xact_id pg_current_xact_id_if_assigned pg_current_snapshot pg_backend_pid pg_current_wal_lsn " +
    "pg_current_wal_insert_lsn pg_postmaster_start_time pg_conf_load_time inet_client_addr inet_client_port inet_server_addr inet_server_port " +
    "pg_notify pg_sleep pg_sleep_for pg_sleep_until pg_advisory_lock pg_advisory_lock_shared pg_try_advisory_lock " +
    "pg_try_advisory_lock_shared dblink dblink_exec lo_import lo_export lo_create pg_logical_emit_message"
  ).split(" "),
);

/** Functions that reach around the applier's transaction; refused even where `volatile` is set. */
const FORBIDDEN_FUNCTIONS = new Set([
  "set_config",
  "pg_terminate_backend",
  "pg_cancel_backend",
  "pg_reload_conf",
  "pg_promote",
  "pg_advisory_unlock_all",
]);

/** The same without parentheses. */
const VOLATILE_WORDS = new Set(["current_timestamp", "current_date", "current_time", "localtime", "localtimestamp"]);

/** Date inputs that PostgreSQL reads as another moment each time. */
const VOLATILE_CONSTANTS = new Set(["'now'", "'today'", "'tomorrow'", "'yesterday'"]);
const TIME_TYPES = new Set(["timestamp", "timestamptz", "date", "time", "timetz", "zone"]);

/**
 * Compiles the commands of a configuration. Throws TM-GATEWAY-COMMAND-SQL, -PARAMETER or -VOLATILE; the message names
 * the command and the statement (from 1).
 */
export function compileCommands(commands: Readonly<Record<string, CommandConfig>>): Map<string, CompiledCommand> {
  return new Map(Object.entries(commands).map(([name, config]) => [name, compileCommand(name, config)]));
}

/** Compiles one command; see {@link compileCommands}. */
export function compileCommand(name: string, config: CommandConfig): CompiledCommand {
  if (config.statements.length === 0 || config.statements.length > MOST_STATEMENTS) {
    throw new TidemarkError(
      "TM-GATEWAY-COMMAND-SQL",
      `command "${name}" has ${config.statements.length} statements; it needs 1 to ${MOST_STATEMENTS}`,
    );
  }
  const statements = config.statements.map((sql, index) => new StatementCompiler(name, index + 1, config).compile(sql));
  return { name, store: config.store, key: config.key, statements, onReject: config.onReject, volatile: config.volatile };
}

class StatementCompiler {
  readonly #where: string;
  readonly #config: CommandConfig;
  readonly #properties: ReadonlySet<string>;

  constructor(command: string, number: number, config: CommandConfig) {
    this.#where = `command "${command}", statement ${number}`;
    this.#config = config;
    this.#properties = new Set(Object.keys((config.schema["properties"] as object | undefined) ?? {}));
  }

  compile(sql: string): CompiledStatement {
    const tokens = this.#withoutEnd(this.#tokens(sql));
    this.#checkShape(tokens.filter((token) => token.kind !== "space"));
    const parameters: string[] = [];
    const text = tokens.map((token) => (token.kind === "parameter" ? this.#place(token.text.slice(1), parameters) : token.text)).join("");
    return { text: text.trim(), parameters };
  }

  #tokens(sql: string): SqlToken[] {
    try {
      return sqlTokens(sql);
    } catch (error) {
      if (error instanceof UnclosedSql) throw this.#fault("TM-GATEWAY-COMMAND-SQL", error.message);
      throw error;
    }
  }

  /** Takes a final semicolon off and refuses anything behind one: one string is one statement. */
  #withoutEnd(tokens: readonly SqlToken[]): readonly SqlToken[] {
    const end = tokens.findIndex((token) => token.kind === "operator" && token.text === ";");
    if (end < 0) return tokens;
    if (tokens.slice(end + 1).some((token) => token.kind !== "space")) {
      throw this.#fault("TM-GATEWAY-COMMAND-SQL", "holds several statements in one string; write them as separate items of the list");
    }
    return tokens.slice(0, end);
  }

  #checkShape(tokens: readonly SqlToken[]): void {
    const first = tokens[0];
    if (first === undefined) throw this.#fault("TM-GATEWAY-COMMAND-SQL", "is empty");
    if (first.kind !== "word" || !ALLOWED_FIRST_WORDS.has(first.text.toLowerCase())) {
      throw this.#fault(
        "TM-GATEWAY-COMMAND-SQL",
        `begins with "${first.text}"; only ${[...ALLOWED_FIRST_WORDS].join(", ").toUpperCase()} are allowed`,
      );
    }
    for (const [index, token] of tokens.entries()) {
      if (token.kind === "positional")
        throw this.#fault("TM-GATEWAY-COMMAND-PARAMETER", `uses ${token.text}; write parameters by name, such as :name`);
      const call = calledFunction(tokens, index);
      if (call !== undefined && FORBIDDEN_FUNCTIONS.has(call)) {
        throw this.#fault("TM-GATEWAY-COMMAND-SQL", `calls ${call}(), which reaches around the applier's transaction`);
      }
      const found = call !== undefined && VOLATILE_FUNCTIONS.has(call) ? `${call}()` : volatileToken(tokens, index);
      if (found !== undefined && !this.#config.volatile) throw this.#fault("TM-GATEWAY-COMMAND-VOLATILE", `uses ${found}`);
    }
  }

  /** The `$n` of a named parameter; the same name takes the same number. */
  #place(name: string, parameters: string[]): string {
    const frozen = (FROZEN_PARAMETERS as readonly string[]).includes(name);
    const declared = this.#properties.has(name);
    if (frozen && declared) {
      throw this.#fault(
        "TM-GATEWAY-COMMAND-PARAMETER",
        `uses :${name}, which is frozen at acceptance, but its schema has a property of that name too; rename the property`,
      );
    }
    if (!frozen && !declared) {
      throw this.#fault(
        "TM-GATEWAY-COMMAND-PARAMETER",
        `uses :${name}, which is neither a property of its schema (${[...this.#properties].join(", ")}) nor :id, :accepted_at or :key`,
      );
    }
    const known = parameters.indexOf(name);
    return `$${known >= 0 ? known + 1 : parameters.push(name)}`;
  }

  #fault(code: ErrorCode, what: string): TidemarkError {
    return new TidemarkError(code, `${this.#where} ${what}`);
  }
}

/** The name of the function that is called at `index`, in lower case; a function in another schema than pg_catalog is the user's own. */
function calledFunction(tokens: readonly SqlToken[], index: number): string | undefined {
  const token = tokens[index];
  if (token === undefined || tokens[index + 1]?.text !== "(" || (token.kind !== "word" && token.kind !== "quoted")) return undefined;
  const schema = tokens[index - 1]?.text === "." ? tokens[index - 2] : undefined;
  if (schema !== undefined && plainName(schema) !== "pg_catalog") return undefined;
  return plainName(token);
}

function plainName(token: SqlToken): string {
  return token.kind === "quoted" ? token.text.slice(1, -1) : token.text.toLowerCase();
}

function volatileToken(tokens: readonly SqlToken[], index: number): string | undefined {
  const token = tokens[index];
  if (token === undefined) return undefined;
  if (token.kind === "word" && tokens[index - 1]?.text !== "." && VOLATILE_WORDS.has(token.text.toLowerCase()))
    return token.text.toUpperCase();
  if (token.kind !== "string" || !VOLATILE_CONSTANTS.has(token.text.toLowerCase())) return undefined;
  const before = tokens[index - 1]?.text.toLowerCase() ?? "";
  return tokens[index + 1]?.text === "::" || TIME_TYPES.has(before) ? `the constant ${token.text}` : undefined;
}

/** The write whose values go into a statement. */
export interface BoundWrite {
  readonly id: string;
  readonly acceptedAtMs: number;
  readonly key: string;
  readonly args: Readonly<Record<string, unknown>>;
}

/**
 * The values of a statement's parameters, in order: arguments as they came in JSON (an absent one is null, also where an
 * object's prototype has the name), `accepted_at` as ISO text with milliseconds.
 */
export function boundValues(statement: CompiledStatement, write: BoundWrite): unknown[] {
  return statement.parameters.map((name) => {
    if (name === "id") return write.id;
    if (name === "key") return write.key;
    if (name === "accepted_at") return new Date(write.acceptedAtMs).toISOString();
    return Object.hasOwn(write.args, name) ? (write.args[name] ?? null) : null;
  });
}
