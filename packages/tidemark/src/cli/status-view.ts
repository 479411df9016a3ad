// A status for people, laid out for the width of the terminal.
import { formatDuration } from "@tidemark/kernel/duration";
import { isAlive } from "../platform/process-identity.ts";
import type { RunningRole } from "../platform/run-file.ts";
import { describeMeasured } from "./measured-view.ts";
import { facts, HEARD_MS, number, size, text, UNKNOWN, type Facts } from "./status-facts.ts";
import { field, type Layout } from "./status-field.ts";
import type { Answer, StatusReport } from "./status-report.ts";
import { layTable, type Cell } from "./table.ts";
import type { Paint } from "./terminal.ts";
import { describeVaults } from "./vault-view.ts";

/** The lines of a status. */
export function describeStatus(report: StatusReport, layout: Layout): string[] {
  return [
    ...describeHead(report, layout),
    "",
    ...describeRoles(report, layout),
    ...(report.control.known
      ? Object.entries(facts(report.control.value["stores"])).flatMap(([name, store]) => ["", ...describeStore(name, facts(store), layout)])
      : ["", unknownLine("stores", report.control, layout)]),
    ...measuredLines(report, layout),
    "",
    ...describeGateway(report, layout),
  ];
}

function measuredLines({ control }: StatusReport, layout: Layout): string[] {
  if (!control.known || control.value["measured"] === undefined) return [];
  const lines = describeMeasured(facts(control.value["measured"]), number(control.value["atMs"]), layout);
  return lines.length === 0 ? [] : ["", ...lines];
}

function describeHead({ name, at, stateDir, supervisor, run }: StatusReport, { columns, paint }: Layout): string[] {
  const since = run === undefined ? "" : `, up ${formatDuration(Math.max(0, Date.parse(at) - run.startedAtMs))}`;
  const words = {
    running: paint.good(`running, pid ${supervisor.pid}${since}`),
    absent: paint.dim("not started here (tidemark up)"),
    gone: paint.bad(`gone (pid ${supervisor.pid}): what died is not started again; tidemark up`),
  } as const;
  return [
    `${paint.strong(name)} ${paint.dim(`${at.slice(0, 19).replace("T", " ")} UTC`)}`,
    field("state in", stateDir, { columns, paint }),
    field("supervisor", words[supervisor.state], { columns, paint }),
  ];
}

function describeRoles({ run }: StatusReport, { columns, paint }: Layout): string[] {
  if (run === undefined) return [paint.dim("no roles known")];
  const rows = run.roles.map((role): Cell[] => [
    { text: role.name, paint: paint.strong },
    roleState(role, paint),
    { text: role.pid === 0 ? "–" : String(role.pid) },
    { text: String(role.restarts), ...(role.restarts > 0 ? { paint: paint.warn } : {}) },
    { text: role.reason?.code ?? role.address ?? "" },
  ]);
  return layTable(
    [{ title: "role" }, { title: "state" }, { title: "pid", right: true }, { title: "restarts", right: true }, { title: "address" }],
    rows,
    { columns, dim: paint.dim },
  );
}

function roleState(role: RunningRole, paint: Paint): Cell {
  // run.json says what its supervisor knew last; a process that is gone is gone.
  if (role.pid !== 0 && !isAlive(role)) return { text: "gone", paint: paint.bad };
  const colour = role.state === "ready" ? paint.good : role.state === "stopped" ? paint.bad : paint.warn;
  return { text: role.state, paint: colour };
}

function describeStore(name: string, store: Facts, layout: Layout): string[] {
  const { columns, paint } = layout;
  const record = facts(store["record"]);
  const decision = facts(store["decision"]);
  const state = text(store["state"]);
  const synchronous = text(store["synchronous"]);
  const obstacle = decision["obstacle"] === undefined ? "" : `: ${text(decision["obstacle"])}`;
  const lines = [
    paint.strong(`store ${name}`),
    field(
      "state",
      `${state === "serving" ? paint.good(state) : state === "blocked" ? paint.bad(state) : paint.warn(state)}${obstacle}`,
      layout,
    ),
    field(
      "primary",
      record["primary"] === undefined
        ? UNKNOWN
        : `${text(record["primary"])}, epoch ${text(record["epoch"])}, timeline ${text(record["timeline"])}`,
      layout,
    ),
    field("commits", /^\d/.test(synchronous) ? paint.good(`wait for ${synchronous}`) : paint.warn(synchronous), layout),
  ];
  const last = facts(store["lastFailover"]);
  if (last["kind"] !== undefined) lines.push(field("failover", describeFailover(last), layout));
  const nodes = Array.isArray(store["nodes"]) ? (store["nodes"] as unknown[]).map(facts) : [];
  const vaults = describeVaults(Array.isArray(store["vaults"]) ? (store["vaults"] as unknown[]).map(facts) : [], layout);
  if (nodes.length === 0) return [...lines, ...vaults];
  return [
    ...lines,
    ...layTable(
      [
        { title: "node" },
        { title: "state" },
        { title: "timeline", right: true },
        { title: "lsn", right: true },
        { title: "behind", right: true },
        { title: "note" },
      ],
      nodes.map((node) => nodeCells(node, paint)),
      { columns, dim: paint.dim },
    ),
    ...vaults,
  ];
}

function nodeCells(node: Facts, paint: Paint): Cell[] {
  const name: Cell = { text: text(node["node"]), paint: paint.strong };
  const status = facts(node["status"]);
  const ageMs = number(node["ageMs"]);
  if (node["status"] === undefined || ageMs === undefined || ageMs > HEARD_MS) {
    const since = ageMs === undefined ? "its agent was not heard" : `its agent was last heard ${formatDuration(ageMs)} ago`;
    return [name, { text: UNKNOWN, paint: paint.warn }, { text: "" }, { text: "" }, { text: "" }, { text: since, paint: paint.dim }];
  }
  const state = text(status["state"]);
  const fine = state === "primary" || state === "standby";
  const behind = node["role"] === "primary" ? "–" : size(node["lagBytes"]);
  const remark = status["streaming"] === true ? "streams" : text(status["detail"], "");
  return [
    name,
    { text: state, paint: fine ? paint.good : paint.warn },
    { text: text(status["timeline"]) },
    { text: text(status["lsn"]) },
    { text: behind },
    { text: remark, paint: paint.dim },
  ];
}

function describeFailover(event: Facts): string {
  const loss = facts(event["loss"]);
  const at = number(event["atMs"]);
  const took = number(event["totalMs"]);
  const lost = loss["bytes"] === undefined ? "" : `, ${text(loss["bytes"])} bytes of WAL given up`;
  const completion = facts(event["completion"]);
  const given =
    completion["from"] === undefined ? "" : `, completed by ${text(completion["bytes"])} bytes of WAL from ${text(completion["from"])}`;
  return `${event["kind"] === "failover" ? "" : `${text(event["kind"])}: `}${text(event["from"], "?")} to ${text(event["to"], "?")}, ${at === undefined ? UNKNOWN : new Date(at).toISOString().slice(0, 19).replace("T", " ")}${took === undefined ? "" : `, in ${formatDuration(took)}`}${given}${lost}`;
}

function describeGateway({ gateway, run }: StatusReport, layout: Layout): string[] {
  const { paint } = layout;
  if (gateway === undefined) return [field("gateway", paint.dim("none: every store is run by somebody else, and looked at alone"), layout)];
  if (!gateway.known) return [unknownLine("gateway", gateway, layout)];
  const { accepting, draining, writes, deadLetters, incidents, stores, journal: journalValue } = gateway.value;
  const journal = facts(journalValue);
  const reason = facts(journal["reason"]);
  const open = number(facts(deadLetters)["open"]);
  const lines = [
    `${paint.strong("gateway")}${run === undefined ? "" : ` ${run.gatewayUrl}`}`,
    field(
      "accepts",
      accepting === true
        ? paint.good("writes")
        : draining === true
          ? paint.warn("no writes: it is stopping")
          : accepting === false
            ? paint.bad(`no writes: ${text(reason["code"], "the journal is not open")}`)
            : UNKNOWN,
      layout,
    ),
    field(
      "journal",
      `${text(journal["state"])}, ${journal["durable"] === "0" ? "no writes yet" : `writes ${text(journal["oldest"])} to ${text(journal["durable"])}`}, ${size(journal["bytes"])} of ${size(journal["quotaBytes"])}`,
      layout,
    ),
    field("heals back", journal["healingHorizon"] === null ? "nothing to heal from yet" : `to ${text(journal["healingHorizon"])}`, layout),
    field("pending", text(facts(writes)["pending"]), layout),
    field("dead letters", open === 0 ? "none" : open === undefined ? UNKNOWN : paint.warn(`${open} wait for an operator`), layout),
    field("incidents", number(incidents) === 0 ? "none" : incidents === undefined ? UNKNOWN : paint.bad(text(incidents)), layout),
  ];
  for (const [name, value] of Object.entries(facts(stores))) {
    const store = facts(value);
    const applier = facts(store["applier"]);
    const behind = number(facts(store["behind"])["records"]);
    const state = text(applier["state"]);
    const colour = state === "applying" ? paint.good : state === "stopped" ? paint.bad : paint.warn;
    const pid = number(applier["pid"]);
    lines.push(
      field(
        `apply ${name}`,
        `${colour(state)}${pid === undefined ? "" : `, pid ${pid}`}${applier["message"] === undefined ? "" : `: ${text(applier["message"])}`}; behind by ${behind === undefined ? UNKNOWN : `${behind} writes at most`}`,
        layout,
      ),
    );
    lines.push(field("acknowledged", `means ${text(store["guarantee"])}`, layout));
  }
  return lines;
}

function unknownLine(what: string, answer: Answer, layout: Layout): string {
  return field(what, layout.paint.warn(`${UNKNOWN}: ${answer.known ? "" : answer.why}`), layout);
}
