// `tidemark wal status` for people, laid out for the width of the terminal. What is not known is shown as unknown, never as zero.
import { formatDuration } from "@tidemark/kernel/duration";
import { formatSize } from "../config/size.ts";
import type { RecoveryPointStatus, StoreStatus } from "../vault/archive/archive-status.ts";
import { layTable, type Cell } from "./table.ts";
import { wrap, type Paint } from "./terminal.ts";
import type { StoreSurveyed, VaultReport, VaultSays, WalReport } from "./wal-status-report.ts";

interface Layout {
  readonly columns: number;
  readonly paint: Paint;
}

const UNKNOWN = "unknown";
const LABEL_WIDTH = 10;
/** Pieces of evidence that are named, the oldest. */
const EVIDENCE_SHOWN = 4;

/** The lines of a status. */
export function describeWalStatus(report: WalReport, layout: Layout): string[] {
  const { paint, columns } = layout;
  const verdict =
    report.troubles.length === 0
      ? [paint.good("✓ nothing is missing, damaged or held up")]
      : report.troubles.map((trouble) => `${paint.bad("✗")} ${wrap(trouble, columns - 2, "  ")}`);
  return [
    `${paint.strong(`WAL of ${report.store}`)} ${paint.dim(`${clock(Date.parse(report.at))} UTC`)}`,
    ...report.vaults.flatMap((vault) => ["", ...describeVault(vault, Date.parse(report.at), layout)]),
    "",
    ...verdict,
  ];
}

function describeVault(report: VaultReport, nowMs: number, layout: Layout): string[] {
  const { paint } = layout;
  const head = `${paint.strong(`vault ${report.vault}`)} ${paint.dim(report.address)}`;
  if (report.status !== undefined) return [head, ...describeStatus(report.status, nowMs, layout)];
  const surveys = report.stores.flatMap((store) => describeSurvey(store, nowMs, layout));
  return [
    head,
    field("state", paint.bad(`does not answer: ${report.why ?? UNKNOWN}`), layout),
    field("restores", `${UNKNOWN}: what only the vault has cannot be seen from here`, layout),
    ...(surveys.length === 0 ? [] : [paint.dim("Looked into its object stores from here:"), ...surveys]),
  ];
}

function describeStatus(status: VaultSays, nowMs: number, layout: Layout): string[] {
  const { paint } = layout;
  const state = status.state ?? UNKNOWN;
  const from = status.primary === undefined ? "" : ` from ${status.primary.node}, epoch ${status.primary.epoch}`;
  const stores = status.archive?.stores ?? [];
  return [
    field(
      "state",
      `${state === "streaming" ? paint.good(state + from) : paint.warn(state)}${status.detail === undefined ? "" : `: ${status.detail}`}`,
      layout,
    ),
    field("restores", describePoint(status, nowMs), layout),
    field("received", describeReceived(status), layout),
    field("slot", describeSlot(status, paint), layout),
    ...(status.promised === undefined ? [] : [field("promised", `epoch ${status.promised}${voteText(status)}`, layout)]),
    ...(status.disk === undefined
      ? []
      : [field("disk", `${formatSize(status.disk.walBytes)} of WAL, ${formatSize(status.disk.freeBytes)} free`, layout)]),
    ...((status.evidence?.count ?? 0) === 0 ? [] : [field("evidence", describeEvidence(status), layout)]),
    ...(status.archive?.local === undefined ? [] : [field("checked", describeChecked(status), layout)]),
    ...(stores.length === 0
      ? [field("stores", paint.warn("none: this vault's disk is the only copy"), layout)]
      : describeStores(stores, nowMs, layout)),
  ];
}

function describePoint({ recoveryPoint: point }: VaultSays, nowMs: number): string {
  if (point === undefined) return UNKNOWN;
  const commit =
    point.commit === undefined
      ? "; no commit was seen yet"
      : `; last commit ${clock(point.commit.atMs)} UTC, ${age(nowMs - point.commit.atMs)}`;
  const count = point.commits === undefined ? "" : `; ${point.commits.toLocaleString("en")} commits read`;
  return `to ${point.lastWholeRecordLsn ?? UNKNOWN} on timeline ${point.timeline}${commit}${count}`;
}

function describeReceived({ recoveryPoint, serverEndLsn, lagBytes, silentMs }: VaultSays): string {
  const flushed = recoveryPoint === undefined ? UNKNOWN : `${recoveryPoint.flushedLsn} is durable`;
  const behind =
    lagBytes === undefined
      ? ""
      : lagBytes === 0
        ? "; nothing behind the server"
        : `; ${formatSize(lagBytes)} behind the server${serverEndLsn === undefined ? "" : ` at ${serverEndLsn}`}`;
  return `${flushed}${behind}${silentMs === undefined ? "" : `; server heard ${age(silentMs)}`}`;
}

function describeSlot({ slot }: VaultSays, paint: Paint): string {
  if (slot?.walStatus === undefined) return UNKNOWN;
  const safe = slot.safeWalBytes === undefined ? "" : `; ${formatSize(slot.safeWalBytes)} may still be written`;
  const text = `${slot.walStatus}${slot.active === false ? ", not in use" : ""}${safe}`;
  return slot.walStatus === "reserved" ? text : slot.walStatus === "extended" ? paint.warn(text) : paint.bad(text);
}

function voteText({ vote }: VaultSays): string {
  return vote === undefined ? "" : `, voted ${(vote as { lsn?: string }).lsn ?? UNKNOWN}`;
}

function describeChecked({ archive }: VaultSays): string {
  const { segments = 0, checked = 0 } = archive?.local ?? {};
  return segments === 0 ? "no sealed segment is here" : `${segments} sealed segments here, ${checked} read again since the start`;
}

/** It takes room until somebody has looked into it. */
function describeEvidence({ evidence, disk }: VaultSays): string {
  const { count = 0, folders = [] } = evidence ?? {};
  const named = folders.slice(0, EVIDENCE_SHOWN).map(({ name, bytes }) => `${name} (${formatSize(bytes)})`);
  const more = count > named.length ? `, and ${count - named.length} more` : "";
  const total = disk === undefined ? "" : `, ${formatSize(disk.divergedBytes)}`;
  return `${count} in the vault's diverged/${total}, kept until somebody removes them: ${named.join(", ")}${more}`;
}

function describeStores(stores: readonly StoreStatus[], nowMs: number, layout: Layout): string[] {
  const rows = stores.map((store): Cell[] => [
    { text: `store ${store.name}`, paint: layout.paint.strong },
    {
      text: store.state,
      paint: store.state === "current" ? layout.paint.good : store.state === "archiving" ? layout.paint.dim : layout.paint.warn,
    },
    { text: pointText(store.recoveryPoint, nowMs) },
    { text: `${store.lagIsLowerBound ? "≥ " : ""}${formatSize(Number(store.lagBytes))}, ${formatDuration(store.lagSeconds * 1_000)}` },
    { text: `${store.objects} in ${formatSize(store.storedBytes)}` },
    { text: store.unverified === 0 ? "" : `${store.unverified} not read yet` },
  ]);
  return layTable(
    [{ title: "" }, { title: "state" }, { title: "restores to" }, { title: "behind" }, { title: "objects" }, { title: "" }],
    rows,
    { columns: layout.columns, dim: layout.paint.dim },
  );
}

function describeSurvey(surveyed: StoreSurveyed, nowMs: number, layout: Layout): string[] {
  const { paint } = layout;
  if (!surveyed.known) return [field(surveyed.store, paint.bad(`cannot be read: ${surveyed.why}`), layout)];
  if (surveyed.systems.length === 0) return [field(surveyed.store, paint.warn("is empty"), layout)];
  return surveyed.systems.map((system) => {
    const newest = system.newestAtMs === undefined ? "" : `; newest object ${age(nowMs - system.newestAtMs)}`;
    return field(surveyed.store, `restores to ${pointText(system.recoveryPoint, nowMs)}; ${system.objects} objects${newest}`, layout);
  });
}

function pointText(point: RecoveryPointStatus | undefined, nowMs: number): string {
  if (point === undefined) return UNKNOWN;
  return `${point.lsn} on timeline ${point.timeline}${point.commitTimeMs === undefined ? "" : `, commit ${age(nowMs - point.commitTimeMs)}`}`;
}

function field(label: string, value: string, { columns, paint }: Layout): string {
  return `  ${paint.dim(label.padEnd(LABEL_WIDTH))}${wrap(value, columns - LABEL_WIDTH - 2, " ".repeat(LABEL_WIDTH + 2))}`;
}

/** Two machines' clocks: a little less than now is now. */
function age(ms: number): string {
  return ms < 0 && ms > -1_000 ? "now" : ms < 0 ? `${formatDuration(-ms)} ahead of this clock` : `${formatDuration(ms)} ago`;
}

function clock(atMs: number): string {
  return new Date(atMs).toISOString().slice(0, 19).replace("T", " ");
}
