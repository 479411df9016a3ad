import type { ErrorEntry } from "../errors.ts";

/** Errors of `tidemark prove`. */
export const proveErrors = {
  "TM-PROVE-USAGE": {
    meaning: "An option of tidemark prove has a value that it cannot have.",
    normal: true,
    retry: "never",
    hint: "Run tidemark prove --help.",
  },
  "TM-PROVE-LEDGER": {
    meaning: "The ledger of receipts cannot be read or written, so nothing can be counted against it.",
    normal: false,
    retry: "never",
    hint: "Run the proof again; look at the disk that holds the output folder.",
  },
  "TM-PROVE-STACK": {
    meaning: "The stack of a proof did not start, or ended by itself.",
    normal: false,
    retry: "later",
    hint: "Read the end of the log that is shown, and the logs beside the ledger; then run the proof again.",
  },
  "TM-PROVE-LOAD": {
    meaning: "The load process of a proof did not start, or ended by itself.",
    normal: false,
    retry: "later",
    hint: "Run the proof again; its output says what went wrong in the load process.",
  },
  "TM-PROVE-PROCESS": {
    meaning: "A process that was to be stopped is not there, or is not one that this proof started.",
    normal: false,
    retry: "later",
    hint: "Run the proof again; a process that ends by itself shortly before its fault can cause this.",
  },
  "TM-PROVE-API": {
    meaning: "The stack's HTTP API did not answer a question of the prover.",
    normal: false,
    retry: "later",
    hint: "Read the logs of the role that the message names.",
  },
} satisfies Record<string, ErrorEntry>;
