// Looks at the vault's slot on the primary from the side: how close it is to losing WAL (trap 5). The replication protocol does not
// tell that, so this is an ordinary session, now and then, which nothing waits for.
import type { Clock } from "@tidemark/kernel/clock";
import { sleep } from "@tidemark/kernel/clock";
import postgres from "postgres";
import type { VaultSlotStatus } from "./vault-status.ts";
import type { WalTarget } from "./wal-source.ts";

/** Time between two looks, milliseconds. */
const LOOK_MS = 5_000;
const CONNECT_TIMEOUT_S = 3;

/** Columns differ between versions; what a version does not have is simply absent from its row. */
const SLOT_SQL = "SELECT to_jsonb(slot) AS slot FROM pg_replication_slots AS slot WHERE slot_name = $1";

interface SlotRow {
  readonly wal_status?: string | null;
  readonly restart_lsn?: string | null;
  readonly safe_wal_size?: number | null;
  readonly active?: boolean | null;
  readonly invalidation_reason?: string | null;
}

export class SlotWatch {
  readonly #clock: Clock;
  readonly #ask: () => { target: WalTarget; identity: string } | undefined;
  #sql: { key: string; client: postgres.Sql } | undefined;
  #seen: { status: VaultSlotStatus; sinceMs: number } | undefined;

  /** @param ask who is followed, and under which name; undefined: nobody. */
  constructor(clock: Clock, ask: () => { target: WalTarget; identity: string } | undefined) {
    this.#clock = clock;
    this.#ask = ask;
  }

  /** Undefined while it is not known: there is no slot, or the server does not answer. */
  get status(): VaultSlotStatus | undefined {
    return this.#seen?.status;
  }

  /** Wall time since when `walStatus` is what it is. */
  get sinceMs(): number {
    return this.#seen?.sinceMs ?? this.#clock.wallMs();
  }

  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await this.look();
      await sleep(this.#clock, LOOK_MS, signal).catch(() => undefined);
    }
    await this.#close();
  }

  async look(): Promise<void> {
    const asked = this.#ask();
    if (asked === undefined) {
      this.#seen = undefined;
      return this.#close();
    }
    try {
      const client = await this.#connect(asked.target);
      const [row] = await client.unsafe<{ slot: SlotRow }[]>(SLOT_SQL, [asked.identity]);
      this.#take(row?.slot);
    } catch {
      // The receiver says why the server does not answer; here nothing is known then.
      this.#seen = undefined;
      await this.#close();
    }
  }

  #take(row: SlotRow | undefined): void {
    if (row === undefined) {
      this.#seen = undefined;
      return;
    }
    const status: VaultSlotStatus = {
      ...(typeof row.wal_status === "string" ? { walStatus: row.wal_status } : {}),
      ...(typeof row.restart_lsn === "string" ? { restartLsn: row.restart_lsn } : {}),
      ...(typeof row.safe_wal_size === "number" ? { safeWalBytes: row.safe_wal_size } : {}),
      ...(typeof row.active === "boolean" ? { active: row.active } : {}),
      ...(typeof row.invalidation_reason === "string" ? { invalidationReason: row.invalidation_reason } : {}),
    };
    const same = this.#seen?.status.walStatus === status.walStatus;
    this.#seen = { status, sinceMs: same && this.#seen !== undefined ? this.#seen.sinceMs : this.#clock.wallMs() };
  }

  async #connect(target: WalTarget): Promise<postgres.Sql> {
    const key = `${target.host}:${target.port}`;
    if (this.#sql?.key === key) return this.#sql.client;
    await this.#close();
    const client = postgres({
      host: target.host,
      port: target.port,
      user: target.login.user,
      password: target.login.password.reveal(),
      database: "postgres",
      max: 1,
      fetch_types: false,
      connect_timeout: CONNECT_TIMEOUT_S,
      onnotice: () => undefined,
      connection: { application_name: "tidemark vault status" },
    });
    this.#sql = { key, client };
    return client;
  }

  async #close(): Promise<void> {
    const sql = this.#sql;
    this.#sql = undefined;
    await sql?.client.end({ timeout: 1 });
  }
}
