import { describe, expect, it } from "vitest";
import type { SystemIdentifier, Timeline } from "@tidemark/kernel/brands";
import type { Lsn } from "@tidemark/kernel/lsn";
import { unknown } from "../probe-result.ts";
import { StoreObservation } from "../store-observation.ts";
import { CopyMemory } from "./copy-memory.ts";
import type { Replica } from "./postgresql-answers.ts";
import { primaryCopies } from "./primary-facts.ts";

const END = 5_000n as Lsn;

const replica = (pid: number, name: string, state = "streaming"): Replica => ({ pid, name, state, flushLsn: END, replayLsn: END });

function copiesOf(...replicas: Replica[]) {
  return primaryCopies({
    node: { name: "pg1", domain: {} },
    observation: new StoreObservation("db"),
    settings: {
      settings: { archive_mode: "off" },
      ownSynchronousCommit: false,
      weakened: [],
      systemIdentifier: "1" as SystemIdentifier,
      user: "u",
      seesStatistics: true,
      seesSettings: true,
      listsWal: true,
      canary: false,
    },
    sentMs: 0,
    atMs: 1,
    serverMs: 0,
    clockOffset: unknown("", 0),
    walFolder: unknown("", 0),
    dataBytes: unknown("", 0),
    answer: {
      clockMs: 0,
      flushLsn: END,
      insertLsn: END,
      timeline: 1 as Timeline,
      transactions: 1n,
      standbyNames: "",
      replicas,
      slots: [],
      oldestTransactionMs: 0,
      archiver: { archived: 0n, failed: 0n },
      prepared: { count: 0 },
    },
    standings: new Map(),
    releasedAtMs: undefined,
    lastCommit: { ms: 0, errorMs: 0 },
  });
}

const names = (copies: ReturnType<typeof copiesOf>): string[] => copies.map(({ name }) => name);

describe("the copies that a primary names", () => {
  it("are those that stream, and no connection that only asks, or belongs to a backup", () => {
    expect(names(copiesOf(replica(7, "pg2"), replica(8, "", "startup"), replica(9, "x", "backup"), replica(10, "pg_basebackup")))).toEqual([
      "pg1",
      "pg2",
    ]);
    expect(names(copiesOf(replica(7, "pg2", "catchup")))).toEqual(["pg1", "pg2"]);
  });

  it("have the name of their process where they gave none or an empty one, and nobody misses them when they are gone", () => {
    const memory = new CopyMemory();
    expect(names(memory.withGone(copiesOf(replica(7, ""), replica(8, "pg2")), 1))).toEqual(["pg1", "walsender 7", "pg2"]);
    expect(names(memory.withGone(copiesOf(), 2))).toEqual(["pg1", "pg2"]);
  });
});
