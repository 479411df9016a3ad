// What passes between the vault's main thread and the receiver: plain data, because the receiver runs in a thread of its own.
import type { Epoch, SystemIdentifier, Timeline } from "@tidemark/kernel/brands";
import type { TidemarkError } from "@tidemark/kernel/errors";
import type { Lsn } from "@tidemark/kernel/lsn";
import type { StoredPoint, VaultFile, VaultFileChange } from "../vault-file.ts";
import type { ExpectedPrimary, WalPoint } from "./stream-plan.ts";

/** Whom to receive from. The password stands in it in clear: it goes from thread to thread only. */
export interface ReceiverTarget {
  readonly node: string;
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly password: string;
  readonly epoch: Epoch | 0;
  readonly expected?: { readonly systemIdentifier: SystemIdentifier; readonly timeline: Timeline; readonly forkLsn: bigint };
}

/** `refused`: the server may not be followed. `waiting`: it does not answer, or the slot is in use. */
export type ReceiverState = "idle" | "connecting" | "streaming" | "waiting" | "refused";

export interface ReceiverReport {
  readonly state: ReceiverState;
  readonly code?: string;
  readonly why?: string;
  /** The WAL that it is about, where it is about some. */
  readonly range?: { readonly from: StoredPoint; readonly to: StoredPoint };
}

/** Something about the server that is followed; it goes away with its cause. */
export interface ReceiverWarning {
  readonly code: string;
  readonly what: string;
}

/** What the receiver needs of those who run it. */
export interface ReceiverHost {
  /** Makes a change of vault.json durable and answers the file as it stands then. */
  save(change: VaultFileChange): Promise<VaultFile>;
  report(report: ReceiverReport): void;
  /** What this connect showed, instead of what the last one did. */
  warn(warnings: readonly ReceiverWarning[]): void;
  /** A segment is sealed, or the folder changed in another way that the archive should look at (`undefined`). */
  sealed(segment: { readonly timeline: Timeline; readonly start: bigint } | undefined): void;
  /** The disk is full, or has room again. */
  full(isFull: boolean): void;
  /** What the archive has of a segment. */
  archived(place: WalPoint): Promise<ArchivedWal>;
}

/** `bytes` begin with the segment. `none`: surely nothing that can be used. `unknown`: a store is away, or was not read yet. */
export type ArchivedWal =
  | { readonly kind: "bytes"; readonly bytes: Uint8Array }
  | { readonly kind: "none" }
  | { readonly kind: "unknown"; readonly why: string };

/** What the scan after a start found, for those who wait for it. */
export interface ReceiverStart {
  readonly frontier?: WalPoint;
  readonly whole?: WalPoint;
}

export type ToReceiver =
  | { readonly type: "open"; readonly file: VaultFile }
  | { readonly type: "follow"; readonly target: ReceiverTarget }
  /** Answered with `halted` when nothing is received, flushed or acknowledged any more. */
  | { readonly type: "halt"; readonly id: number }
  | { readonly type: "saved"; readonly id: number; readonly file?: VaultFile; readonly error?: string }
  | { readonly type: "archived"; readonly id: number; readonly answer: ArchivedWal }
  /** The main thread changed the file by itself: a promise, a mark. */
  | { readonly type: "file"; readonly file: VaultFile }
  | { readonly type: "stop" };

export type FromReceiver =
  | { readonly type: "opened"; readonly start: ReceiverStart }
  | { readonly type: "halted"; readonly id: number }
  | { readonly type: "save"; readonly id: number; readonly change: VaultFileChange }
  | { readonly type: "archived"; readonly id: number; readonly place: WalPoint }
  | { readonly type: "report"; readonly report: ReceiverReport }
  | { readonly type: "warn"; readonly warnings: readonly ReceiverWarning[] }
  | { readonly type: "sealed"; readonly segment?: { readonly timeline: Timeline; readonly start: bigint } }
  | { readonly type: "full"; readonly full: boolean }
  | { readonly type: "log"; readonly level: "debug" | "info" | "warn" | "error"; readonly facts: object; readonly message: string }
  /** FAIL-STOP, or a fault that the receiver cannot go on after. */
  | { readonly type: "failed"; readonly code: string; readonly message: string };

/** The WAL that an error is about, where its details say so. */
export function rangeOf({ details }: TidemarkError): Pick<ReceiverReport, "range"> {
  const { timeline, lsn, to } = details;
  if (typeof timeline !== "number" || typeof lsn !== "string" || typeof to !== "string") return {};
  return { range: { from: { timeline: timeline as Timeline, lsn }, to: { timeline: timeline as Timeline, lsn: to } } };
}

/** What must be found at a target. */
export function expectedOf(target: ReceiverTarget): ExpectedPrimary | undefined {
  const { expected } = target;
  return expected === undefined ? undefined : { ...expected, forkLsn: expected.forkLsn as Lsn };
}
