import { describe, expect, test } from "vitest";
import type { Timeline } from "@tidemark/kernel/brands";
import { silentLogger } from "@tidemark/kernel/logger";
import { parseLsn } from "@tidemark/kernel/lsn";
import { systemClock } from "@tidemark/kernel/platform/system-clock";
import { seededRandom } from "@tidemark/kernel/random";
import type { RestartScan } from "../receiver/restart-scan.ts";
import type { WalPoint } from "../receiver/stream-plan.ts";
import type { Vault } from "../vault.ts";
import { VaultShelf } from "./vault-shelf.ts";

const point = (lsn: string, timeline = 1): WalPoint => ({ timeline: timeline as Timeline, lsn: parseLsn(lsn) });

interface Known {
  /** Durable positions, one for each look; the last one stays. */
  readonly durable: readonly string[];
  readonly read?: string;
  readonly scans?: readonly RestartScan[];
  readonly claim?: boolean;
  readonly revoked?: boolean;
  readonly file?: object;
  /** The timeline that is entered while the files are read. */
  readonly leavesFor?: number;
}

/** A vault that says what it is told to say. */
function shelf({ durable, read, scans = [], claim = false, revoked = false, file = {}, leavesFor }: Known): VaultShelf {
  const positions = durable.map((lsn) => point(lsn));
  const results = [...scans];
  const reach = {
    position: () => (positions.length > 1 ? positions.shift() : positions[0]),
    recordEnd: () => (read === undefined ? undefined : point(read)),
    scan: () => {
      if (leavesFor !== undefined) vault.file = { ...vault.file, run: { from: {}, timeline: leavesFor } };
      return Promise.resolve(results.length > 1 ? results.shift() : results[0]);
    },
    history: [],
    gaps: () => [],
  };
  const vault = {
    isOpen: true,
    isRevoked: revoked,
    reach,
    file: { systemIdentifier: "7", segmentBytes: 16_777_216, run: { from: {}, timeline: 1 }, gaps: [], faults: [], ...file },
    options: {
      directory: "/nowhere",
      clock: systemClock,
      random: seededRandom(1),
      logger: silentLogger,
      source: { record: () => (claim ? { claim: {} } : undefined) },
    },
  };
  return new VaultShelf({ vault: vault as unknown as Vault, archive: () => undefined });
}

const whole = (lsn: string): RestartScan => ({ frontier: point(lsn), whole: point(lsn), holes: [] });
const damaged = (lsn: string): RestartScan => ({
  ...whole(lsn),
  damage: { from: point(lsn), to: point("0/3000900"), what: "later data" },
});

describe("the end that a recovery is told", () => {
  test("is that of the reader of records where it has come as far as was durable when it was asked", async () => {
    expect(
      await shelf({ durable: ["0/3000500"], read: "0/3000500" })
        .shelf()
        .state(),
    ).toMatchObject({ end: parseLsn("0/3000500") });
  });

  test("is looked for in the files where there is no reader, or it is behind", async () => {
    const behind = shelf({ durable: ["0/3000500"], read: "0/2000000", scans: [whole("0/30004F8")] });
    expect(
      (await behind
        .shelf()
        .library.give({ name: "000000010000000000000004" })
        .catch((error: unknown) => error)) as object,
    ).toMatchObject({
      code: "TM-VAULT-END-OF-WAL",
      details: { end: "0/30004F8" },
    });
  });

  test("is not called damaged because the file grew while it was read", async () => {
    const growing = shelf({ durable: ["0/3000100", "0/3000100", "0/3000900"], scans: [damaged("0/3000100"), whole("0/3000900")] });
    expect(await growing.shelf().state()).not.toHaveProperty("unsure");
  });

  test("is doubted where the file is damaged and nothing grows", async () => {
    const still = shelf({ durable: ["0/3000100"], scans: [damaged("0/3000100")] });
    expect(await still.shelf().state()).toMatchObject({
      end: parseLsn("0/3000100"),
      unsure: expect.stringContaining("later data") as string,
    });
  });

  test("is never beyond what is durable: what is written and not flushed is waited for", async () => {
    const written = shelf({ durable: ["0/3000100", "0/3000100", "0/3000100", "0/3000100", "0/3000900"], scans: [whole("0/3000900")] });
    expect(await written.shelf().state()).toMatchObject({ end: parseLsn("0/3000900") });
  });

  test("is doubted while a damaged range is received again", async () => {
    const repair = { from: { timeline: 1, lsn: "0/2000000" }, to: { timeline: 1, lsn: "0/3000000" } };
    expect(
      await shelf({ durable: ["0/3000500"], read: "0/3000500", file: { repair } })
        .shelf()
        .state(),
    ).toMatchObject({
      unsure: expect.stringContaining("0/2000000") as string,
    });
  });
});

describe("during a claim (R9)", () => {
  test("the vote bounds what is given", async () => {
    const file = { promise: { epoch: 5 }, vote: { epoch: 5, timeline: 1, end: "0/3000480" } };
    const voted = shelf({ durable: ["0/3000500"], read: "0/3000500", revoked: true, file });
    expect(await voted.shelf().state()).toMatchObject({ vote: { timeline: 1, lsn: parseLsn("0/3000480") } });
  });

  test("the growing segment is withheld before the vote, also by a vote of an earlier epoch", async () => {
    const file = { promise: { epoch: 6 }, vote: { epoch: 5, timeline: 1, end: "0/3000480" } };
    const bound = { vote: { timeline: 1, lsn: parseLsn("0/3000000") } };
    expect(
      await shelf({ durable: ["0/3000500"], read: "0/3000500", claim: true })
        .shelf()
        .state(),
    ).toMatchObject(bound);
    expect(
      await shelf({ durable: ["0/3000500"], read: "0/3000500", revoked: true, file })
        .shelf()
        .state(),
    ).toMatchObject(bound);
  });
});

test("nothing is said of a timeline that was left while its end was looked for (R9)", async () => {
  const leaving = shelf({ durable: ["0/3000100"], scans: [whole("0/3000100")], leavesFor: 2 });
  await expect(leaving.shelf().state()).rejects.toMatchObject({ code: "TM-VAULT-UNSURE" });
});

test("nothing is said before it is known whose WAL it is, and before there is any", async () => {
  const unmet = shelf({ durable: [], file: { systemIdentifier: undefined } });
  expect(() => unmet.shelf()).toThrow(expect.objectContaining({ code: "TM-VAULT-UNSURE" }) as Error);
  await expect(
    shelf({ durable: [], file: { run: undefined } })
      .shelf()
      .state(),
  ).rejects.toMatchObject({ code: "TM-VAULT-UNSURE" });
});
