import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Epoch, SystemIdentifier, Timeline } from "@tidemark/kernel/brands";
import { Redacted } from "@tidemark/kernel/redacted";
import { ManualClock } from "@tidemark/kernel/testing/manual-clock";
import type { VaultStatus } from "../vault/vault-status.ts";
import type { PositionTimes } from "./position-times.ts";
import type { CopyFacts } from "./probe-result.ts";
import { HttpStandIn, json } from "./testing/http-stand-in.ts";
import { bearsItsTarget, SECRET } from "./testing/http-target-rules.ts";
import { VaultProbe } from "./vault-probe.ts";

const clock = new ManualClock(1_800_000_000_000);
const COMMIT_MS = 1_799_999_000_000;

/** Typed as what a vault answers, so that the two cannot part. */
const STATUS: VaultStatus = {
  vault: "vault1",
  store: "orders",
  state: "streaming",
  identity: "vault1",
  systemIdentifier: "7312345678901234567" as SystemIdentifier,
  primary: { node: "pg1", epoch: 3 as Epoch },
  contiguousFrom: { timeline: 2 as Timeline, lsn: "0/1000000" },
  recoveryPoint: {
    timeline: 2 as Timeline,
    flushedLsn: "0/5000100",
    lastWholeRecordLsn: "0/5000100",
    commit: { lsn: "0/5000100", atMs: COMMIT_MS, xid: 800 },
  },
  lagBytes: 0,
  silentMs: 300,
  gaps: [],
  faults: [],
  disk: { freeBytes: 9_000, walBytes: 100, divergedBytes: 0 },
  archive: {
    stores: [
      {
        name: "far",
        state: "archiving",
        recoveryPoint: { timeline: 2, from: "0/1000000", lsn: "0/5000000", commitTimeMs: COMMIT_MS - 7_000 },
        lagBytes: "256",
        lagSeconds: 4,
        lagIsLowerBound: false,
        objects: 4,
        unverified: 0,
        storedBytes: 900,
      },
    ],
    holes: [],
    gaps: [],
    faults: [],
    local: { segments: 4, bytes: "64000000", digested: 4, checked: 1 },
  },
  uptimeMs: 10_000,
  atMs: 1_800_000_000_000,
};

const make = (url: string, positions?: PositionTimes): VaultProbe =>
  new VaultProbe({
    store: "orders",
    vault: "vault1",
    domain: { machine: "m3" },
    archives: { far: { region: "north" } },
    target: { url: `${url}/status`, authorization: new Redacted(`Bearer ${SECRET}`) },
    ...(positions === undefined ? {} : { positions }),
    clock,
  });

describe("the probe of a vault", () => {
  bearsItsTarget({ make, good: STATUS });

  let target: HttpStandIn;
  beforeEach(async () => {
    target = await HttpStandIn.start(json(STATUS));
  });
  afterEach(() => target.stop());

  const copies = async (status: Partial<VaultStatus> = {}, probe = make(target.url)): Promise<readonly CopyFacts[]> => {
    target.answer = json({ ...STATUS, ...status });
    const reading = await probe.probe(new AbortController().signal);
    if (!reading.ok) throw new Error(reading.why);
    return reading.copies;
  };

  it("asks with the token, and tells the vault and each of its object stores as copies", async () => {
    let asked: string | undefined;
    target.answer = (request, response) => {
      asked = request.headers.authorization;
      json(STATUS)(request, response);
    };
    const reading = await make(target.url).probe(new AbortController().signal);
    expect(asked).toBe(`Bearer ${SECRET}`);
    expect(reading).toMatchObject({
      ok: true,
      copies: [
        {
          name: "vault1",
          kind: "vault",
          holds: "wal",
          outlivesProcess: true,
          domain: { machine: "m3" },
          recoveryPoint: {
            known: true,
            method: "commit-record",
            value: { commitMs: COMMIT_MS, complete: true, lsn: "0/5000100", timeline: 2 },
          },
          missingBytes: { known: true, value: 0 },
          missingTransactions: { known: true, value: 0 },
          synchronous: { known: false },
        },
        {
          name: "vault1/far",
          kind: "archive",
          domain: { region: "north" },
          recoveryPoint: { known: true, value: { commitMs: COMMIT_MS - 7_000, complete: false, lsn: "0/5000000" } },
          missingBytes: { known: true, value: 256 },
          missingTransactions: { known: false },
        },
      ],
    });
    for (const copy of reading.ok ? reading.copies : []) expect(copy.proof).toBeUndefined();
  });

  it("says that nothing is missing as of when the primary was heard, and not of a primary that is silent", async () => {
    const [heard] = await copies();
    expect(heard?.recoveryPoint).toMatchObject({ atMs: clock.wallMs() - 300 });
    const [silent] = await copies({ silentMs: 2_001 });
    expect(silent?.recoveryPoint).toMatchObject({ known: true, value: { complete: false } });
    expect(silent?.missingTransactions.known).toBe(false);
  });

  it("knows nothing of what is missing while the vault follows no primary", async () => {
    const found = await copies({ state: "waiting", lagBytes: 0, silentMs: 10 });
    for (const copy of found) {
      expect(copy.missingBytes).toMatchObject({ known: false });
      expect(copy.recoveryPoint).toMatchObject({ known: true, value: { complete: false } });
    }
  });

  it("knows no recovery point of a vault that has none or has seen no commit", async () => {
    const { recoveryPoint, ...none } = STATUS;
    target.answer = json(none);
    const reading = await make(target.url).probe(new AbortController().signal);
    expect(reading.ok && reading.copies[0]).toMatchObject({ recoveryPoint: { known: false }, missingTransactions: { known: false } });
    const [idle] = await copies({ recoveryPoint: { timeline: 2 as Timeline, flushedLsn: "0/1000000" } });
    expect(idle?.recoveryPoint).toMatchObject({ known: false, why: "the vault has seen no commit yet" });
    expect(recoveryPoint).toBeDefined();
  });

  it("prefers when the primary was seen at its position to the time of an old commit", async () => {
    const positions: PositionTimes = {
      timeOf: (_timeline, lsn) =>
        lsn === 0x5000100n
          ? { found: true, untilMs: 1_799_999_999_000, gapMs: 40, complete: true, missingTransactions: 0 }
          : { found: false, why: "further behind" },
    };
    const [vault, far] = await copies({}, make(target.url, positions));
    expect(vault?.recoveryPoint).toMatchObject({ method: "position-history", value: { commitMs: 1_799_999_999_000, complete: true } });
    expect(far?.recoveryPoint).toMatchObject({ method: "commit-record" });
  });

  it("goes back to the oldest commit that it saw in the same unbroken run, and forgets it with a new run", async () => {
    const probe = make(target.url);
    const at = (atMs: number) => ({
      recoveryPoint: { ...STATUS.recoveryPoint, commit: { lsn: "0/5000100", atMs, xid: 1 } } as VaultStatus["recoveryPoint"] & object,
    });
    await copies(at(COMMIT_MS), probe);
    expect((await copies(at(COMMIT_MS + 60_000), probe))[0]?.pointInTime).toEqual({ fromMs: COMMIT_MS, toMs: COMMIT_MS + 60_000 });
    const later = await copies({ ...at(COMMIT_MS + 90_000), contiguousFrom: { timeline: 2 as Timeline, lsn: "0/4000000" } }, probe);
    expect(later[0]?.pointInTime).toEqual({ fromMs: COMMIT_MS + 90_000, toMs: COMMIT_MS + 90_000 });
  });

  it("tells faults by their code, not in words that may name anything", async () => {
    const fault = { code: "TM-VAULT-DISK", part: "receiver", what: SECRET, hint: SECRET };
    const [copy] = await copies({ faults: [fault, { ...fault, code: SECRET }] });
    expect(copy?.remarks).toEqual(["It has a fault: TM-VAULT-DISK.", "It has a fault: one without a code."]);
  });
});
