import type { SystemIdentifier, Timeline } from "@tidemark/kernel/brands";
import type { Lsn } from "@tidemark/kernel/lsn";
import { describe, expect, it } from "vitest";
import { known } from "../probe-result.ts";
import { StoreObservation } from "../store-observation.ts";
import type { StandbyLook } from "./standby-facts.ts";
import { standbyCopy } from "./standby-facts.ts";

const START_MS = 1_800_000_000_000;
const ONE = 1 as Timeline;
const lsn = (value: number): Lsn => BigInt(value) as Lsn;

/** What a standby at 150 has, whose primary was at 100, 200 and 300 at the seconds 0, 1 and 2; looked at half a second later. */
function pointOf(replayedCommitMs: number | undefined) {
  const observation = new StoreObservation("orders");
  for (const second of [0, 1, 2])
    observation.positions.record({
      timeline: ONE,
      lsn: lsn((second + 1) * 100),
      sentWallMs: START_MS + second * 1_000,
      sentMonotonicMs: second * 1_000,
      transactions: BigInt(second),
      canaryBeats: 0n,
    });
  observation.primaryClock = known(0, { atMs: START_MS + 2_000, method: "observed", errorMs: 1 });
  const look = {
    node: { name: "pg2", domain: {} },
    observation,
    settings: { systemIdentifier: "7" as SystemIdentifier },
    sentMs: START_MS + 2_500,
    atMs: START_MS + 2_502,
    answer: { receivedLsn: lsn(150), replayedLsn: lsn(150), replayedCommitMs, checkpointTimeline: ONE, paused: false },
  } as unknown as StandbyLook;
  const { recoveryPoint } = standbyCopy(look);
  if (!recoveryPoint.known) throw new Error(recoveryPoint.why);
  const { errorMs, value } = recoveryPoint;
  return { fromStartMs: value.commitMs - START_MS, errorMs, complete: value.complete };
}

describe("a standby that is behind", () => {
  it("has what its position says, and what the newest commit says that it replayed, within the same bound", () => {
    expect(pointOf(undefined)).toEqual({ fromStartMs: 0, errorMs: 1_002, complete: false });
    expect(pointOf(START_MS + 601)).toEqual({ fromStartMs: 600, errorMs: 402, complete: false });
    expect(pointOf(START_MS - 5_000)).toEqual({ fromStartMs: 0, errorMs: 1_002, complete: false });
  });

  it("has no more than its position allows, when the primary's clock was set back an hour since that commit", () => {
    expect(pointOf(START_MS + 3_600_000)).toEqual({ fromStartMs: 1_000, errorMs: 2, complete: false });
  });
});
