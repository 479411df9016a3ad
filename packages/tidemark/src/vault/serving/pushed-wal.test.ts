// The order of a push's system calls: what is answered for is durable under its name.
import * as realFiles from "node:fs/promises";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import type { Timeline } from "@tidemark/kernel/brands";
import type { Lsn } from "@tidemark/kernel/lsn";
import { seededRandom } from "@tidemark/kernel/random";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { WalFolder } from "../wal-folder.ts";
import { PushedWal } from "./pushed-wal.ts";

/** What was made durable and named, by the last part of its path. */
const calls: string[] = [];
let dieAfterLink = false;

vi.mock("node:fs/promises", async (importOriginal) => {
  const real = await importOriginal<typeof realFiles>();
  const nameOf = (path: string): string => (path.endsWith(".new") ? "temporary" : basename(path));
  return {
    ...real,
    open: async (path: string, flags: string, mode?: number) => {
      const handle = await real.open(path, flags, mode);
      const sync = handle.sync.bind(handle);
      handle.sync = async () => {
        calls.push(`sync ${nameOf(path)}`);
        await sync();
      };
      return handle;
    },
    link: async (from: string, to: string) => {
      calls.push(`link ${nameOf(to)}`);
      await real.link(from, to);
      if (dieAfterLink) throw Object.assign(new Error("killed"), { code: "EIO" });
    },
  };
});

const HISTORY = "00000002.history";
const CONTENT = Buffer.from("1\t0/3000000\tno recovery target specified\n");

describe("a file that is pushed", () => {
  let root: string;
  let folder: WalFolder;
  let pushed: PushedWal;
  beforeEach(async () => {
    root = await mkdtemp(join(tmpdir(), "tidemark-push-"));
    folder = new WalFolder(join(root, "vault"), 16_777_216);
    await mkdir(folder.wal, { recursive: true });
    const state = { systemIdentifier: "7", timeline: 2 as Timeline, history: [], end: 0n as Lsn, gaps: [] };
    pushed = new PushedWal({
      folder,
      state: () => Promise.resolve(state),
      check: () => Promise.resolve(undefined),
      random: seededRandom(1),
    });
    calls.length = 0;
    dieAfterLink = false;
  });
  afterEach(async () => {
    await rm(root, { recursive: true, force: true });
  });

  it("is durable before it has its name, and its name before the answer (ACK-DURABLE)", async () => {
    expect(await pushed.take(HISTORY, CONTENT)).toBe("new");
    expect(calls).toEqual(["sync temporary", `link ${HISTORY}`, "sync pushed", "sync vault"]);
  });

  it("that another push has named and not made durable yet is so before it counts as the same (ACK-DURABLE)", async () => {
    dieAfterLink = true;
    await expect(pushed.take(HISTORY, CONTENT)).rejects.toMatchObject({ code: "TM-VAULT-PUSH-STORAGE" });
    calls.length = 0;
    expect(await pushed.take(HISTORY, CONTENT)).toBe("same");
    expect(calls).toEqual(["sync pushed", "sync vault"]);
  });

  it("that the receiver has renamed a moment ago is durable under its name before it counts as the same (ACK-DURABLE)", async () => {
    await writeFile(folder.history(2 as Timeline), CONTENT);
    expect(await pushed.take(HISTORY, CONTENT)).toBe("same");
    expect(calls).toEqual(["sync wal", "sync vault"]);
  });
});
