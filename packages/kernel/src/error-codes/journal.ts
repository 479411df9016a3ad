import type { ErrorEntry } from "../errors.ts";

/** Errors of the journal. */
export const journalErrors = {
  "TM-JOURNAL-LOCKED": {
    meaning: "Another process has the journal open for writing.",
    normal: false,
    retry: "later",
    hint: "One gateway writes a journal. Stop the other process, or give this one a journal directory of its own. The lock ends with its process; nothing has to be removed by hand.",
  },
  "TM-JOURNAL-FULL": {
    meaning: "The journal has no room for the write, by its quota or by the free space of its disk. Nothing was written.",
    normal: true,
    retry: "later",
    hint: "Find out why writes are not applied (tidemark status), or raise journal.quota, or free disk space. With healing.atQuota set to refuse, a longer healing window also needs a larger quota.",
    httpStatus: 503,
  },
  "TM-JOURNAL-BUSY": {
    meaning: "More bytes wait for the disk than the journal holds in memory. Nothing was written.",
    normal: true,
    retry: "later",
    hint: "Send more slowly. If it stays, the disk of the journal is too slow for the load.",
    httpStatus: 503,
  },
  "TM-JOURNAL-TOO-LARGE": {
    meaning: "A payload, a key or an append is larger than the journal takes. Nothing was written.",
    normal: false,
    retry: "never",
    hint: "Keep large content elsewhere and write a reference to it, or send smaller batches.",
    httpStatus: 413,
  },
  "TM-JOURNAL-UNKNOWN": {
    meaning: "A write or its fsync failed: the records may or may not be durable. The journal has stopped.",
    normal: false,
    retry: "unknown",
    hint: "Send the write again with the same idempotency key once the gateway is back; it then takes effect once, whatever became of it now.",
    httpStatus: 500,
  },
  "TM-JOURNAL-STOPPED": {
    meaning: "The journal takes no more writes: it was closed, or it stopped after a failed write or fsync. Nothing was written.",
    normal: false,
    retry: "later",
    hint: "Look for the first journal error in the log, check the disk, and start the gateway again; it reads back what is really on the disk.",
    httpStatus: 503,
  },
  "TM-JOURNAL-DAMAGED": {
    meaning: "Bytes of the journal that were durable are missing or wrong. Nothing is repaired by guessing.",
    normal: false,
    retry: "never",
    hint: "Keep a copy of the directory, run tidemark journal verify, and restore the named segment from a copy. What lies outside the named range is whole.",
  },
  "TM-JOURNAL-TRIMMED": {
    meaning: "A record was asked for that the journal has forgotten already.",
    normal: false,
    retry: "never",
    hint: "The database is older than the journal reaches back. Restore a newer backup of it, so that its position lies within what the journal keeps.",
  },
  "TM-JOURNAL-FOREIGN": {
    meaning: "A file in the journal's directory belongs to another journal, or has no place in this one.",
    normal: false,
    retry: "never",
    hint: "Move the named file out of the directory. Two journals never share one.",
  },
  "TM-JOURNAL-VERSION": {
    meaning: "The journal was written in a format that this version does not know.",
    normal: false,
    retry: "never",
    hint: "Use the version of Tidemark that wrote it, or a newer one; docs/journal-format.md lists the formats.",
  },
  "TM-JOURNAL-MISSING": {
    meaning: "There is no journal in the folder.",
    normal: false,
    retry: "never",
    hint: "Check the directory; a journal is made when its gateway starts for the first time.",
  },
  "TM-JOURNAL-LIMITS": {
    meaning: "The limits of the journal contradict each other.",
    normal: false,
    retry: "never",
    hint: "journal.segmentSize must be at least 4 KiB and a multiple of 512 bytes, and journal.quota at least two segments.",
  },
} satisfies Record<string, ErrorEntry>;
