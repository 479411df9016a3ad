import { createHash } from "node:crypto";
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { Timeline } from "@tidemark/kernel/brands";
import { TidemarkError } from "@tidemark/kernel/errors";
import { silentLogger } from "@tidemark/kernel/logger";
import { parseLsn, type Lsn } from "@tidemark/kernel/lsn";
import { systemClock } from "@tidemark/kernel/platform/system-clock";
import { systemRandom } from "@tidemark/kernel/platform/system-random";
import { Redacted } from "@tidemark/kernel/redacted";
import type { FastifyInstance } from "fastify";
import { roleServer } from "../../cluster/role-server.ts";
import { WalFolder } from "../wal-folder.ts";
import { PushedWal } from "./pushed-wal.ts";
import type { ServingState } from "./serving-rules.ts";
import { VaultWalClient } from "./vault-wal-client.ts";
import { WalLibrary } from "./wal-library.ts";
import { addWalRoutes, type WalRouteParts } from "./wal-routes.ts";

const SEGMENT = 1_048_576;
const SYSTEM = 7_300_000_000_000_000_001n;
const NAME = "000000010000000000000001";
const NEXT = "000000010000000000000002";
const at = (text: string): Lsn => parseLsn(text);

let directory: string;
let folder: WalFolder;
let server: FastifyInstance;
let client: VaultWalClient;
let state: ServingState;
let archived: Set<string>;
let pushed: PushedWal;
let ready: boolean;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "tidemark-routes-"));
  folder = new WalFolder(directory, SEGMENT);
  await mkdir(folder.wal);
  state = { systemIdentifier: String(SYSTEM), timeline: 1 as Timeline, history: [], end: at("0/200100"), gaps: [] };
  archived = new Set();
  ready = true;
  const check = (bytes: Uint8Array): Promise<string | undefined> => Promise.resolve(bytes[100] === 0xff ? "the WAL breaks" : undefined);
  const world = { folder, state: () => Promise.resolve(state), check };
  pushed = new PushedWal({ ...world, random: systemRandom });
  const shelf = { library: new WalLibrary(world), pushed, state: world.state };
  const parts: WalRouteParts = {
    shelf: () => {
      if (!ready) throw new TidemarkError("TM-VAULT-UNSURE", "never connected");
      return shelf;
    },
    clock: systemClock,
    isArchived: (name) => Promise.resolve(archived.has(name)),
    timeToLsn: (timeMs) => Promise.resolve(timeMs < 1_000 ? undefined : { lsn: "0/200100", timeline: 1, timeMs: 1_000 }),
  };
  server = roleServer({ token: new Redacted("token"), logger: silentLogger, open: new Set() });
  addWalRoutes(server, parts);
  await server.listen({ host: "127.0.0.1", port: 0 });
  const { port } = server.server.address() as AddressInfo;
  client = new VaultWalClient({ name: "vault1", host: "127.0.0.1", port }, new Redacted("token"));
});

afterEach(async () => {
  await server.close();
  await rm(directory, { recursive: true, force: true });
});

/** A segment as far as its first page says whose it is. */
function segment(fill: number, system = SYSTEM): Buffer {
  const bytes = Buffer.alloc(SEGMENT, fill);
  bytes.writeBigUInt64LE(system, 24);
  return bytes;
}

async function codeOf(promise: Promise<unknown>): Promise<string> {
  const error: unknown = await promise.then(
    () => "done",
    (reason: unknown) => reason,
  );
  if (error instanceof TidemarkError) return error.code;
  throw new Error(`no error of ours: ${String(error)}`);
}

describe("GET /wal/<name>", () => {
  test("gives the bytes with their checksum, source and end", async () => {
    await writeFile(join(folder.wal, NAME), segment(1));
    expect(await client.get(NAME)).toEqual({ bytes: segment(1), source: "local", complete: true, end: at("0/200000") });
  });

  test("gives the growing segment in full size and says that it grows", async () => {
    await writeFile(join(folder.wal, `${NEXT}.partial`), segment(2));
    const { bytes, complete, end } = await client.get(NEXT);
    expect({ length: bytes.length, complete, end, beyond: bytes[0x100] }).toEqual({
      length: SEGMENT,
      complete: false,
      end: at("0/200100"),
      beyond: 0,
    });
  });

  test("answers with the code of what is wrong", async () => {
    expect(await codeOf(client.get(NAME))).toBe("TM-VAULT-HOLE");
    expect(await codeOf(client.get("000000010000000000000003"))).toBe("TM-VAULT-END-OF-WAL");
    expect(await codeOf(client.get("..%2Fvault.json"))).toBe("TM-VAULT-WAL-NAME");
    expect(await codeOf(client.get(NAME, "8"))).toBe("TM-VAULT-OTHER-SYSTEM");
    ready = false;
    expect(await codeOf(client.get(NAME))).toBe("TM-VAULT-UNSURE");
  });

  test("needs the token", async () => {
    const stranger = new VaultWalClient({ ...client.vault }, new Redacted("guess"));
    expect(await codeOf(stranger.get(NAME))).toBe("TM-CLUSTER-UNAUTHORIZED");
  });

  test("serves more requests at once than it holds files in memory", async () => {
    await writeFile(join(folder.wal, NAME), segment(1));
    const all = await Promise.all(Array.from({ length: 12 }, () => client.get(NAME)));
    expect(all.map(({ complete }) => complete)).toEqual(Array.from({ length: 12 }, () => true));
    // Also after requests that failed.
    await Promise.all(Array.from({ length: 12 }, () => codeOf(client.get("nonsense"))));
    expect((await client.get(NAME)).source).toBe("local");
  });
});

test("a vault that is not there is away", async () => {
  await server.close();
  expect(await codeOf(client.get(NAME))).toBe("TM-VAULT-AWAY");
});

describe("PUT /wal/<name>", () => {
  test("takes a segment that the receiver does not have, and gives it from then on", async () => {
    expect(await client.put(NAME, segment(1))).toEqual({ outcome: "new", archived: false });
    expect(await readdir(join(directory, "pushed"))).toEqual([NAME]);
    expect(await client.get(NAME)).toMatchObject({ source: "pushed", bytes: segment(1) });
    expect(await client.put(NAME, segment(1))).toEqual({ outcome: "same", archived: false });
  });

  test("takes WAL from beyond what was received, and then the WAL ends behind it", async () => {
    await client.put(NEXT, segment(2));
    expect(await client.get(NEXT)).toMatchObject({ source: "pushed", complete: true });
    await client.put("000000010000000000000003", segment(3));
    expect(await client.get("000000010000000000000003")).toMatchObject({ source: "pushed", complete: true });
    expect(await codeOf(client.get("000000010000000000000004"))).toBe("TM-VAULT-END-OF-WAL");
  });

  test("refuses the same name with other bytes, keeps both, and says so until somebody has seen to it (trap 10)", async () => {
    await writeFile(join(folder.wal, NAME), segment(1));
    expect(await client.put(NAME, segment(1))).toEqual({ outcome: "same", archived: false });
    expect(await codeOf(client.put(NAME, segment(2)))).toBe("TM-VAULT-OTHER-BYTES");
    expect(await codeOf(client.put(NAME, segment(2)))).toBe("TM-VAULT-OTHER-BYTES");
    expect(await readFile(join(folder.wal, NAME))).toEqual(segment(1));
    const kept = `${NAME}.conflict-${createHash("sha256").update(segment(2)).digest("hex").slice(0, 16)}`;
    expect(await readFile(join(directory, "conflicts", kept))).toEqual(segment(2));
    const [fault, ...others] = await pushed.faults();
    expect(others).toEqual([]);
    expect(fault).toMatchObject({
      code: "TM-VAULT-OTHER-BYTES",
      range: { from: { timeline: 1, lsn: "0/100000" }, to: { timeline: 1, lsn: "0/200000" } },
    });
  });

  test("finds a conflict also when the receiver comes later with other bytes", async () => {
    await client.put(NAME, segment(1));
    await writeFile(join(folder.wal, NAME), segment(9));
    await client.put(NEXT, segment(2));
    expect((await pushed.faults()).map(({ code }) => code)).toEqual(["TM-VAULT-OTHER-BYTES"]);
    expect(await client.get(NAME)).toMatchObject({ source: "local", bytes: segment(9) });
  });

  test("two at once with one name and other bytes: one is taken, the other refused, both are kept", async () => {
    const outcomes = await Promise.allSettled([client.put(NAME, segment(1)), client.put(NAME, segment(2))]);
    expect(outcomes.map(({ status }) => status).sort()).toEqual(["fulfilled", "rejected"]);
    expect(await readdir(join(directory, "conflicts"))).toHaveLength(1);
  });

  test("refuses another cluster's WAL, damaged WAL and half a segment, and keeps nothing of it (trap 9)", async () => {
    expect(await codeOf(client.put(NAME, segment(1, 5n)))).toBe("TM-VAULT-OTHER-SYSTEM");
    const damaged = segment(1);
    damaged[100] = 0xff;
    expect(await codeOf(client.put(NAME, damaged))).toBe("TM-VAULT-PUSH");
    expect(await codeOf(client.put(NAME, segment(1).subarray(0, 1_000)))).toBe("TM-VAULT-PUSH");
    expect(await codeOf(client.put("nonsense", segment(1)))).toBe("TM-VAULT-WAL-NAME");
    expect(await readdir(directory)).toEqual(["wal"]);
  });

  test("keeps WAL from beyond a fork as evidence and never gives it (trap 11)", async () => {
    state = { ...state, timeline: 2 as Timeline, history: [{ timeline: 1 as Timeline, switchLsn: at("0/180000"), reason: "" }] };
    expect(await client.put(NAME, segment(1))).toMatchObject({ outcome: "evidence" });
    expect(await readdir(join(folder.diverged, "pushed"))).toHaveLength(1);
    expect(await codeOf(client.get(NAME))).toBe("TM-VAULT-HOLE");
  });

  test("takes what a server archives beside segments: histories, labels, and the end of a timeline that was left", async () => {
    const label = `${NAME}.00000028.backup`;
    expect(await client.put(label, Buffer.from("START WAL LOCATION: 0/100028\n"))).toMatchObject({ outcome: "new" });
    expect((await client.get(label)).bytes.length).toBe(29);
    expect(await client.put("00000002.history", Buffer.from("1\t0/180000\tno recovery target specified\n"))).toMatchObject({
      outcome: "new",
    });
    expect(await client.put(`${NAME}.partial`, segment(1))).toMatchObject({ outcome: "new" });
    expect(await codeOf(client.put("00000003.history", Buffer.from("what is this")))).toBe("TM-PG-TIMELINE-HISTORY");
  });

  test("with the wish that it is archived waits for every object store, and says when it is not (trap 14)", async () => {
    archived.add(NAME);
    expect(await client.put(NAME, segment(1), { archivedWithinMs: 1_000 })).toEqual({ outcome: "new", archived: true });
    expect(await codeOf(client.put(NEXT, segment(2), { archivedWithinMs: 10 }))).toBe("TM-VAULT-NOT-ARCHIVED");
  });

  test("is refused when the bytes changed on the way", async () => {
    const { port } = server.server.address() as AddressInfo;
    const response = await fetch(`http://127.0.0.1:${port}/wal/${NAME}`, {
      method: "PUT",
      headers: { authorization: "Bearer token", "content-type": "application/octet-stream", "tidemark-wal-sha256": "00" },
      body: new Uint8Array(segment(1)),
    });
    expect(await response.json()).toMatchObject({ code: "TM-VAULT-PUSH" });
  });
});

test("GET /timelines tells the history, its ends, the gaps and the vote", async () => {
  await writeFile(join(folder.wal, "00000002.history"), "1\t0/180000\tx\n");
  state = {
    ...state,
    timeline: 2 as Timeline,
    history: [{ timeline: 1 as Timeline, switchLsn: at("0/180000"), reason: "" }],
    gaps: [{ timeline: 1 as Timeline, start: at("0/100000"), end: at("0/110000") }],
    vote: { timeline: 2 as Timeline, lsn: at("0/200100") },
  };
  expect(await client.json("/timelines")).toEqual({
    systemIdentifier: String(SYSTEM),
    segmentBytes: SEGMENT,
    timeline: 2,
    timelines: [
      { timeline: 1, end: "0/180000", ended: true },
      { timeline: 2, end: "0/200100", ended: false, history: "1\t0/180000\tx\n" },
    ],
    vote: { timeline: 2, lsn: "0/200100" },
    gaps: [{ timeline: 1, start: "0/100000", end: "0/110000" }],
  });
});

test("GET /time-to-lsn finds the last commit, or says that none is that early (trap 36)", async () => {
  expect(await client.json("/time-to-lsn?timeMs=5000")).toMatchObject({ lsn: "0/200100" });
  expect(await codeOf(client.json("/time-to-lsn?timeMs=5"))).toBe("TM-VAULT-BEFORE-WAL");
});
