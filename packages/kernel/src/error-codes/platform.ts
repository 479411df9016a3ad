import type { ErrorEntry } from "../errors.ts";

/** Errors of the processes, files and the command line. */
export const platformErrors = {
  "TM-PLATFORM-SECRET": {
    meaning: "A file that should hold a secret (a password, a token, a key) cannot be read or made, or is not private.",
    normal: false,
    retry: "never",
    hint: "The file must be readable by the user that Tidemark runs as and by nobody else (mode 0600), hold one line, and its folder must be writable when it is to be made.",
  },
  "TM-PLATFORM-RUN-FILE": {
    meaning: "run.json in the state folder, which says what runs there, cannot be read.",
    normal: false,
    retry: "never",
    hint: "Make sure that nothing runs with this state folder (`ps`), then remove run.json.",
  },
  "TM-PLATFORM-ALREADY-UP": {
    meaning: "A supervisor runs with this state folder already.",
    normal: true,
    retry: "never",
    hint: "Use `tidemark status` to see it and `tidemark down` to stop it, or give another folder with --state-dir.",
  },
  "TM-PLATFORM-PORT-IN-USE": {
    meaning: "Something else listens on a port that a role of the stack needs; nothing was started.",
    normal: false,
    retry: "later",
    hint: "Stop what listens there (another stack: `tidemark down` with its state folder), or change the addresses in tidemark.yaml.",
  },
  "TM-PLATFORM-NOT-UP": {
    meaning: "No supervisor runs with this state folder.",
    normal: true,
    retry: "never",
    hint: "Start one with `tidemark up`, or name the right folder with --state-dir.",
  },
  "TM-PLATFORM-CONTROL-AWAY": {
    meaning: "Control does not answer, or does not know what it was asked for.",
    normal: false,
    retry: "later",
    hint: "`tidemark up` or `tidemark control` starts it, `tidemark status` says whether it runs, --config names the configuration with its address. A control of an older version does not know every command.",
  },
  "TM-PLATFORM-NOT-DOWN": {
    meaning: "The roles did not all end in the time that was given.",
    normal: false,
    retry: "later",
    hint: "Wait and run `tidemark down` again, with a longer --timeout; `tidemark logs` says what it is waiting for.",
  },
  "TM-PLATFORM-NOT-READY": {
    meaning: "The roles did not all become ready in the time that was given.",
    normal: false,
    retry: "later",
    hint: "`tidemark status` and `tidemark logs` say which role is waiting for what.",
  },
  "TM-PLATFORM-ROLE-STOPPED": {
    meaning: "A role ended for good: it said FAIL-STOP, or a fault that starting again does not cure.",
    normal: false,
    retry: "never",
    hint: "Read its last words with `tidemark logs <role>`, remove the cause, then `tidemark down` and `tidemark up`.",
  },
  "TM-PLATFORM-ROLE-UNKNOWN": {
    meaning: "A role or node was named that the configuration does not have.",
    normal: false,
    retry: "never",
    hint: "`tidemark status` lists the roles.",
  },
  "TM-PLATFORM-SPAWN": {
    meaning: "A process could not be started.",
    normal: false,
    retry: "later",
    hint: "Look at the limits of the machine: memory, processes, open files.",
  },
  "TM-PLATFORM-STATE-DIR": {
    meaning: "The state folder cannot be made or written to.",
    normal: false,
    retry: "never",
    hint: "Run in a folder that you may write to, or give another with --state-dir.",
  },
} satisfies Record<string, ErrorEntry>;
