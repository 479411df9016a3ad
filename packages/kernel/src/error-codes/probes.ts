import type { ErrorEntry } from "../errors.ts";

/** What a probe says of a target that it could not look at. None of these is thrown at whoever runs the probes. */
export const probeErrors = {
  "TM-PROBE-AWAY": {
    meaning: "The target of a probe cannot be reached, or ended the connection.",
    normal: false,
    retry: "later",
    hint: "Check that it runs and that the way to it is open. Its figures are unknown until it answers.",
  },
  "TM-PROBE-SLOW": {
    meaning: "The target of a probe did not answer in time.",
    normal: false,
    retry: "later",
    hint: "Check its load and the way to it; a longer timeout may be configured. Its figures are unknown until it answers.",
  },
  "TM-PROBE-DENIED": {
    meaning: "The target of a probe refused the login, or what the probe asks for.",
    normal: false,
    retry: "later",
    hint: "Check the user, its password and its grants; `tidemark grants` prints the smallest set that PostgreSQL needs.",
  },
  "TM-PROBE-VERSION": {
    meaning: "The target of a probe is of a version that the probe does not know how to read.",
    normal: false,
    retry: "later",
    hint: "PostgreSQL from version 15 on is supported.",
  },
  "TM-PROBE-GARBAGE": {
    meaning: "The target of a probe answered something that is no answer.",
    normal: false,
    retry: "later",
    hint: "Check that the address leads to what it is meant to, and not to another service or through a broken proxy.",
  },
  "TM-PROBE-FAILED": {
    meaning: "The target of a probe answered that it cannot tell.",
    normal: false,
    retry: "later",
    hint: "The message has the target's own words.",
  },
  "TM-PROBE-TARGET": {
    meaning: "The address of a target cannot be understood.",
    normal: false,
    retry: "never",
    hint: "An address of PostgreSQL looks like postgres://user:password@host:5432/database?sslmode=verify-full.",
  },
  "TM-PROBE-BUG": {
    meaning: "A probe broke its contract: it threw, or did not end after it was given up.",
    normal: false,
    retry: "later",
    hint: "Report it, with the log around it. The target's figures are unknown meanwhile.",
  },
} as const satisfies Record<string, ErrorEntry>;
