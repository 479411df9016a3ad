import type { Epoch, Timeline } from "@tidemark/kernel/brands";
import { describe, expect, it } from "vitest";
import { VaultMetrics } from "./vault-metrics.ts";
import type { VaultStatus } from "./vault-status.ts";

const EMPTY: VaultStatus = {
  vault: "vault1",
  store: "orders",
  state: "waiting",
  identity: "tidemark_vault_vault1_0",
  gaps: [],
  faults: [],
  uptimeMs: 1,
  atMs: 1_700_000_000_000,
};

const FULL: VaultStatus = {
  ...EMPTY,
  state: "streaming",
  promised: 4 as Epoch,
  recoveryPoint: {
    timeline: 2 as Timeline,
    flushedLsn: "1/5A3C1E0",
    lastWholeRecordLsn: "1/5A3C1D8",
    commit: { lsn: "1/5A3C100", atMs: 1_699_999_999_500, xid: 770 },
    commits: 12_345,
  },
  lagBytes: 4_096,
  silentMs: 120,
  faults: [{ code: "TM-VAULT-GAP", part: "receiver", what: "", hint: "" }],
  disk: { freeBytes: 5_000, walBytes: 300, divergedBytes: 20 },
  archive: {
    stores: ["main", 'f"a\\r'].map((name, index) => ({
      name,
      state: index === 0 ? ("current" as const) : ("held" as const),
      recoveryPoint: { timeline: 2, from: "0/1000000", lsn: "1/5A00000", commitTimeMs: 1_699_999_990_000 },
      lagBytes: "246240",
      lagSeconds: 2.5,
      lagIsLowerBound: false,
      objects: 5,
      unverified: 0,
      storedBytes: 5_000_000,
    })),
    holes: [],
    gaps: [],
    faults: [],
    local: { segments: 4, bytes: "67108864", digested: 4, checked: 2 },
  },
};

const textOf = (status: VaultStatus): Promise<string> => new VaultMetrics(() => status).text();

/** The families of an exposition: type, help and samples by name. Fails on a line that is none of OpenMetrics. */
function parse(text: string): Map<string, { type?: string; help?: string; samples: { labels: string; value: number }[] }> {
  const families = new Map<string, { type?: string; help?: string; samples: { labels: string; value: number }[] }>();
  const family = (name: string): NonNullable<ReturnType<typeof families.get>> => {
    const known = families.get(name) ?? { samples: [] };
    families.set(name, known);
    return known;
  };
  for (const line of text.trimEnd().split("\n").slice(0, -1)) {
    const meta = /^# (TYPE|HELP) ([a-z_]+) (.+)$/.exec(line);
    const sample = /^([a-z_]+)\{((?:[a-z_]+="(?:[^"\\\n]|\\["\\n])*",?)*)\} (\S+)$/.exec(line);
    if (meta?.[1] === "TYPE") family(meta[2] ?? "").type = meta[3] ?? "";
    else if (meta?.[1] === "HELP") family(meta[2] ?? "").help = meta[3] ?? "";
    else if (sample === null) throw new Error(`no line of OpenMetrics: ${line}`);
    else family(sample[1] ?? "").samples.push({ labels: sample[2] ?? "", value: Number(sample[3]) });
  }
  return families;
}

describe("a vault's metrics", () => {
  it("are OpenMetrics: typed, with help, a base unit at the end of the name, labels escaped, and an end", async () => {
    const metrics = new VaultMetrics(() => FULL);
    expect(metrics.contentType).toContain("application/openmetrics-text; version=1.0.0");
    const text = await metrics.text();
    expect(text.endsWith("# EOF\n")).toBe(true);
    const families = parse(text);
    expect(families.size).toBeGreaterThan(12);
    for (const [name, { type, help, samples }] of families) {
      expect(name).toMatch(/^tidemark_vault_[a-z_]+$/);
      expect(type, name).toBe("gauge");
      // A sentence, and never the name again.
      expect(help, name).toMatch(/^[A-Z0-9].{15,}\.$/);
      expect(samples.length, name).toBeGreaterThan(0);
      for (const { labels, value } of samples) {
        expect(labels).toMatch(/^vault="vault1",store="orders"/);
        expect(Number.isFinite(value), name).toBe(true);
      }
      // Whatever has a unit has the base unit, and says so.
      expect(name).not.toMatch(/(_ms|_milliseconds|_kib|_mib|_lsn)$/);
    }
  });

  it("say what the status says", async () => {
    const families = parse(await textOf(FULL));
    const one = (name: string): number | undefined => families.get(`tidemark_vault_${name}`)?.samples[0]?.value;
    expect({
      streaming: one("streaming"),
      flushed: one("flushed_position_bytes"),
      timeline: one("timeline"),
      lag: one("lag_bytes"),
      silence: one("silence_seconds"),
      commit: one("last_commit_timestamp_seconds"),
      promised: one("promised_epoch"),
      gaps: one("gaps"),
      faults: one("faults"),
      backup: one("base_backup_wanted"),
      free: one("disk_free_bytes"),
      wal: one("wal_bytes"),
      evidence: one("evidence_bytes"),
    }).toEqual({
      streaming: 1,
      flushed: 0x1_05a3_c1e0,
      timeline: 2,
      lag: 4_096,
      silence: 0.12,
      commit: 1_699_999_999.5,
      promised: 4,
      gaps: 0,
      faults: 1,
      backup: 0,
      free: 5_000,
      wal: 300,
      evidence: 20,
    });
    const stores = families.get("tidemark_vault_archive_lag_seconds")?.samples;
    expect(stores?.map(({ value }) => value)).toEqual([2.5, 2.5]);
    expect(stores?.[1]?.labels).toContain('object_store="f\\"a\\\\r"');
    expect(families.get("tidemark_vault_archive_position_bytes")?.samples[0]?.value).toBe(0x1_05a0_0000);
    expect(families.get("tidemark_vault_archive_held")?.samples.map(({ value }) => value)).toEqual([0, 1]);
  });

  it("leave out what is not known instead of saying zero (HONEST-NUMBER)", async () => {
    const families = parse(await textOf(EMPTY));
    const said = [...families].filter(([, { samples }]) => samples.length > 0).map(([name]) => name.replace("tidemark_vault_", ""));
    expect(said.sort()).toEqual(["base_backup_wanted", "faults", "gaps", "streaming"]);
  });

  it("forget a store that is not there any more", async () => {
    let status = FULL;
    const metrics = new VaultMetrics(() => status);
    expect(await metrics.text()).toContain('object_store="main"');
    status = EMPTY;
    expect(await metrics.text()).not.toContain("object_store=");
  });
});
