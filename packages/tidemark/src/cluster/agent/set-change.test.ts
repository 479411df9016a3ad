import { describe, expect, test } from "vitest";
import { systemClock } from "@tidemark/kernel/platform/system-clock";
import type { MemberStatus } from "../agent-status.ts";
import type { SynchronousSet } from "../cluster-record.ts";
import type { PostgresNode } from "./postgres-node.ts";
import { standbyNames } from "./postgresql-settings.ts";
import { endBeforeHeader, settleSet } from "./set-change.ts";

const setOf = (required: number, ...names: string[]): SynchronousSet => ({
  required,
  members: names.map((name) => ({ node: name, identity: name })),
});
const lsn = (position: number): string => `0/${position.toString(16).toUpperCase()}`;

/** A primary whose walsenders read a new set some looks after the session did, as PostgreSQL's do. */
class SlowlyToldPrimary {
  insert = 100;
  readonly flushed: Record<string, number>;
  readonly #pids = new Map<string, number>();
  #told: SynchronousSet;
  #walsenders: SynchronousSet;
  #looks = 0;
  /** What happens at each look, by its number after the set was told. */
  readonly atLook = new Map<number, () => void>();

  constructor(running: SynchronousSet, flushed: Record<string, number>) {
    this.#told = running;
    this.#walsenders = running;
    this.flushed = flushed;
    for (const name of Object.keys(flushed)) this.#pids.set(name, this.#pids.size + 1);
  }

  walsendersRead(): void {
    this.#walsenders = this.#told;
  }

  reconnect(name: string): void {
    this.#pids.set(name, (this.#pids.get(name) ?? 0) + 100);
  }

  get node(): PostgresNode {
    const database = {
      ask: (sql: string): Promise<object[]> => {
        if (sql.includes("insert_lsn")) return Promise.resolve([{ lsn: lsn(this.insert), segment: "16777216" }]);
        if (sql.includes("pg_terminate_backend")) return Promise.resolve([...this.#pids.values()].map((pid) => ({ pid })));
        return Promise.resolve([{ names: standbyNames(this.#told) }]);
      },
      facts: () => {
        this.atLook.get(++this.#looks)?.();
        const members = Object.entries(this.flushed).map(([identity, position]): MemberStatus => ({
          identity,
          pid: this.#pids.get(identity) ?? 0,
          state: "streaming",
          syncState: "",
          syncPriority: this.#walsenders.members.some((member) => member.identity === identity) ? 1 : 0,
          flushLsn: lsn(position),
        }));
        return Promise.resolve({ members });
      },
    };
    const configureSynchronous = (set: SynchronousSet): Promise<void> => {
      this.#told = set;
      return Promise.resolve();
    };
    return { database, configureSynchronous, world: { clock: systemClock } } as unknown as PostgresNode;
  }
}

async function settles(primary: SlowlyToldPrimary, change: { from: SynchronousSet[]; to: SynchronousSet }): Promise<void> {
  await settleSet(primary.node, change, new AbortController().signal);
}

describe("a change of the synchronous set (R1)", () => {
  test("waits for commits that the old set acknowledged before every walsender had read the new one", async () => {
    const primary = new SlowlyToldPrimary(setOf(1, "s"), { s: 100, v: 100 });
    primary.atLook.set(2, () => {
      // A commit that s alone acknowledges: its walsender has not read yet that it counts no longer.
      primary.insert = 200;
      primary.flushed["s"] = 200;
    });
    primary.atLook.set(3, () => primary.walsendersRead());
    primary.atLook.set(6, () => (primary.flushed["v"] = 200));
    await settles(primary, { from: [setOf(1, "s")], to: setOf(1, "v") });
    expect(primary.flushed["v"]).toBe(200);
  });

  test("waits for walsenders that were ended because they count by the old number", async () => {
    const primary = new SlowlyToldPrimary(setOf(1, "s", "v"), { s: 100, v: 100 });
    let reconnected = 0;
    for (const [look, name] of [
      [3, "s"],
      [5, "v"],
    ] as const) {
      primary.atLook.set(look, () => {
        primary.walsendersRead();
        primary.reconnect(name);
        reconnected++;
      });
    }
    await settles(primary, { from: [setOf(1, "s", "v")], to: setOf(2, "s", "v") });
    expect(reconnected).toBe(2);
  });

  test("to the closed set waits until no walsender releases commits any more", async () => {
    const primary = new SlowlyToldPrimary(setOf(1, "s"), { s: 100 });
    let read = false;
    primary.atLook.set(4, () => {
      primary.walsendersRead();
      read = true;
    });
    await settles(primary, { from: [setOf(1, "s")], to: { members: [], required: 1 } });
    expect(read).toBe(true);
  });

  test("does not wait for the header of a page that no record is on yet: an idle primary flushes none", () => {
    const segment = 16_777_216n;
    expect(endBeforeHeader(0x3000028n, segment)).toBe(0x3000000n);
    expect(endBeforeHeader(0x3002018n, segment)).toBe(0x3002000n);
    // Ends of records: sixteen bytes of one that goes over to the page, and one on a segment's first page.
    expect(endBeforeHeader(0x3002028n, segment)).toBe(0x3002028n);
    expect(endBeforeHeader(0x3000030n, segment)).toBe(0x3000030n);
  });
});
