import { Worker } from "node:worker_threads";
import type { Timeline } from "@tidemark/kernel/brands";
import type { Lsn } from "@tidemark/kernel/lsn";
import { describe, expect, it } from "vitest";
import { SharedFrontier } from "./shared-frontier.ts";

const frontier = (at: number) => ({ timeline: at as Timeline, flushed: BigInt(at) as Lsn, serverEnd: BigInt(at) as Lsn, heardAtMs: at });

describe("the shared frontier", () => {
  it("is read as it was written, also through another view of the same memory", () => {
    const written = new SharedFrontier();
    const read = new SharedFrontier(written.buffer);
    expect(read.read()).toEqual({ timeline: 0, flushed: 0n, serverEnd: 0n, heardAtMs: 0 });
    written.write({ timeline: 3 as Timeline, flushed: 0xffff_ffff_ffffn as Lsn, serverEnd: 5n as Lsn, heardAtMs: 12.9 });
    expect(read.read()).toEqual({ timeline: 3, flushed: 0xffff_ffff_ffffn, serverEnd: 5n, heardAtMs: 12 });
  });

  it("can be read after a write that was given nonsense", () => {
    const shared = new SharedFrontier();
    shared.write(frontier(7));
    expect(() => shared.write({ ...frontier(8), heardAtMs: Number.NaN })).toThrow(RangeError);
    expect(shared.read()).toEqual(frontier(7));
  });

  it("gives only what belongs together while another thread writes", async () => {
    const shared = new SharedFrontier();
    const worker = new Worker(
      `const { workerData } = require("node:worker_threads");
       import(workerData.module).then(({ SharedFrontier }) => {
         const shared = new SharedFrontier(workerData.buffer);
         for (let at = 1; at <= 300_000; at++) shared.write({ timeline: at, flushed: BigInt(at), serverEnd: BigInt(at), heardAtMs: at });
       });`,
      { eval: true, workerData: { buffer: shared.buffer, module: new URL("./shared-frontier.ts", import.meta.url).href } },
    );
    let ended = false;
    const end = new Promise<void>((resolve, reject) => {
      worker.once("error", reject);
      worker.once("exit", () => {
        ended = true;
        resolve();
      });
    });
    const seen = new Set<number>();
    while (!ended) {
      for (let look = 0; look < 1_000; look++) {
        const read = shared.read();
        expect([BigInt(read.timeline), read.serverEnd, BigInt(read.heardAtMs)]).toEqual([read.flushed, read.flushed, read.flushed]);
        seen.add(read.timeline);
      }
      await new Promise((resolve) => setImmediate(resolve));
    }
    await end;
    expect(shared.read().timeline).toBe(300_000);
    expect(seen.size).toBeGreaterThan(2);
  });
});
