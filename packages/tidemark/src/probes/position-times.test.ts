import { expect, it } from "vitest";
import type { Timeline } from "@tidemark/kernel/brands";
import type { Lsn } from "@tidemark/kernel/lsn";
import { PositionHistory } from "../canary/position-history.ts";
import { pointAt } from "./position-times.ts";

it("what a copy lacks is as old as the last look at its primary, however often the copy itself is looked at", () => {
  const timeline = 1 as Timeline;
  const positions = new PositionHistory();
  const startMs = 1_700_000_000_000;
  const lsns = [100n, 200n];
  lsns.forEach((lsn, at) =>
    positions.record({
      timeline,
      lsn: lsn as Lsn,
      sentWallMs: startMs + at * 1_000,
      sentMonotonicMs: at * 1_000,
      transactions: BigInt(at),
      canaryBeats: 0n,
    }),
  );
  // An hour later the primary has not been seen again.
  const seen = { atMs: startMs + 3_600_000, errorMs: 1 };
  const whole = pointAt(positions, { timeline, lsn: 200n as Lsn }, seen);
  for (const figure of Object.values(whole)) expect(figure).toMatchObject({ known: true, atMs: startMs + 1_000 });
  const behind = pointAt(positions, { timeline, lsn: 150n as Lsn }, seen);
  // What it has, it has.
  expect(behind.recoveryPoint).toMatchObject({ known: true, atMs: seen.atMs, value: { commitMs: startMs, complete: false } });
  expect(behind.missingBytes).toMatchObject({ value: 50, atMs: startMs + 1_000 });
  expect(behind.missingTransactions).toMatchObject({ value: 1, atMs: startMs + 1_000 });
});
