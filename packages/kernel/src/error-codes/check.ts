import type { ErrorEntry } from "../errors.ts";

/** Errors of a check of one server: it could not be looked at, so that nothing is known of it. */
export const checkErrors = {
  "TM-CHECK-TARGET": {
    meaning: "The connection string of a check cannot be used.",
    normal: false,
    retry: "never",
    hint: "Give postgres://user@host:port/database, or nothing and set PGHOST, PGUSER and PGDATABASE. Best leave the password to PGPASSWORD or ~/.pgpass.",
  },
  "TM-CHECK-AWAY": {
    meaning: "The server that was to be checked could not be reached, or did not answer in time.",
    normal: false,
    retry: "later",
    hint: "Check host, port, listen_addresses and the firewall, and whether PostgreSQL runs. Nothing is known about what would be lost.",
  },
  "TM-CHECK-LOGIN": {
    meaning: "The server that was to be checked refused the login.",
    normal: false,
    retry: "never",
    hint: "Check user, password, database, sslmode, and the server's pg_hba.conf. The server's log says more than it tells its clients.",
  },
  "TM-CHECK-NO-POSTGRESQL": {
    meaning: "What answered at the address that was to be checked does not speak PostgreSQL's protocol.",
    normal: false,
    retry: "never",
    hint: "Check host and port, and what listens there.",
  },
  "TM-CHECK-REFUSED": {
    meaning: "The server took the login and refused the first question of a check, such as a pooler does that filters queries.",
    normal: false,
    retry: "never",
    hint: "Connect to PostgreSQL itself instead of to a pooler or proxy in front of it.",
  },
  "TM-CHECK-VERSION": {
    meaning: "The server that was to be checked is of a version that a check knows nothing about.",
    normal: false,
    retry: "never",
    hint: "Versions from 12 on can be checked. An older one has had no corrections for years: replace it.",
  },
} satisfies Record<string, ErrorEntry>;
