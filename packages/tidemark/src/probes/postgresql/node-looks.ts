// One look at a server, before it becomes facts: the answers, and by whose clock they were got.
import type { FailureDomain } from "../../objectives/failure-domain.ts";
import type { CopyKind, Figure } from "../probe-result.ts";
import type { StoreObservation } from "../store-observation.ts";
import type { ServerSettingsAnswer } from "./postgresql-answers.ts";

/** What a copy that a primary names is called in the configuration, and where it is. */
export interface KnownCopy {
  readonly name?: string;
  readonly kind?: CopyKind;
  readonly domain?: FailureDomain;
}

/** What is known of a server before it is looked at. */
export interface WatchedNode {
  /** As a copy of its store. */
  readonly name: string;
  readonly domain: FailureDomain;
  /** What is known of the copy that streams under an application_name; of `archive`, what archive_command writes to. */
  readonly copyKnownAs?: (applicationName: string) => KnownCopy | undefined;
}

export interface Look {
  readonly node: WatchedNode;
  readonly observation: StoreObservation;
  readonly settings: ServerSettingsAnswer;
  /** Wall time of the observer when the question left, and when the answer was there, milliseconds. */
  readonly sentMs: number;
  readonly atMs: number;
  /** The server's own clock when it had the question: after `sentMs`, and before it looked. */
  readonly serverMs: number;
  /** The server's clock minus the observer's. */
  readonly clockOffset: Figure<number>;
  readonly walFolder: Figure<{ readonly bytes: number; readonly ready: number }>;
  readonly dataBytes: Figure<number>;
}

/** Why a figure is not known to this user. */
export function notGrantedTo(settings: ServerSettingsAnswer, role: string): string {
  return `${role} is not granted to ${settings.user}`;
}
