import { TidemarkError } from "@tidemark/kernel/errors";

/** How many of the log's last lines an error carries. */
const LINES_KEPT = 12;

/**
 * Says why a server did not start, from what it logged since. The messages are PostgreSQL's own, untranslated; what is
 * not recognised becomes TM-PG-START with the last lines.
 */
export function explainStartFailure(log: string, facts: { port: number; dataDir: string; how: string }): TidemarkError {
  const details = { port: facts.port, dataDir: facts.dataDir, log: log.trimEnd().split("\n").slice(-LINES_KEPT).join("\n") };
  if (
    /could not bind .*: Address already in use/.test(log) &&
    /could not create any TCP\/IP sockets|could not create listen socket/.test(log)
  ) {
    return new TidemarkError("TM-PG-PORT-IN-USE", `started PostgreSQL on port ${facts.port}: another process listens there`, { details });
  }
  const running = /lock file ".*postmaster\.pid" already exists[\s\S]*?PID (\d+)/.exec(log);
  if (running !== null || /pre-existing shared memory block .* is still in use/.test(log)) {
    return new TidemarkError("TM-PG-RUNNING", `started PostgreSQL on ${facts.dataDir}: a server is at work there`, {
      details: { ...details, pid: Number(running?.[1] ?? 0) },
    });
  }
  if (/database files are incompatible with server/.test(log)) {
    return new TidemarkError("TM-PG-VERSION", `started PostgreSQL on ${facts.dataDir}: its files are of another version`, { details });
  }
  if (/data directory ".*" has (invalid permissions|wrong ownership)|could not (access|read permissions of) directory/.test(log)) {
    return new TidemarkError("TM-PG-DATA-DIR", `started PostgreSQL on ${facts.dataDir}: the folder has the wrong owner or mode`, {
      details,
    });
  }
  return new TidemarkError("TM-PG-START", `started PostgreSQL on ${facts.dataDir}: it ended with ${facts.how} before it was ready`, {
    details,
  });
}
