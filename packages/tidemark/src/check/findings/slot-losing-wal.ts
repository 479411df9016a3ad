import type { FindingRule } from "../finding.ts";
import { sayBytes } from "../seen-words.ts";
import { seenList } from "../server-survey.ts";

/** A slot is called endangered when less is left than this share of what it keeps. */
const LITTLE_LEFT = 0.25;

/** Trap 5: reserved → extended → unreserved → lost. At `unreserved` the next checkpoint may take the WAL away. */
export const slotLosingWal: FindingRule = {
  name: "slot-losing-wal",
  code: "TM-FINDING-SLOT-LOSING-WAL",
  severity: "critical",
  title: "A replication slot is about to lose WAL that its consumer needs",
  judge(survey) {
    const endangered = seenList(survey.slots).filter(
      ({ walStatus, safeBytes, retainedBytes }) =>
        walStatus === "unreserved" ||
        (walStatus !== "lost" && safeBytes !== null && retainedBytes !== null && safeBytes < retainedBytes * LITTLE_LEFT),
    );
    if (endangered.length === 0) return undefined;
    return {
      evidence: endangered.map(
        ({ name, walStatus, safeBytes, retainedBytes, active }) =>
          `${name} (${active ? "in use" : "unused"}) is ${walStatus}: keeps ${sayBytes(retainedBytes ?? 0)}, ${safeBytes === null || safeBytes <= 0 ? "beyond its limit" : `${sayBytes(safeBytes)} until its limit`}`,
      ),
      fix: [
        "let the consumer catch up now, or give it time while the disk has room:",
        "ALTER SYSTEM SET max_slot_wal_keep_size = '…'; SELECT pg_reload_conf();",
      ],
    };
  },
};
