// The vaults of a store for people: what each has, how far it is behind, its object stores, and what is wrong.
import { formatDuration } from "@tidemark/kernel/duration";
import { facts, HEARD_MS, number, size, text, UNKNOWN, type Facts } from "./status-facts.ts";
import { field, type Layout } from "./status-field.ts";
import { layTable, type Cell } from "./table.ts";
import type { Paint } from "./terminal.ts";

/** Faults and holes that are shown of one vault; the number of the others is said. */
const FAULTS_SHOWN = 5;

/** A table of the vaults, and below it what each could restore, its object stores and its faults. None: no lines. */
export function describeVaults(vaults: readonly Facts[], layout: Layout): string[] {
  if (vaults.length === 0) return [];
  const { columns, paint } = layout;
  return [
    ...layTable(
      [
        { title: "vault" },
        { title: "state" },
        { title: "timeline", right: true },
        { title: "flushed", right: true },
        { title: "behind", right: true },
        { title: "note" },
      ],
      vaults.map((vault) => vaultCells(vault, paint)),
      { columns, dim: paint.dim },
    ),
    ...vaults.flatMap((vault) => (ofOwnWords(vault) === undefined ? [] : vaultDetails(vault, layout))),
  ];
}

/** What the vault says of itself; undefined when that is old or it was not heard. */
function ofOwnWords(vault: Facts): Facts | undefined {
  const ageMs = number(vault["ageMs"]);
  if (vault["status"] === undefined || ageMs === undefined || ageMs > HEARD_MS) return undefined;
  return facts(facts(vault["status"])["vault"]);
}

function vaultCells(vault: Facts, paint: Paint): Cell[] {
  const name: Cell = { text: text(vault["vault"]), paint: paint.strong };
  const own = ofOwnWords(vault);
  if (own === undefined) {
    const ageMs = number(vault["ageMs"]);
    const since = ageMs === undefined ? "it was not heard" : `it was last heard ${formatDuration(ageMs)} ago`;
    return [name, { text: UNKNOWN, paint: paint.warn }, { text: "" }, { text: "" }, { text: "" }, { text: since, paint: paint.dim }];
  }
  const state = text(own["state"]);
  const point = facts(own["recoveryPoint"]);
  const colour = state === "streaming" ? paint.good : state === "full" || state === "refusing" ? paint.bad : paint.warn;
  const remark = state === "streaming" ? (vault["member"] === true ? "commits wait for it" : "no member") : text(own["detail"], "");
  return [
    name,
    { text: state, paint: colour },
    { text: text(point["timeline"], "–") },
    { text: text(point["flushedLsn"], "–") },
    { text: size(vault["lagBytes"]) },
    { text: remark, paint: paint.dim },
  ];
}

function vaultDetails(vault: Facts, layout: Layout): string[] {
  const { paint } = layout;
  const own = ofOwnWords(vault) ?? {};
  const name = text(vault["vault"]);
  const archive = facts(own["archive"]);
  const lines = [field(`${name} has`, recoveryWords(own), layout)];
  for (const store of list(archive["stores"])) lines.push(field(`in ${text(store["name"])}`, storeWords(store, paint), layout));
  const disk = facts(own["disk"]);
  if (number(disk["freeBytes"]) !== undefined)
    lines.push(field("its disk", `${size(disk["walBytes"])} of WAL, ${size(disk["freeBytes"])} free`, layout));
  const faults = [
    ...list(own["faults"]).map((fault) => `${text(fault["code"])}: ${text(fault["what"])}${rangeWords(facts(fault["range"]))}`),
    ...list(archive["holes"]).map(
      (hole) => `a hole in ${text(hole["where"])}: timeline ${text(hole["timeline"])}, ${text(hole["start"])} to ${text(hole["end"])}`,
    ),
    ...list(archive["faults"]).map((fault) => `${text(fault["code"])}: ${text(fault["message"])}`),
  ];
  const distinct = [...new Set(faults)];
  for (const fault of distinct.slice(0, FAULTS_SHOWN)) lines.push(field("fault", paint.bad(fault), layout));
  if (distinct.length > FAULTS_SHOWN)
    lines.push(field("fault", paint.bad(`${distinct.length - FAULTS_SHOWN} more (tidemark wal status)`), layout));
  if (own["baseBackupWanted"] !== undefined) lines.push(field("wants", paint.warn("a new base backup"), layout));
  return lines;
}

/** Up to which commit this vault's own disk could restore. */
function recoveryWords(own: Facts): string {
  const point = facts(own["recoveryPoint"]);
  if (point["flushedLsn"] === undefined) return "nothing yet";
  const commit = facts(point["commit"]);
  const atMs = number(commit["atMs"]);
  const commits = number(point["commits"]);
  const newest = atMs === undefined ? "no commit was read yet" : `commits up to ${new Date(atMs).toISOString().slice(11, 23)}`;
  return `WAL to ${text(point["lastWholeRecordLsn"], text(point["flushedLsn"]))}, ${newest}${commits === undefined ? "" : `, ${commits} since it started`}`;
}

function storeWords(store: Facts, paint: Paint): string {
  const point = facts(store["recoveryPoint"]);
  const state = text(store["state"]);
  const colour = state === "current" ? paint.good : state === "stopped" ? paint.bad : paint.warn;
  const to = point["lsn"] === undefined ? "nothing yet" : `WAL to ${text(point["lsn"])}`;
  const seconds = number(store["lagSeconds"]);
  const behind =
    seconds === undefined
      ? UNKNOWN
      : seconds === 0
        ? "nothing waits"
        : `${store["lagIsLowerBound"] === true ? "at least " : ""}${formatDuration(seconds * 1_000)} behind`;
  const error = facts(store["lastError"]);
  const why = state === "held" || state === "stopped" ? `; ${text(error["code"], "")} ${text(error["message"], "")}`.trimEnd() : "";
  return `${to}, ${colour(state)}, ${behind}${why}`;
}

function rangeWords(range: Facts): string {
  const [from, to] = [facts(range["from"]), facts(range["to"])];
  return from["lsn"] === undefined ? "" : ` (timeline ${text(from["timeline"])}, ${text(from["lsn"])} to ${text(to["lsn"])})`;
}

function list(value: unknown): Facts[] {
  return Array.isArray(value) ? (value as unknown[]).map(facts) : [];
}
