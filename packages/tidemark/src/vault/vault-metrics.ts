import type { OpenMetricsContentType } from "prom-client";
import { Gauge, Registry } from "prom-client";
import { parseLsn } from "@tidemark/kernel/lsn";
import type { StoreStatus } from "./archive/archive-status.ts";
import type { VaultStatus } from "./vault-status.ts";

/** A vault's metrics in the OpenMetrics text form, made from its status at each scrape: they cannot disagree with it. */
export class VaultMetrics {
  readonly #registry = new Registry<OpenMetricsContentType>();
  readonly #status: () => VaultStatus;

  constructor(status: () => VaultStatus) {
    this.#status = status;
    this.#registry.setContentType(Registry.OPENMETRICS_CONTENT_TYPE);
    this.#gauge("tidemark_vault_streaming", "1 while WAL is being received.", (now) => (now.state === "streaming" ? 1 : 0));
    this.#gauge("tidemark_vault_flushed_position_bytes", "Everything before this WAL position is durable in the vault.", (now) =>
      now.recoveryPoint === undefined ? undefined : Number(parseLsn(now.recoveryPoint.flushedLsn)),
    );
    this.#gauge("tidemark_vault_timeline", "The timeline of that position.", (now) => now.recoveryPoint?.timeline);
    this.#gauge(
      "tidemark_vault_lag_bytes",
      "WAL that the primary said it has and that is not durable in the vault.",
      (now) => now.lagBytes,
    );
    this.#gauge("tidemark_vault_silence_seconds", "Time since the primary was last heard.", (now) =>
      now.silentMs === undefined ? undefined : now.silentMs / 1_000,
    );
    this.#gauge("tidemark_vault_last_commit_timestamp_seconds", "Commit time at the vault's recovery point, Unix time.", (now) =>
      now.recoveryPoint?.commit === undefined ? undefined : now.recoveryPoint.commit.atMs / 1_000,
    );
    this.#gauge("tidemark_vault_promised_epoch", "The epoch that the vault has promised itself to.", (now) => now.promised);
    this.#gauge("tidemark_vault_gaps", "Gaps that were recorded: WAL that was lost before it could be received.", (now) => now.gaps.length);
    this.#gauge("tidemark_vault_faults", "Faults that stand or were recorded.", (now) => now.faults.length);
    this.#gauge("tidemark_vault_base_backup_wanted", "1 while a new base backup is needed.", (now) =>
      now.baseBackupWanted === undefined ? 0 : 1,
    );
    this.#gauge("tidemark_vault_disk_free_bytes", "Free bytes where the vault writes.", (now) => now.disk?.freeBytes);
    this.#gauge("tidemark_vault_wal_bytes", "Bytes of WAL in the vault's folder.", (now) => now.disk?.walBytes);
    this.#gauge(
      "tidemark_vault_evidence_bytes",
      "Bytes of evidence that only a person removes: WAL past a fork, damaged files.",
      (now) => now.disk?.divergedBytes,
    );
    this.#storeGauges();
  }

  get contentType(): string {
    return this.#registry.contentType;
  }

  text(): Promise<string> {
    return this.#registry.metrics();
  }

  /** Each object store has a recovery point of its own. */
  #storeGauges(): void {
    const figures: readonly (readonly [string, string, (store: StoreStatus) => number | undefined])[] = [
      [
        "tidemark_vault_archive_lag_bytes",
        "WAL that is durable in the vault and not archived in the store.",
        (one) => Number(one.lagBytes),
      ],
      ["tidemark_vault_archive_lag_seconds", "Age of the oldest WAL that is not archived in the store.", (one) => one.lagSeconds],
      [
        "tidemark_vault_archive_position_bytes",
        "Everything before this WAL position was stored there, read again and compared.",
        ({ recoveryPoint }) => (recoveryPoint === undefined ? undefined : Number(parseLsn(recoveryPoint.lsn))),
      ],
      [
        "tidemark_vault_archive_held",
        "1 while the last attempt to archive into the store failed.",
        (one) => (one.state === "held" ? 1 : 0),
      ],
    ];
    const status = this.#status;
    for (const [name, help, read] of figures) {
      const gauge: Gauge = new Gauge({
        name,
        help,
        labelNames: ["vault", "store", "object_store"],
        registers: [this.#registry],
        collect(): void {
          gauge.reset();
          const now = status();
          for (const store of now.archive?.stores ?? []) {
            const value = read(store);
            if (value !== undefined) gauge.set({ vault: now.vault, store: now.store, object_store: store.name }, value);
          }
        },
      });
    }
  }

  #gauge(name: string, help: string, read: (status: VaultStatus) => number | undefined): void {
    const status = this.#status;
    const gauge: Gauge = new Gauge({
      name,
      help,
      labelNames: ["vault", "store"],
      registers: [this.#registry],
      collect(): void {
        gauge.reset();
        const now = status();
        const value = read(now);
        if (value !== undefined) gauge.set({ vault: now.vault, store: now.store }, value);
      },
    });
  }
}
