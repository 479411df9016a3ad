// The peers that the benchmark compares with start here, take a load, and are gone afterwards. Where they must be installed
// (TIDEMARK_REQUIRE_PEERS=1) a peer that is missing fails the test; elsewhere it is skipped with its reason.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { runLoad } from "../load/load-runner.ts";
import { rabbitmqQuorum } from "./rabbitmq.ts";
import { redisStreams } from "./redis-streams.ts";

describe("a peer of the benchmark", () => {
  it.each([redisStreams, rabbitmqQuorum])("acknowledges each write and refuses none: $name", { timeout: 120_000 }, async (contender) => {
    const folder = await mkdtemp(join(tmpdir(), "tidemark-peer-"));
    try {
      const running = await contender.start({ folder });
      if ("skipped" in running) {
        expect(process.env["TIDEMARK_REQUIRE_PEERS"], running.skipped).not.toBe("1");
        return;
      }
      try {
        const result = await runLoad({
          target: running.target,
          writers: 4,
          warmupMs: 0,
          measureMs: 20_000,
          mostWrites: 200,
          firstOrder: 1,
        });
        expect(result).toMatchObject({ refused: 0 });
        expect(result.acknowledged).toBeGreaterThanOrEqual(200);
      } finally {
        await running.close();
      }
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  });
});
