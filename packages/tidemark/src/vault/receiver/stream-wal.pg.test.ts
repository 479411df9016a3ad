// The stream against a real PostgreSQL whose commits wait for it, in a process that is killed at each step of writing, or whose
// files fail. What was acknowledged is the slot's restart_lsn: PostgreSQL moves it to each flush position that is reported. What
// is here is compared with the primary's own WAL files.
import { execFileSync, spawn } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import type postgres from "postgres";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { Timeline } from "@tidemark/kernel/brands";
import type { Lsn } from "@tidemark/kernel/lsn";
import { parseLsn } from "@tidemark/kernel/lsn";
import type { TestServer } from "@tidemark/postgres/testing/cluster-fixture";
import { TEST_SETTINGS, startPrimary } from "@tidemark/postgres/testing/cluster-fixture";
import { DEFAULT_SEGMENT_BYTES, segmentName, segmentStart } from "@tidemark/postgres/wal/segment-name";
import { sqlOn } from "../testing/running-vault.ts";
import type { FilesFault, WalFilesCall } from "./testing/faulty-wal-files.ts";
import type { ReceiveOrder } from "./testing/receive-process.ts";

const RECEIVER = fileURLToPath(new URL("testing/receive-process.ts", import.meta.url));
const NAME = "tidemark_receiver";
const SETTINGS = { ...TEST_SETTINGS, wal_keep_size: "2GB", max_wal_size: "4GB", wal_sender_timeout: "2s" };

interface Said {
  readonly kind: "began" | "sealed" | "full" | "room" | "failed";
  readonly at?: string;
  readonly code?: string;
}

class ReceiverProcess {
  readonly said: Said[] = [];
  readonly ended: Promise<{ code: number | null; signal: NodeJS.Signals | null }>;
  readonly #child;
  #wake: () => void = () => undefined;

  constructor(order: ReceiveOrder) {
    const args = ["--conditions=@tidemark/source", "--disable-warning=ExperimentalWarning", RECEIVER, JSON.stringify(order)];
    this.#child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "inherit"], env: { ...process.env, NODE_OPTIONS: "" } });
    createInterface({ input: this.#child.stdout }).on("line", (line) => {
      this.said.push(JSON.parse(line) as Said);
      this.#wake();
    });
    this.ended = new Promise((resolve) => this.#child.once("close", (code, signal) => resolve({ code, signal })));
    void this.ended.then(() => this.#wake());
  }

  async until(kind: Said["kind"]): Promise<Said> {
    for (;;) {
      const found = this.said.find((each) => each.kind === kind);
      if (found !== undefined) return found;
      if (this.#child.exitCode !== null || this.#child.signalCode !== null) throw new Error(`ended without saying ${kind}`);
      await new Promise<void>((resolve) => (this.#wake = resolve));
    }
  }

  async stop(): Promise<void> {
    this.#child.kill("SIGKILL");
    await this.ended;
  }
}

describe("the stream of WAL", () => {
  let primary: TestServer;
  let sql: postgres.Sql;
  let from: string;
  let directory: string;
  let running: ReceiverProcess | undefined;

  beforeAll(async () => {
    primary = await startPrimary({ settings: SETTINGS });
    sql = sqlOn(primary, 4);
    await sql`CREATE TABLE written (id bigserial PRIMARY KEY, text text)`;
  });

  afterAll(async () => {
    await sql.end({ timeout: 1 });
    await primary.dispose();
  });

  beforeEach(async () => {
    directory = mkdtempSync(join(tmpdir(), "tidemark-receiver-"));
    // A slot reserves WAL from the last checkpoint on.
    await sql`CHECKPOINT`;
    const [slot] = await sql<{ lsn: string }[]>`SELECT lsn::text FROM pg_create_physical_replication_slot(${NAME}, true)`;
    from = slot?.lsn ?? "";
  });

  afterEach(async () => {
    await running?.stop();
    running = undefined;
    await synchronous(false);
    await expect.poll(async () => (await sql`SELECT 1 FROM pg_replication_slots WHERE active`).length, { timeout: 20_000 }).toBe(0);
    await sql`SELECT pg_drop_replication_slot(${NAME})`;
    rmSync(directory, { recursive: true, force: true });
  });

  function receive(fault?: FilesFault): ReceiverProcess {
    const { host, port, user, password } = primary.connection;
    const order = {
      host,
      port,
      user,
      password,
      name: NAME,
      directory,
      from,
      statusEveryMs: 500,
      ...(fault === undefined ? {} : { fault }),
    };
    running = new ReceiverProcess(order);
    return running;
  }

  async function synchronous(on: boolean): Promise<void> {
    await primary.server.configure({ ...SETTINGS, ...(on ? { synchronous_standby_names: NAME } : {}) });
    primary.server.reload();
    await expect.poll(async () => (await sql`SHOW synchronous_standby_names`)[0]?.["synchronous_standby_names"]).toBe(on ? NAME : "");
  }

  /** What the server was told last; with it, all of it must be here. */
  async function acknowledged(): Promise<Lsn> {
    const [slot] = await sql<{ lsn: string }[]>`SELECT restart_lsn::text AS lsn FROM pg_replication_slots WHERE slot_name = ${NAME}`;
    return parseLsn(slot?.lsn ?? "");
  }

  async function currentLsn(): Promise<Lsn> {
    const [row] = await sql<{ lsn: string }[]>`SELECT pg_current_wal_flush_lsn()::text AS lsn`;
    return parseLsn(row?.lsn ?? "");
  }

  async function caughtUp(): Promise<Lsn> {
    const target = await currentLsn();
    await expect.poll(async () => (await acknowledged()) >= target, { timeout: 30_000, interval: 20 }).toBe(true);
    return target;
  }

  /** Everything from the slot's beginning to `to` is here and is the primary's; no sealed segment is beyond a gap, or other. */
  function checkHere(to: Lsn): void {
    const wal = join(directory, "wal");
    const names = new Set(readdirSync(wal));
    for (let at = segmentStart(parseLsn(from), DEFAULT_SEGMENT_BYTES); ; at = (at + BigInt(DEFAULT_SEGMENT_BYTES)) as Lsn) {
      const name = segmentName({ timeline: 1 as Timeline, lsn: at }, DEFAULT_SEGMENT_BYTES);
      if (at >= to && !names.has(name)) break;
      const here = readFileSync(join(wal, names.has(name) ? name : `${name}.partial`));
      const theirs = readFileSync(join(primary.server.dataDir, "pg_wal", name));
      const length = names.has(name) ? DEFAULT_SEGMENT_BYTES : Math.min(DEFAULT_SEGMENT_BYTES, Number(to - at));
      expect(here.length).toBe(DEFAULT_SEGMENT_BYTES);
      expect(here.subarray(0, length).equals(theirs.subarray(0, length)), `${name} up to ${length}`).toBe(true);
      names.delete(name);
      names.delete(`${name}.partial`);
    }
    expect([...names].filter((name) => !name.endsWith(".partial"))).toEqual([]);
  }

  /** Writes rows, with a switch of segments now and then, until told to stop; each commit waits for the receiver. */
  function load(): { stop(): Promise<number> } {
    let stopped = false;
    let written = 0;
    const loop = async (): Promise<void> => {
      while (!stopped) {
        await sql`INSERT INTO written (text) VALUES (repeat('x', 500))`;
        written += 1;
        if (written % 20 === 0) await sql`SELECT pg_switch_wal()`;
      }
    };
    const done = loop();
    return {
      async stop() {
        stopped = true;
        await done;
        return written;
      },
    };
  }

  const points: readonly [WalFilesCall, number, ("before" | "half" | "after")[]][] = [
    ["create", 2, ["before", "after"]],
    ["write", 30, ["before", "half", "after"]],
    ["sync", 30, ["before", "after"]],
    ["rename", 2, ["before", "after"]],
    ["syncDirectory", 3, ["before", "after"]],
  ];

  it("killed around any write, flush or rename, ends early at most: no hole, nothing acknowledged missing (trap 1)", async () => {
    await synchronous(true);
    const writing = load();
    for (const [call, nth, moments] of points) {
      for (const when of moments) {
        const { signal } = await receive({ kind: "kill", call, nth, when }).ended;
        expect(signal, `${when} ${call}`).toBe("SIGKILL");
        checkHere(await acknowledged());
      }
    }
    receive();
    expect(await writing.stop()).toBeGreaterThan(0);
    checkHere(await caughtUp());
  });

  it("killed while it seals beside the receiving, far behind, ends early at most (NO-HOLE)", async () => {
    await sql`INSERT INTO written (text) SELECT repeat('y', 1000) FROM generate_series(1, 60000)`;
    for (const call of ["syncLater", "syncDirectoryLater"] as const) {
      for (const when of ["before", "after"] as const) {
        const { signal } = await receive({ kind: "kill", call, nth: 1, when }).ended;
        expect(signal, `${when} ${call}`).toBe("SIGKILL");
        checkHere(await acknowledged());
      }
    }
    receive();
    checkHere(await caughtUp());
  });

  it("acknowledges nothing after a flush that failed, and does not go on (trap 2, FAIL-STOP)", async () => {
    const first = receive({ kind: "error", call: "sync", nth: 4, code: "EIO" });
    await first.until("began");
    await synchronous(true);
    const writing = load();
    expect(await first.until("failed")).toMatchObject({ code: "TM-VAULT-FAIL-STOP" });
    await first.ended;
    const before = await acknowledged();
    checkHere(before);
    expect(await currentLsn()).toBeGreaterThan(before);
    receive();
    await writing.stop();
    checkHere(await caughtUp());
  });

  /** Fills the disk under a receiver, waits beyond wal_sender_timeout, makes room. */
  async function fillUp(fault: FilesFault | undefined, makeFull: () => void, makeRoom: () => void): Promise<void> {
    const receiver = receive(fault);
    await receiver.until("began");
    await caughtUp();
    const sender = (): Promise<{ pid: number }[]> =>
      sql<{ pid: number }[]>`SELECT pid FROM pg_stat_replication WHERE application_name = ${NAME}`;
    const [connected] = await sender();
    makeFull();
    await sql`INSERT INTO written (text) SELECT repeat('z', 1000) FROM generate_series(1, 80000)`;
    await receiver.until("full");
    // What was received before the disk was full is flushed and stated; then nothing moves.
    await new Promise((resolve) => setTimeout(resolve, 500));
    const stuck = await acknowledged();
    checkHere(stuck);
    await new Promise((resolve) => setTimeout(resolve, 4_000));
    expect(await acknowledged()).toBe(stuck);
    expect(await currentLsn()).toBeGreaterThan(stuck);
    makeRoom();
    await receiver.until("room");
    checkHere(await caughtUp());
    expect(await sender()).toEqual([connected]);
  }

  it("stops acknowledging on a full disk, drops nothing, is not dropped, and goes on when there is room (trap 13)", async () => {
    const marker = join(directory, "no-room");
    await fillUp(
      { kind: "no-room", while: marker },
      () => writeFileSync(marker, ""),
      () => rmSync(marker),
    );
  });

  it.runIf(process.platform === "linux" && process.getuid?.() === 0)("does so on a file system that is really full (trap 13)", async () => {
    const place = directory;
    execFileSync("mount", ["-t", "tmpfs", "-o", "size=40m", "tmpfs", place]);
    try {
      await fillUp(
        undefined,
        () => undefined,
        () => execFileSync("mount", ["-o", "remount,size=300m", place]),
      );
      await running?.stop();
    } finally {
      execFileSync("umount", ["-l", place]);
    }
  });
});
