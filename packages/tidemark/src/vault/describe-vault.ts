// Puts together what a vault says of itself, and of its faults: those that stand now, and those that were recorded.
import { readdir, stat, statfs } from "node:fs/promises";
import { join } from "node:path";
import type { Timeline } from "@tidemark/kernel/brands";
import { errorCatalogue } from "@tidemark/kernel/error-catalogue";
import type { ErrorCode } from "@tidemark/kernel/errors";
import { formatLsn } from "@tidemark/kernel/lsn";
import type { AgentStatus, NodeState } from "../cluster/agent-status.ts";
import type { ArchiveStatus } from "./archive/archive-status.ts";
import type { CommitFault } from "./commits/commit-facts.ts";
import type { SlotWatch } from "./slot-watch.ts";
import { stored } from "./vault-file.ts";
import type { Vault } from "./vault.ts";
import { WalFolder } from "./wal-folder.ts";
import type { VaultFault, VaultRecoveryPoint, VaultState, VaultStatus } from "./vault-status.ts";

/** What others add to a vault's status, each when it is there. */
export interface StatusParts {
  readonly slot?: SlotWatch;
  readonly commits?: () => Pick<VaultRecoveryPoint, "commit" | "commits" | "commitsSinceLsn"> & { readonly faults: readonly CommitFault[] };
  readonly archive?: () => ArchiveStatus;
  /** Why those who read the WAL do not work. */
  readonly trouble?: { readonly code: string; readonly what: string; readonly sinceMs: number };
  /** Faults of WAL that was pushed. */
  readonly pushed?: () => readonly VaultFault[];
  readonly disk?: () => Pick<VaultStatus, "disk" | "evidence"> | undefined;
}

export function describeVault(vault: Vault, parts: StatusParts): VaultStatus {
  const { options, file, following } = vault;
  const { clock } = options;
  const frontier = vault.frontier.read();
  const here = vault.reach.position();
  const whole = vault.reach.recordEnd();
  const disk = parts.disk?.();
  const archive = parts.archive?.();
  const { faults: commitFaults, ...commits } = parts.commits?.() ?? { faults: [] };
  const slot = parts.slot?.status;
  const detail = detailOf(vault);
  return {
    vault: options.name,
    store: options.store,
    state: stateOf(vault),
    ...(detail === undefined ? {} : { detail }),
    identity: file.identity,
    ...(file.systemIdentifier === undefined ? {} : { systemIdentifier: file.systemIdentifier }),
    ...(file.segmentBytes === undefined ? {} : { segmentBytes: file.segmentBytes }),
    ...(following === undefined || following.epoch === 0 ? {} : { primary: { node: following.node, epoch: following.epoch } }),
    ...(file.promise === undefined ? {} : { promised: file.promise.epoch }),
    ...(file.vote === undefined ? {} : { vote: file.vote }),
    ...(file.run === undefined ? {} : { contiguousFrom: file.run.from }),
    ...(here === undefined
      ? {}
      : {
          recoveryPoint: {
            timeline: here.timeline,
            flushedLsn: formatLsn(here.lsn),
            ...(whole === undefined ? {} : { lastWholeRecordLsn: formatLsn(whole.lsn) }),
            ...commits,
          },
        }),
    ...(frontier.serverEnd === 0n ? {} : { serverEndLsn: formatLsn(frontier.serverEnd) }),
    ...(here === undefined || frontier.serverEnd === 0n
      ? {}
      : { lagBytes: frontier.serverEnd > here.lsn ? Number(frontier.serverEnd - here.lsn) : 0 }),
    ...(frontier.heardAtMs === 0 ? {} : { silentMs: Math.max(0, clock.wallMs() - frontier.heardAtMs) }),
    ...(slot === undefined ? {} : { slot }),
    gaps: file.gaps,
    ...(file.baseBackupWanted === undefined ? {} : { baseBackupWanted: file.baseBackupWanted }),
    faults: [...faultsOf(vault, parts), ...commitFaults.map(describeCommitFault), ...archiveFaults(archive), ...(parts.pushed?.() ?? [])],
    ...(disk === undefined ? {} : disk),
    ...(archive === undefined ? {} : { archive }),
    uptimeMs: Math.round(vault.uptimeMs),
    atMs: clock.wallMs(),
  };
}

function stateOf(vault: Vault): VaultState {
  if (vault.isStopping) return "stopping";
  if (!vault.isOpen) return "starting";
  if (vault.isRevoked && vault.following === undefined) return "revoked";
  if (vault.fullSinceMs !== undefined) return "full";
  if (vault.report.state === "streaming") return "streaming";
  return vault.report.state === "refused" ? "refusing" : "waiting";
}

function detailOf(vault: Vault): string | undefined {
  if (vault.report.why !== undefined) return vault.report.why;
  if (!vault.isOpen) return "the local WAL is being read for where it ends";
  return vault.following === undefined ? "no primary is known that may be followed" : undefined;
}

/** What passes by itself within a normal failover is no fault. */
const NO_FAULT: ReadonlySet<string> = new Set(["TM-PG-CONNECTION", "TM-VAULT-OLD-TIMELINE", "TM-VAULT-OLD-EPOCH"]);

function faultsOf(vault: Vault, parts: StatusParts): VaultFault[] {
  const faults: VaultFault[] = vault.file.faults.map((fault) => ({ ...fault, part: "receiver", hint: hintOf(fault.code) }));
  faults.push(...vault.warnings.map((warning) => ({ ...warning, part: "receiver", hint: hintOf(warning.code) })));
  const { report, fullSinceMs, file } = vault;
  if (report.code !== undefined && !NO_FAULT.has(report.code))
    faults.push({
      code: report.code,
      part: "receiver",
      what: report.why ?? report.state,
      ...(report.range === undefined ? {} : { range: report.range }),
      sinceMs: report.sinceMs,
      hint: hintOf(report.code),
    });
  if (fullSinceMs !== undefined)
    faults.push({
      code: "TM-VAULT-DISK-FULL",
      part: "receiver",
      what: "nothing is acknowledged",
      sinceMs: fullSinceMs,
      hint: hintOf("TM-VAULT-DISK-FULL"),
    });
  if (parts.trouble !== undefined) faults.push({ ...parts.trouble, part: "archive", hint: hintOf(parts.trouble.code) });
  const { slot } = parts;
  const status = slot?.status?.walStatus;
  if (slot !== undefined && (status === "unreserved" || status === "lost")) {
    const code = status === "lost" ? "TM-VAULT-SLOT-LOST" : "TM-VAULT-SLOT-UNRESERVED";
    faults.push({ code, part: "slot", what: `${file.identity} is ${status} on the primary`, sinceMs: slot.sinceMs, hint: hintOf(code) });
  }
  return faults;
}

function describeCommitFault({ code, what, from, to }: CommitFault): VaultFault {
  return { code, part: "commits", what, range: { from: stored(from), to: stored(to) }, hint: hintOf(code) };
}

/** Faults and holes of the archive, with their ranges; a recorded gap has its fault already. */
function archiveFaults(archive: ArchiveStatus | undefined): VaultFault[] {
  const faults = (archive?.faults ?? []).map(({ code, where, subject, range, message, sinceMs }): VaultFault => ({
    code,
    part: where,
    what: `${subject}: ${message}`,
    ...(range === undefined ? {} : { range: rangeOf(range) }),
    sinceMs,
    hint: hintOf(code),
  }));
  const holes = (archive?.holes ?? [])
    .filter((hole) => !hole.recordedGap)
    .map((hole): VaultFault => ({
      code: "TM-VAULT-HOLE",
      part: hole.where,
      what: hole.kind === "wal" ? "WAL is missing between what is there" : `the history file of timeline ${hole.timeline} is missing`,
      range: rangeOf(hole),
      hint: hintOf("TM-VAULT-HOLE"),
    }));
  return [...faults, ...holes];
}

function rangeOf(range: { timeline: number; start: string; end: string }): NonNullable<VaultFault["range"]> {
  const timeline = range.timeline as Timeline;
  return { from: { timeline, lsn: range.start }, to: { timeline, lsn: range.end } };
}

function hintOf(code: string): string {
  return code in errorCatalogue ? errorCatalogue[code as ErrorCode].hint : "";
}

const NODE_STATE: Readonly<Record<VaultState, NodeState>> = {
  starting: "starting",
  waiting: "waiting",
  refusing: "waiting",
  full: "waiting",
  streaming: "standby",
  revoked: "revoked",
  stopping: "stopping",
};

/** The same, in the words of an agent: what control hears of a member. */
export function asMember(vault: Vault, status: VaultStatus, revision: number | undefined): AgentStatus {
  const record = vault.options.source.record();
  const point = status.recoveryPoint;
  return {
    node: status.vault,
    store: status.store,
    state: NODE_STATE[status.state],
    ...(status.detail === undefined ? {} : { detail: status.detail }),
    identity: status.identity,
    ...(status.systemIdentifier === undefined ? {} : { systemIdentifier: status.systemIdentifier }),
    ...(record === undefined ? {} : { epoch: record.epoch }),
    ...(revision === undefined ? {} : { revision }),
    open: false,
    inRecovery: true,
    ...(point === undefined
      ? {}
      : { timeline: point.timeline, lsn: point.lastWholeRecordLsn ?? point.flushedLsn, receivedLsn: point.flushedLsn }),
    streaming: status.state === "streaming",
    ...(status.promised === undefined ? {} : { promised: status.promised }),
    heldBack: false,
    atMs: status.atMs,
    warnings: status.faults.slice(-16).map((fault) => `${fault.code}: ${fault.what}`),
    vault: status,
  };
}

/** Pieces of evidence that are named in the status; all of them are counted. */
const EVIDENCE_NAMED = 32;

/** How full the vault's place is, as it was last measured. */
export class DiskMeasure {
  readonly #folder: WalFolder;
  #last: Pick<VaultStatus, "disk" | "evidence"> | undefined;

  constructor(directory: string) {
    this.#folder = new WalFolder(directory, 1);
  }

  get last(): Pick<VaultStatus, "disk" | "evidence"> | undefined {
    return this.#last;
  }

  async measure(): Promise<void> {
    const { directory, wal, diverged } = this.#folder;
    const { bavail, bsize } = await statfs(directory);
    const evidence = await sizesIn(diverged);
    const divergedBytes = evidence.reduce((sum, { bytes }) => sum + bytes, 0);
    this.#last = {
      disk: { freeBytes: bavail * bsize, walBytes: await bytesIn(wal), divergedBytes },
      evidence: { count: evidence.length, folders: evidence.slice(0, EVIDENCE_NAMED) },
    };
  }
}

/** Everything in a folder with its size, by name: the names of evidence begin with its time. */
async function sizesIn(folder: string): Promise<{ name: string; bytes: number }[]> {
  const sizes: { name: string; bytes: number }[] = [];
  for (const name of (await readdir(folder)).sort()) {
    const path = join(folder, name);
    const found = await stat(path).catch(() => undefined);
    if (found !== undefined) sizes.push({ name, bytes: found.isDirectory() ? await bytesIn(path) : found.size });
  }
  return sizes;
}

/** Allocated bytes, with those of folders within. A file that goes away meanwhile counts as nothing. */
async function bytesIn(folder: string): Promise<number> {
  let total = 0;
  for (const entry of await readdir(folder, { withFileTypes: true }).catch(goneMeanwhile)) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) total += await bytesIn(path);
    else total += (await stat(path).catch(() => undefined))?.size ?? 0;
  }
  return total;
}

function goneMeanwhile(error: NodeJS.ErrnoException): [] {
  if (error.code === "ENOENT") return [];
  throw error;
}
