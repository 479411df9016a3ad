// Looks at real servers, for tests.
import { sleep } from "@tidemark/kernel/clock";
import { systemClock } from "@tidemark/kernel/platform/system-clock";
import { Redacted } from "@tidemark/kernel/redacted";
import type { TestServer } from "@tidemark/postgres/testing/cluster-fixture";
import type { PostgresqlProbe, PostgresqlReading } from "../postgresql-probe.ts";
import type { PostgresqlTarget } from "../postgresql/postgresql-target.ts";
import type { CopyFacts, Figure } from "../probe-result.ts";

export type Seen = Extract<PostgresqlReading, { ok: true }>;

export const soon = (): AbortSignal => AbortSignal.timeout(10_000);

export async function look(probe: PostgresqlProbe): Promise<Seen> {
  const reading = await probe.probe(soon());
  if (!reading.ok) throw new Error(`${reading.code}: ${reading.why}`);
  return reading;
}

/** Looks until it holds: the machine may be busy, and what is waited for happens on its own. */
export async function lookUntil(probe: PostgresqlProbe, holds: (reading: Seen) => boolean): Promise<Seen> {
  const deadlineMs = systemClock.monotonicMs() + 20_000;
  for (;;) {
    const reading = await look(probe);
    if (holds(reading)) return reading;
    if (systemClock.monotonicMs() > deadlineMs) throw new Error(`it never held; last: ${JSON.stringify(reading.copies)}`);
    await sleep(systemClock, 50);
  }
}

export function copy(reading: Seen, name: string): CopyFacts {
  const found = reading.copies.find((one) => one.name === name);
  if (found === undefined) throw new Error(`no copy ${name} among ${reading.copies.map((one) => one.name).join(", ")}`);
  return found;
}

export function valueOf<T>(figure: Figure<T> | undefined): T {
  if (figure?.known !== true) throw new Error(`not known: ${figure?.why ?? "absent"}`);
  return figure.value;
}

export function targetOf(server: TestServer, as?: { user: string; password: string }): PostgresqlTarget {
  const { host, port, user, password, database } = server.connection;
  return { host, port, user: as?.user ?? user, password: new Redacted(as?.password ?? password), database, tls: "disable" };
}
