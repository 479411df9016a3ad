import { describe, expect, it } from "vitest";
import { identifyProcess } from "../platform/process-identity.ts";
import type { RunFile, RunningRole } from "../platform/run-file.ts";
import { statusExitCode } from "./status-command.ts";
import type { StatusReport } from "./status-report.ts";
import { describeStatus } from "./status-view.ts";
import { makePaint } from "./terminal.ts";

const self = identifyProcess(process.pid) ?? { pid: 0, started: "" };
const role = (name: string, more: Partial<RunningRole> = {}): RunningRole => ({
  name,
  kind: "gateway",
  state: "ready",
  ...self,
  startedAtMs: 0,
  restarts: 0,
  log: "",
  ...more,
});

const run: RunFile = {
  formatVersion: 1,
  supervisor: self,
  startedAtMs: Date.parse("2026-01-01T00:00:00Z"),
  configFile: "/shop/tidemark.yaml",
  stateDir: "/shop/.tidemark",
  state: "ready",
  gatewayUrl: "http://127.0.0.1:7400",
  controlUrl: "http://127.0.0.1:7401",
  roles: [
    role("control", { address: "127.0.0.1:7401" }),
    role("agent-pg1", { address: "127.0.0.1:7421" }),
    role("gateway", { address: "127.0.0.1:7400", restarts: 2 }),
  ],
};

const report: StatusReport = {
  formatVersion: 1,
  at: "2026-01-01T00:05:00.000Z",
  name: "orders-example",
  stateDir: "/shop/.tidemark",
  supervisor: { state: "running", pid: 12 },
  run,
  control: {
    known: true,
    value: {
      stores: {
        orders: {
          state: "serving",
          synchronous: "1 synchronous copy",
          record: { primary: "pg2", epoch: 2, timeline: 2 },
          decision: { phase: "steady" },
          lastFailover: { kind: "failover", from: "pg1", to: "pg2", atMs: Date.parse("2026-01-01T00:01:00Z"), totalMs: 412 },
          nodes: [
            {
              node: "pg1",
              role: "standby",
              ageMs: 120,
              lagBytes: 2_048,
              status: { state: "standby", timeline: 2, lsn: "0/5000000", streaming: true },
            },
            { node: "pg2", role: "primary", ageMs: 9_000, status: { state: "primary", timeline: 2, lsn: "0/5000800" } },
            { node: "pg3", role: "standby" },
          ],
          vaults: [
            {
              vault: "vault1",
              member: true,
              ageMs: 40,
              lagBytes: 0,
              status: {
                vault: {
                  state: "streaming",
                  recoveryPoint: {
                    timeline: 2,
                    flushedLsn: "0/5000900",
                    lastWholeRecordLsn: "0/5000800",
                    commit: { lsn: "0/5000700", atMs: Date.parse("2026-01-01T00:04:59.912Z"), xid: 9 },
                    commits: 4_812,
                  },
                  disk: { freeBytes: 2_147_483_648, walBytes: 33_554_432 },
                  faults: [
                    {
                      code: "TM-VAULT-CORRUPT",
                      what: "a record's checksum does not fit",
                      range: { from: { timeline: 1, lsn: "0/3000000" }, to: { timeline: 1, lsn: "0/3002000" } },
                    },
                  ],
                  archive: {
                    stores: [
                      { name: "main", state: "current", recoveryPoint: { timeline: 2, lsn: "0/5000800" }, lagSeconds: 0 },
                      {
                        name: "far",
                        state: "held",
                        recoveryPoint: { timeline: 1, lsn: "0/4000000" },
                        lagSeconds: 95,
                        lagIsLowerBound: true,
                        lastError: { code: "TM-OBJECT-STORE-AWAY", message: "put: connection refused" },
                      },
                    ],
                    holes: [{ where: "far", timeline: 1, start: "0/2000000", end: "0/3000000" }],
                    faults: [],
                  },
                },
              },
            },
            { vault: "vault2", member: false, ageMs: 60_000, status: { vault: { state: "streaming" } } },
          ],
        },
      },
    },
  },
  gateway: {
    known: true,
    value: {
      accepting: true,
      journal: {
        state: "open",
        oldest: "1",
        durable: "4500",
        bytes: 16_777_216,
        quotaBytes: 1_073_741_824,
        healingHorizon: "2026-01-01T00:00:01.000Z",
      },
      writes: { pending: 3 },
      deadLetters: { open: 2 },
      incidents: 0,
      stores: {
        orders: { guarantee: "fsynced in the journal on one machine", applier: { pid: 99, state: "applying" }, behind: { records: 12 } },
      },
    },
  },
};

const show = (of: StatusReport, columns: number): string =>
  describeStatus(of, { columns, paint: makePaint(false) })
    .join("\n")
    .replaceAll(String(self.pid).padStart(5), "  PID")
    .replaceAll(String(self.pid), "PID");

describe("the status for people", () => {
  it("is a table in 80 columns; an agent that was not heard lately is unknown", () => {
    expect(
      show(report, 80)
        .replaceAll(/ +PID/g, " PID")
        .replaceAll(/ +pid {2}/g, " pid  "),
    ).toMatchInlineSnapshot(`
      "orders-example 2026-01-01 00:05:00 UTC
      state in     /shop/.tidemark
      supervisor   running, pid 12, up 5 m 0 s

      role       state pid  restarts  address
      control    ready PID         0  127.0.0.1:7401
      agent-pg1  ready PID         0  127.0.0.1:7421
      gateway    ready PID         2  127.0.0.1:7400

      store orders
      state        serving
      primary      pg2, epoch 2, timeline 2
      commits      wait for 1 synchronous copy
      failover     pg1 to pg2, 2026-01-01 00:01:00, in 412 ms
      node  state    timeline        lsn  behind  note
      pg1   standby         2  0/5000000   2 KiB  streams
      pg2   unknown                               its agent was last heard 9.00 s ago
      pg3   unknown                               its agent was not heard
      vault   state      timeline    flushed  behind  note
      vault1  streaming         2  0/5000900     0 B  commits wait for it
      vault2  unknown                                 it was last heard 1 m 0 s ago
      vault1 has   WAL to 0/5000800, commits up to 00:04:59.912, 4812 since it started
      in main      WAL to 0/5000800, current, nothing waits
      in far       WAL to 0/4000000, held, at least 1 m 35 s behind;
                   TM-OBJECT-STORE-AWAY put: connection refused
      its disk     32 MiB of WAL, 2 GiB free
      fault        TM-VAULT-CORRUPT: a record's checksum does not fit (timeline 1,
                   0/3000000 to 0/3002000)
      fault        a hole in far: timeline 1, 0/2000000 to 0/3000000

      gateway http://127.0.0.1:7400
      accepts      writes
      journal      open, writes 1 to 4500, 16 MiB of 1 GiB
      heals back   to 2026-01-01T00:00:01.000Z
      pending      3
      dead letters 2 wait for an operator
      incidents    none
      apply orders applying, pid 99; behind by 12 writes at most
      acknowledged means fsynced in the journal on one machine"
    `);
  });

  it("puts what does not fit below in 50 columns, and no line is longer", () => {
    const lines = show(report, 50).split("\n");
    expect(lines.filter((line) => line.length > 50)).toEqual([]);
    expect(lines).toContain("pg1");
    expect(lines).toContain("  behind   2 KiB");
  });

  it("shows what cannot be asked as unknown, and a role that is gone as gone", () => {
    const lost: StatusReport = {
      ...report,
      supervisor: { state: "gone", pid: 12 },
      run: { ...run, roles: [role("gateway", { started: "1" })] },
      control: { known: false, why: "nobody listens there" },
      gateway: { known: false, why: "no answer within 2000 ms" },
    };
    const text = show(lost, 80);
    expect(text).toContain("stores       unknown: nobody listens there");
    expect(text).toContain("gateway      unknown: no answer within 2000 ms");
    expect(text).toMatch(/gateway +gone/);
    expect(text).not.toContain("ready");
  });

  it("survives answers of another version: what is not there is unknown", () => {
    const odd: StatusReport = {
      ...report,
      control: { known: true, value: { stores: { orders: 7, b: { nodes: [null, 1] } } } },
      gateway: { known: true, value: { journal: "x", stores: [] } },
    };
    expect(show(odd, 80)).toContain("unknown");
  });

  it("says that there is no gateway where every store is run by somebody else", () => {
    const { gateway: _none, ...watching } = report;
    expect(show(watching, 120)).toContain("none: every store is run by somebody else");
    expect(statusExitCode(watching)).toBe(0);
  });

  it("ends with 0 only when everything runs, answers and accepts", () => {
    expect(statusExitCode(report)).toBe(0);
    expect(statusExitCode({ ...report, gateway: { known: true, value: { accepting: false } } })).toBe(1);
    expect(statusExitCode({ ...report, run: { ...run, roles: [role("gateway", { state: "waiting" })] } })).toBe(1);
    expect(statusExitCode({ ...report, control: { known: false, why: "" } })).toBe(1);
    expect(
      statusExitCode({
        ...report,
        supervisor: { state: "absent" },
        control: { known: false, why: "" },
        gateway: { known: false, why: "" },
      }),
    ).toBe(69);
  });
});
