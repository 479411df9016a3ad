// The archive on a server that speaks S3, as a process of its own.
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { openObjectStore } from "../../object-stores/open-object-store.ts";
import { startS3rver, S3RVER_ENVIRONMENT, type S3rver } from "../../object-stores/testing/s3rver.ts";
import { storeWorld } from "../../object-stores/testing/store-world.ts";
import type { ObjectStore } from "../../object-stores/object-store.ts";
import { ArchiveBench, SEGMENT_BYTES, keySpace, lsn, segmentBytes, tli, until } from "./testing/archive-bench.ts";

let bench: ArchiveBench;
let server: S3rver;
beforeEach(async () => {
  [bench, server] = await Promise.all([ArchiveBench.make(), startS3rver()]);
});
afterEach(async () => {
  await bench.clear();
  await server.stop();
});

const never = new AbortController().signal;
const nameOf = (segment: number): string => keySpace.name({ timeline: tli(1), start: lsn(segment * SEGMENT_BYTES) });

function open(): Promise<ObjectStore> {
  const credentials = { kind: "environment", accessKeyId: "TEST_KEY_ID", secretAccessKey: "TEST_SECRET" } as const;
  const place = { bucket: server.bucket, prefix: "orders/", region: "eu-central-1", endpoint: server.endpoint };
  return openObjectStore({ kind: "s3", ...place, credentials }, storeWorld(S3RVER_ENVIRONMENT));
}

describe("an archive in S3", () => {
  it("gives everything back, replaces partial segments, and is known again from its headers alone", async () => {
    await bench.seal(1, 0, 3);
    await bench.grow(1, 3 * SEGMENT_BYTES + 100);
    const first = await bench.open({ far: await open() });
    await first.settled(never);
    await bench.grow(1, 3 * SEGMENT_BYTES + 200);
    await first.settled(never);
    await until(() => first.status().stores[0]?.objects === 4);
    for (let segment = 0; segment < 3; segment++) {
      const file = await first.fetch(nameOf(segment));
      expect(file.kind === "file" && Buffer.from(file.bytes).equals(segmentBytes(1, segment))).toBe(true);
    }
    expect(await first.fetch(nameOf(3))).toMatchObject({ kind: "file", partial: true, end: lsn(3 * SEGMENT_BYTES + 200) });
    const before = first.status().stores[0]?.recoveryPoint;
    await first.rebuildCatalogue();
    await until(() => first.status().stores[0]?.unverified === 0 && first.status().stores[0]?.objects === 4);
    expect(first.status().stores[0]?.recoveryPoint).toEqual(before);
  });

  it("that goes away and comes back holds nothing up but itself", async () => {
    await bench.seal(1, 0, 2);
    const archive = await bench.open({ far: await open() }, { limits: { callTimeoutMs: 3_000 } });
    await archive.settled(never);
    await server.stop();
    await bench.seal(1, 2, 3);
    archive.changed();
    await until(
      () => archive.status().stores[0]?.state === "held",
      () => archive.status(),
    );
    expect(archive.status().stores[0]?.lastError?.code).toBe("TM-OBJECT-STORE-AWAY");
    expect(archive.status().stores[0]?.recoveryPoint?.lsn).toBe("0/20000");
    expect(archive.status().local.segments).toBe(3);
  });
});
