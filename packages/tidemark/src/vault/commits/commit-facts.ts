// What the commit tracker knows: up to which commit the vault could restore, and what stands in the way.
import { TidemarkError } from "@tidemark/kernel/errors";
import type { Lsn } from "@tidemark/kernel/lsn";
import { formatLsn } from "@tidemark/kernel/lsn";
import type { WalPoint } from "../receiver/stream-plan.ts";
import type { CommitPoint } from "./commit-point.ts";

export interface CommitFacts {
  /** The end of the last whole record that is durable here. */
  readonly position: WalPoint;
  /** The last commit before it, in the order of WAL. */
  readonly lastCommit: CommitPoint | undefined;
  /** Commits between `since` and `position`. */
  readonly commits: number;
  /** From here on every commit is counted: the oldest WAL that was ever read without a hole. */
  readonly since: Lsn;
}

/** WAL that is durable here and cannot be read. */
export interface CommitFault {
  readonly code: "TM-VAULT-WAL-UNREADABLE";
  readonly what: string;
  readonly from: WalPoint;
  readonly to: WalPoint;
}

/** TM-VAULT-WAL-UNREADABLE, with the range where that is known. */
export function unreadable(what: string, fault: CommitFault | undefined): TidemarkError {
  const details =
    fault === undefined ? {} : { from: formatLsn(fault.from.lsn), to: formatLsn(fault.to.lsn), timeline: fault.from.timeline };
  return new TidemarkError("TM-VAULT-WAL-UNREADABLE", `read the commits in the vault's WAL: ${what}`, { details });
}
