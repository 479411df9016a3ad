// The text of a first tidemark.yaml. Comments say what nobody but a person can know; whatever came from elsewhere is quoted.
import type { BusinessConfig, CanaryMode } from "../config/observed-config.ts";
import type { ServiceConfig } from "../config/config.ts";
import { formatAddress, isLoopback } from "../config/listen-address.ts";
import type { FoundServer, FoundStore } from "./found-store.ts";

export interface FirstAnswers {
  /** Of the deployment, the service and the store: names as the configuration takes them. */
  readonly name: string;
  readonly service: string;
  readonly store: string;
  readonly owner?: string;
  readonly tier: ServiceConfig["tier"];
  readonly why?: string;
  /** Other than the tier's, as durations are written; at the loss of a process, a machine and a zone. */
  readonly rpo?: string;
  readonly rto?: string;
  readonly business?: BusinessConfig;
  readonly canary: Exclude<CanaryMode, "off">;
  /** The zones that are known, by the copy's name. */
  readonly zones: Readonly<Record<string, string>>;
  /** Relative to the file's folder; absent: no password is sent. */
  readonly passwordFile?: string;
}

/** Written beside the configuration. */
export const SCHEMA_NAME = "tidemark.schema.json";
const SCHEMA_LINE = `# yaml-language-server: $schema=./${SCHEMA_NAME}`;

/** For a store that somebody else runs. */
export function observedConfig(answers: FirstAnswers, found: FoundStore): string {
  const copies = [...found.servers.flatMap((server) => serverLines(server, answers, found)), ...archiveLines(found), ...remarkLines(found)];
  return text([
    ...head(answers, "The stores below are run by somebody else: Tidemark looks at them. `tidemark up` runs control alone."),
    ...serviceLines(answers, "observed"),
    "",
    "stores:",
    `  ${answers.store}:`,
    "    kind: observed",
    ...(answers.canary === "write"
      ? ["    # A row each second in a schema of Tidemark's own: exact, also while the store sleeps (`tidemark grants --canary`)."]
      : ["    # Nothing is written. With `write`, and `tidemark grants --canary`, exposure is exact also while the store sleeps."]),
    `    canary: ${answers.canary}`,
    "    copies:",
    ...copies,
    ...tail(),
  ]);
}

/** For a store that Tidemark runs on this machine. */
export function managedConfig(answers: FirstAnswers): string {
  return text([
    ...head(answers, "Tidemark runs the store below on this machine: `tidemark up`."),
    ...serviceLines(answers, "managed"),
    "",
    "stores:",
    `  ${answers.store}:`,
    "    kind: postgresql",
    "    # The first is the first primary; commits wait for the other and for the vault.",
    "    nodes:",
    "      pg1: { address: 127.0.0.1:7411, agent: 127.0.0.1:7421 }",
    "      pg2: { address: 127.0.0.1:7412, agent: 127.0.0.1:7422 }",
    "    vaults:",
    "      vault1: { listen: 127.0.0.1:7431, archive: { stores: { main: { kind: folder } } } }",
    "    policy: available",
    "",
    "# The writes that clients may ask for: docs/configuration.md, commands.",
    "commands: {}",
    ...tail(),
  ]);
}

function head({ name }: FirstAnswers, what: string): string[] {
  return [SCHEMA_LINE, "#", ...comment(what, ""), "version: 1", `name: ${scalar(name)}`, ""];
}

function serviceLines(answers: FirstAnswers, kind: "observed" | "managed"): string[] {
  const { service, owner, tier, why, store, business } = answers;
  return [
    "services:",
    `  ${service}:`,
    ...(owner === undefined ? ["    # owner: who answers for the service, and is named in its alerts"] : [`    owner: ${scalar(owner)}`]),
    `    tier: ${tier}`,
    ...(why === undefined ? [] : [`    why: ${scalar(why)}`]),
    `    stores: [${store}]`,
    ...objectiveLines(answers, kind),
    ...(business === undefined
      ? ["    # business: what a loss is counted in, such as { unit: orders, perHour: 1200 }"]
      : [`    business: ${businessText(business)}`]),
  ];
}

/** Nothing where the tier's usual ones are meant, but for a store of one machine, which cannot promise to survive its loss. */
function objectiveLines({ rpo, rto }: FirstAnswers, kind: "observed" | "managed"): string[] {
  const figures = [...(rpo === undefined ? [] : [`rpo: ${rpo}`]), ...(rto === undefined ? [] : [`rto: ${rto}`])];
  const objective = figures.length === 0 ? "{}" : `{ ${figures.join(", ")} }`;
  if (kind === "managed")
    return [
      "    # One machine cannot promise to survive its own loss: node-loss comes with nodes on other machines.",
      `    objectives: { process-loss: ${objective} }`,
    ];
  if (figures.length === 0)
    return [
      "    # The tier brings the usual objectives for process-loss, node-loss, zone-loss and bad-write; `tidemark config validate` shows them.",
    ];
  return [
    "    objectives:",
    ...["process-loss", "node-loss", "zone-loss"].map((scenario) => `      ${scenario}: ${objective}`),
    "      bad-write: {}",
  ];
}

function businessText({ unit, perHour, perTransaction, revenue }: BusinessConfig): string {
  const parts = [
    `unit: ${scalar(unit)}`,
    ...(perHour === undefined ? [] : [`perHour: ${perHour}`]),
    ...(perTransaction === undefined ? [] : [`perTransaction: ${perTransaction}`]),
    ...(revenue === undefined ? [] : [`revenue: { currency: ${revenue.currency}, perHour: ${revenue.perHour} }`]),
  ];
  return `{ ${parts.join(", ")} }`;
}

const COPY = "      ";

function serverLines(server: FoundServer, answers: FirstAnswers, { target }: FoundStore): string[] {
  const { host } = server.address;
  const byDefault = isLoopback(host) ? "prefer" : "require";
  const source = [
    `address: ${scalar(formatAddress(server.address))}`,
    `user: ${scalar(target.user)}`,
    ...(answers.passwordFile === undefined ? [] : [`passwordFile: ${scalar(answers.passwordFile)}`]),
    `database: ${scalar(target.database)}`,
    ...(target.tls === byDefault ? [] : [`tls: ${target.tls}`]),
  ];
  const zone = answers.zones[server.name];
  const machine = isLoopback(host) ? "localhost" : host;
  return [
    ...server.remarks.flatMap((remark) => comment(remark, COPY)),
    `${COPY}${scalar(server.name)}:`,
    `${COPY}  postgresql: { ${source.join(", ")} }`,
    ...(zone === undefined
      ? comment(
          "Its zone, region and account are not known to PostgreSQL. While they are not stated, whether it survives the loss of one is unknown.",
          `${COPY}  `,
        )
      : []),
    `${COPY}  domain: { machine: ${scalar(machine)}${zone === undefined ? "" : `, zone: ${scalar(zone)}`} }`,
  ];
}

/** The repository that archive_command names. */
function archiveLines({ archiving: { archiving, stanza, barmanServer }, servers }: FoundStore): string[] {
  const name = servers.some((server) => server.name === "backups") ? "repository" : "backups";
  const where = "Where its repository lies, only a person knows: while no domain is stated, whether it survives an accident is unknown.";
  if (archiving === "pgbackrest" && stanza !== null)
    return [
      ...comment(
        `archive_command hands WAL to pgBackRest. Where control runs, \`pgbackrest info\` must work; else name how it is asked: info: { run: [ssh, …] }. ${where}`,
        COPY,
      ),
      `${COPY}${name}:`,
      `${COPY}  pgbackrest: { stanza: ${scalar(stanza)} }`,
    ];
  if (archiving === "barman" && barmanServer !== null)
    return [
      ...comment(
        `archive_command hands WAL to Barman. Where control runs, \`barman\` must work; else name how it is asked: backups: { run: [ssh, …] }. ${where}`,
        COPY,
      ),
      `${COPY}${name}:`,
      `${COPY}  barman: { server: ${scalar(barmanServer)} }`,
    ];
  return comment(ARCHIVING[archiving], COPY);
}

const ARCHIVING: Readonly<Record<FoundStore["archiving"]["archiving"], string>> = {
  off: "WAL is archived nowhere: nothing here goes back to before a bad write.",
  hidden: "Whether WAL is archived, this login may not see. A repository of pgBackRest or Barman, or dumps, would be further copies.",
  pgbackrest:
    "archive_command hands WAL to pgBackRest and does not name the stanza; with it a copy is: backups: { pgbackrest: { stanza: … } }",
  barman: "archive_command hands WAL to Barman and does not name the server; with it a copy is: backups: { barman: { server: … } }",
  tidemark: "archive_command hands WAL to Tidemark.",
  other:
    "WAL is archived by something that is not known here; what it writes can be looked at as `objects` or by a `command`. Until then nothing here goes back to before a bad write, and that is judged so.",
};

function remarkLines({ remarks, superuser }: FoundStore): string[] {
  return [
    ...remarks,
    ...(superuser ? ["It was looked at as a superuser; a role with the rights that `tidemark grants` prints is enough, and safer."] : []),
  ].flatMap((remark) => comment(remark, COPY));
}

function tail(): string[] {
  return [
    "",
    "# Who is told: docs/configuration.md, alerts. Until somebody stands here alerts are in the API and the metrics alone.",
    "# alerts: { receivers: { on-call: { alertmanager: { url: http://127.0.0.1:9093 } } } }",
  ];
}

const COLUMNS = 128;

/** A comment, broken at spaces; control characters, which a server's names may hold, would end it. */
function comment(sentence: string, indent: string): string[] {
  const lines: string[] = [];
  let line = "";
  for (const word of sentence.replaceAll(/[\p{Cc}\p{Zl}\p{Zp}]/gu, "?").split(" ")) {
    if (line !== "" && indent.length + line.length + word.length + 3 > COLUMNS) {
      lines.push(line);
      line = word;
    } else line = line === "" ? word : `${line} ${word}`;
  }
  return [...lines, line].map((one) => `${indent}# ${one}`);
}

/** Quoted unless nobody could read it as anything else. JSON's strings are YAML's. */
function scalar(value: string): string {
  const plain = /^[A-Za-z][A-Za-z0-9_./-]*(:\d+)?$/.test(value) && !/^(true|false|null|yes|no|on|off)$/i.test(value);
  return plain ? value : JSON.stringify(value);
}

function text(lines: readonly string[]): string {
  return `${lines.join("\n")}\n`;
}
