import type { ErrorEntry } from "../errors.ts";

/** Errors of judgement: alerts, silences and their delivery. */
export const alertErrors = {
  "TM-ALERT-SETTING": {
    meaning: "A setting of alerts or of a service level makes no sense.",
    normal: false,
    retry: "never",
    hint: "The message says what was expected; correct it in tidemark.yaml.",
  },
  "TM-ALERT-STORE": {
    meaning:
      "The file that holds alerts and their outbox could not be opened, read or written, or is of a version that this Tidemark does not know.",
    normal: false,
    retry: "later",
    hint: "Check the disk of the state folder. Judgement starts again with the process; alerts that were firing are kept in the file.",
    httpStatus: 503,
  },
  "TM-ALERT-SILENCE": {
    meaning: "A silence was asked for that nobody could answer for: without an end, a person, a reason or anything that it is about.",
    normal: true,
    retry: "never",
    hint: "Say what it is about, who you are, why, and until when: at most 30 days ahead.",
    httpStatus: 422,
  },
  "TM-ALERT-NO-SILENCE": {
    meaning: "There is no silence of this id that has not ended.",
    normal: true,
    retry: "never",
    hint: "List the silences; it may have ended by itself.",
    httpStatus: 404,
  },
  "TM-ALERT-RECEIVER-AWAY": {
    meaning: "A receiver of alerts did not answer, did not answer in time, or answered that it cannot take anything now.",
    normal: false,
    retry: "later",
    hint: "Nothing is lost: the outbox keeps what it owes and tries again. Check the receiver and the way to it.",
  },
  "TM-ALERT-RECEIVER-REFUSED": {
    meaning: "A receiver of alerts refused a delivery.",
    normal: false,
    retry: "later",
    hint: "Check the receiver's address, its token or key, and its log; the delivery is repeated on its own every few minutes.",
  },
  "TM-ALERT-SECRET": {
    meaning: "A key, a token or an address of a receiver of alerts cannot be had from its file, or is none.",
    normal: false,
    retry: "later",
    hint: "Check the file that the message names: it has to be there, readable for Tidemark, and hold a key of at least 32 characters per line.",
  },
} satisfies Record<string, ErrorEntry>;
