// A vault's folder with made-up WAL, and an archive on it, for tests. Segments are small; nothing here reads WAL records.
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { SystemIdentifier, Timeline } from "@tidemark/kernel/brands";
import { silentLogger } from "@tidemark/kernel/logger";
import type { Lsn } from "@tidemark/kernel/lsn";
import { systemClock } from "@tidemark/kernel/platform/system-clock";
import { systemRandom } from "@tidemark/kernel/platform/system-random";
import { segmentStart } from "@tidemark/postgres/wal/segment-name";
import type { ObjectStore } from "../../../object-stores/object-store.ts";
import { SharedFrontier } from "../../receiver/shared-frontier.ts";
import type { KeyRing } from "../../sealing/key-ring.ts";
import { localRing } from "../../sealing/testing/local-keys.ts";
import { WalFolder } from "../../wal-folder.ts";
import type { Archive } from "../archive.ts";
import { KeySpace } from "../archive-key.ts";
import type { ArchiveLimits, ArchiveOptions } from "../archive-options.ts";
import { DirectSealer } from "../object-sealer.ts";
import { openArchive } from "../open-archive.ts";

export const SEGMENT_BYTES = 65_536;
export const SYSTEM = "7400000000000000001" as SystemIdentifier;

/** Everything soon: a test waits for what happens and not for time. */
export const QUICK: ArchiveLimits = {
  callTimeoutMs: 2_000,
  inFlightBytes: 4 * SEGMENT_BYTES,
  firstPauseMs: 5,
  longestPauseMs: 20,
  checkEveryMs: 10,
  unreadEveryMs: 1,
  listEveryMs: 50,
  localCheckEveryMs: 5,
  localListEveryMs: 25,
};

export const tli = (timeline: number): Timeline => timeline as Timeline;
export const lsn = (position: number): Lsn => BigInt(position) as Lsn;
export const keySpace = new KeySpace({ prefix: "", systemIdentifier: SYSTEM, segmentBytes: SEGMENT_BYTES });

/** WAL as tests know it: the bytes of a segment follow from its timeline and place. */
export function segmentBytes(timeline: number, segment: number): Buffer {
  const bytes = Buffer.alloc(SEGMENT_BYTES);
  let state = Math.imul(timeline, 7_919) ^ Math.imul(segment + 1, 104_729);
  for (let at = 0; at < bytes.length; at += 4) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) | 0;
    bytes.writeInt32LE(at % 64 < 32 ? state : segment, at);
  }
  return bytes;
}

export class ArchiveBench {
  readonly folder: WalFolder;
  readonly frontier = new SharedFrontier();
  readonly #root: string;
  readonly #running: { archive: Archive; stop: () => Promise<void> }[] = [];

  private constructor(root: string) {
    this.#root = root;
    this.folder = new WalFolder(join(root, "vault"), SEGMENT_BYTES);
  }

  static async make(): Promise<ArchiveBench> {
    const bench = new ArchiveBench(await mkdtemp(join(tmpdir(), "tidemark-archive-")));
    await mkdir(bench.folder.wal, { recursive: true });
    return bench;
  }

  /** The bench that another process made. */
  static at(root: string): ArchiveBench {
    return new ArchiveBench(root);
  }

  get root(): string {
    return this.#root;
  }

  /** A folder for a store. */
  path(name: string): string {
    return join(this.#root, name);
  }

  /** Writes sealed segments with the numbers from `first` up to, not with, `end`. */
  async seal(timeline: number, first: number, end: number): Promise<void> {
    for (let segment = first; segment < end; segment++) {
      await writeFile(this.sealedPath(timeline, segment), segmentBytes(timeline, segment));
      await rm(this.folder.segment({ timeline: tli(timeline), lsn: lsn(segment * SEGMENT_BYTES) }, false), { force: true });
    }
    this.grown(timeline, end * SEGMENT_BYTES);
  }

  sealedPath(timeline: number, segment: number): string {
    return this.folder.segment({ timeline: tli(timeline), lsn: lsn(segment * SEGMENT_BYTES) }, true);
  }

  /** The receiver made everything up to `position` durable. */
  grown(timeline: number, position: number): void {
    this.frontier.write({ timeline: tli(timeline), flushed: lsn(position), serverEnd: lsn(position), heardAtMs: 0 });
  }

  /** Writes the growing segment up to `position`. */
  async grow(timeline: number, position: number): Promise<void> {
    const start = segmentStart(lsn(position), SEGMENT_BYTES);
    const bytes = segmentBytes(timeline, Number(start) / SEGMENT_BYTES).fill(0, position - Number(start));
    await writeFile(this.folder.segment({ timeline: tli(timeline), lsn: start }, false), bytes);
    this.grown(timeline, position);
  }

  async history(timeline: number, content: string): Promise<void> {
    await writeFile(this.folder.history(tli(timeline)), content);
  }

  /** Opens an archive and runs it until the bench is cleared away or it is stopped. */
  async open(
    stores: Readonly<Record<string, ObjectStore>>,
    more: Partial<ArchiveOptions> & { keys?: KeyRing } = {},
  ): Promise<Archive & { stop: () => Promise<void> }> {
    const { keys, ...options } = more;
    const archive = await openArchive({
      systemIdentifier: SYSTEM,
      folder: this.folder,
      frontier: this.frontier,
      stores: Object.entries(stores).map(([name, store]) => ({ name, store })),
      sealer: new DirectSealer({ keys: keys ?? localRing(1), zstdLevel: 1, random: systemRandom }),
      partialEveryMs: 20,
      keepLocalBytes: 1_000 * SEGMENT_BYTES,
      clock: systemClock,
      logger: silentLogger,
      ...options,
      limits: { ...QUICK, ...options.limits },
    });
    const stopping = new AbortController();
    const ran = archive.run(stopping.signal);
    ran.catch(() => undefined);
    let stopped: Promise<void> | undefined;
    const stop = (): Promise<void> =>
      (stopped ??= (async () => {
        stopping.abort(new Error("stopped"));
        try {
          await ran;
        } finally {
          await archive.close();
        }
      })());
    this.#running.push({ archive, stop });
    return Object.assign(archive, { stop });
  }

  async clear(): Promise<void> {
    for (const { stop } of this.#running) await stop().catch(() => undefined);
    await rm(this.#root, { recursive: true, force: true });
  }
}

/** Resolves when `condition` holds; looks again whenever the event loop is idle. Rejects after 15 seconds with what `show` says. */
export async function until(condition: () => boolean | Promise<boolean>, show: () => unknown = () => ""): Promise<void> {
  const endsAtMs = systemClock.monotonicMs() + 15_000;
  while (!(await condition())) {
    if (systemClock.monotonicMs() > endsAtMs)
      throw new Error(
        `it did not happen: ${JSON.stringify(show(), (_, value: unknown) => (typeof value === "bigint" ? String(value) : value))}`,
      );
    await new Promise<void>((resolve) => {
      systemClock.setTimer(2, resolve);
    });
  }
}
