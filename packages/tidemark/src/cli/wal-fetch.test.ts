import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { TidemarkError, type ErrorCode } from "@tidemark/kernel/errors";
import { parseLsn } from "@tidemark/kernel/lsn";
import { ManualClock } from "@tidemark/kernel/testing/manual-clock";
import { fetchExitCode, FETCH_EXIT, restoreSafeExit } from "./wal-exit-codes.ts";
import { fetchWal, type FetchOrder, type FoundFile, type WalGiver } from "./wal-fetch.ts";

let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "tidemark-fetch-"));
});

afterEach(() => rm(folder, { recursive: true, force: true }));

type Answer = ErrorCode | FoundFile;

const whole: FoundFile = { bytes: Buffer.from("whole"), source: "local", complete: true };
const growing = (end: string): FoundFile => ({ bytes: Buffer.from(`to ${end}`), source: "partial", complete: false, end: parseLsn(end) });

/** Answers in turn, the last one again and again. */
function giver(name: string, ...answers: Answer[]): WalGiver & { asked: number } {
  const made = {
    name,
    asked: 0,
    give: (): Promise<FoundFile> => {
      const answer = answers[Math.min(made.asked++, answers.length - 1)] as Answer;
      return typeof answer === "string" ? Promise.reject(new TidemarkError(answer, `${name} says so`)) : Promise.resolve(answer);
    },
  };
  return made;
}

async function outcome(vaults: WalGiver[], stores: WalGiver[] = [], more: Partial<FetchOrder> = {}): Promise<string> {
  const destination = join(folder, "RECOVERYXLOG");
  await rm(destination, { force: true });
  try {
    await fetchWal({
      name: "000000010000000000000001",
      destination,
      vaults,
      stores: () => Promise.resolve(stores),
      withoutVault: false,
      patienceMs: 0,
      clock: new ManualClock(),
      ...more,
    });
  } catch (error) {
    expect(await readdir(folder)).toEqual([]);
    if (error instanceof TidemarkError) return error.code;
    throw error;
  }
  expect(await readdir(folder)).toEqual(["RECOVERYXLOG"]);
  return readFile(destination, "utf8");
}

describe("a vault that answers", () => {
  test("gives the file, and nobody else is asked", async () => {
    const second = giver("second", whole);
    expect(await outcome([giver("first", whole), second])).toBe("whole");
    expect(second.asked).toBe(0);
  });

  test("says that the WAL ends: it does, without a word of the object stores", async () => {
    const store = giver("store", whole);
    expect(await outcome([giver("vault", "TM-VAULT-END-OF-WAL")], [store])).toBe("TM-VAULT-END-OF-WAL");
    expect(store.asked).toBe(0);
  });

  test("with a growing segment gives it, if no other one has more", async () => {
    expect(await outcome([giver("vault", growing("0/10"))])).toBe("to 0/10");
    expect(await outcome([giver("a", growing("0/10")), giver("b", growing("0/20")), giver("c", "TM-VAULT-END-OF-WAL")])).toBe("to 0/20");
    expect(await outcome([giver("a", growing("0/10")), giver("b", whole)])).toBe("whole");
  });

  test("with a hole is believed, unless another one or a store has the file", async () => {
    expect(await outcome([giver("a", "TM-VAULT-HOLE"), giver("b", "TM-VAULT-END-OF-WAL")])).toBe("TM-VAULT-HOLE");
    expect(await outcome([giver("a", "TM-VAULT-HOLE"), giver("b", growing("0/10"))])).toBe("TM-VAULT-HOLE");
    expect(await outcome([giver("a", "TM-VAULT-HOLE")], [giver("store", "TM-VAULT-END-OF-WAL")])).toBe("TM-VAULT-HOLE");
    expect(await outcome([giver("a", "TM-VAULT-HOLE"), giver("b", whole)])).toBe("whole");
    expect(await outcome([giver("a", "TM-VAULT-DAMAGED")], [giver("store", whole)])).toBe("whole");
  });
});

describe("a vault that does not answer", () => {
  const away = (): WalGiver => giver("vault", "TM-VAULT-AWAY");

  test("is replaced by the object stores for what they have whole", async () => {
    expect(await outcome([away()], [giver("store", whole)])).toBe("whole");
  });

  test("may have more: neither the end of the object stores nor a growing segment of theirs is taken for the end (trap 33)", async () => {
    expect(await outcome([away()], [giver("store", "TM-VAULT-END-OF-WAL")])).toBe("TM-VAULT-UNSURE");
    expect(await outcome([away()], [giver("store", growing("0/10"))])).toBe("TM-VAULT-UNSURE");
    expect(await outcome([giver("other", growing("0/10")), away()], [giver("store", "TM-VAULT-END-OF-WAL")])).toBe("TM-VAULT-UNSURE");
    expect(await outcome([giver("other", "TM-VAULT-END-OF-WAL"), away()], [])).toBe("TM-VAULT-AWAY");
  });

  test("that is lost for good leaves the end of the object stores, if all of them can be read", async () => {
    const withoutVault = true;
    expect(await outcome([away()], [giver("store", "TM-VAULT-END-OF-WAL")], { withoutVault })).toBe("TM-VAULT-END-OF-WAL");
    expect(await outcome([away()], [giver("a", growing("0/10")), giver("b", growing("0/20"))], { withoutVault })).toBe("to 0/20");
    expect(await outcome([away()], [giver("a", growing("0/10")), giver("b", "TM-OBJECT-STORE-AWAY")], { withoutVault })).toBe(
      "TM-OBJECT-STORE-AWAY",
    );
    expect(await outcome([away()], [], { withoutVault })).toBe("TM-VAULT-UNSURE");
  });

  test("that merely has trouble is not lost", async () => {
    const vault = giver("vault", "TM-VAULT-UNSURE");
    expect(await outcome([vault], [giver("store", "TM-VAULT-END-OF-WAL")], { withoutVault: true })).toBe("TM-VAULT-UNSURE");
  });
});

test("what may pass is tried again within the patience, what will not pass is not", async () => {
  const clock = new ManualClock();
  const vault = giver("vault", "TM-VAULT-AWAY", "TM-VAULT-UNSURE", whole);
  const fetching = outcome([vault], [], { patienceMs: 10_000, clock });
  while (vault.asked < 3) {
    await new Promise((resolve) => void setImmediate(resolve));
    await clock.advance(250);
  }
  expect(await fetching).toBe("whole");
  const hole = giver("vault", "TM-VAULT-HOLE", whole);
  expect(await outcome([hole], [], { patienceMs: 10_000 })).toBe("TM-VAULT-HOLE");
  expect(hole.asked).toBe(1);
});

test("a destination that cannot be written is told, and nothing is left", async () => {
  const destination = join(folder, "absent", "file");
  expect(await outcome([giver("vault", whole)], [], { destination })).toBe("TM-VAULT-DESTINATION");
});

describe("exit codes (trap 33)", () => {
  const TABLE: readonly (readonly [ErrorCode, number])[] = [
    ["TM-VAULT-END-OF-WAL", FETCH_EXIT.endOfWal],
    ["TM-VAULT-HOLE", 201],
    ["TM-VAULT-BEFORE-WAL", 201],
    ["TM-VAULT-ARCHIVE-MISSING", 201],
    ["TM-VAULT-DAMAGED", 202],
    ["TM-VAULT-ARCHIVE-DAMAGED", 202],
    ["TM-SEAL-DAMAGED", 202],
    ["TM-SEAL-FORGED", 202],
    ["TM-SEAL-UNENCRYPTED", 202],
    ["TM-SEAL-KEY-WRONG", 203],
    ["TM-SEAL-KEY-MISSING", 203],
    ["TM-SEAL-KEY-SOURCE", 203],
    ["TM-VAULT-OTHER-HISTORY", 204],
    ["TM-VAULT-OTHER-SYSTEM", 204],
    ["TM-VAULT-DESTINATION", 205],
    ["TM-VAULT-WAL-NAME", 206],
    ["TM-CONFIG-INVALID", 206],
    ["TM-PLATFORM-SECRET", 206],
    ["TM-VAULT-UNSURE", 200],
    ["TM-VAULT-AWAY", 200],
    ["TM-OBJECT-STORE-AWAY", 200],
    ["TM-SEAL-KMS-AWAY", 200],
  ];

  test.each(TABLE)("%s ends with %i", (code, exit) => {
    expect(fetchExitCode(new TidemarkError(code, "it happened"))).toBe(exit);
  });

  test("whatever else goes wrong stops PostgreSQL", () => {
    expect(fetchExitCode(new TypeError("a bug"))).toBe(255);
    for (const code of [1, 2, 64, 70, 78, 126, 127]) expect(restoreSafeExit(["wal", "fetch", "x"], code)).toBeGreaterThanOrEqual(128);
    expect(restoreSafeExit(["wal", "--store", "x", "fetch"], 64)).toBeGreaterThanOrEqual(128);
    expect(restoreSafeExit(["wal", "push", "x"], 75)).toBe(75);
    expect(restoreSafeExit(["wal", "fetch"], 0)).toBe(0);
  });
});
