import { createHash } from "node:crypto";
import type { Timeline } from "@tidemark/kernel/brands";
import { describe, expect, it } from "vitest";
import type { FileFacts } from "./backup-manifest.ts";
import { checkAgainstManifest, parseBackupManifest, walSegmentName } from "./backup-manifest.ts";

const MEBIBYTE = 1_048_576;
const SUM = "ab".repeat(32);

function manifest(options?: { version?: number; algorithm?: string }): Buffer {
  const head = [
    `{ "PostgreSQL-Backup-Manifest-Version": ${options?.version ?? 2},`,
    `"System-Identifier": 7571234567890123457,`,
    `"Files": [`,
    `{ "Path": "PG_VERSION", "Size": 3, "Last-Modified": "2026-01-01 00:00:00 GMT", "Checksum-Algorithm": "${options?.algorithm ?? "SHA256"}", "Checksum": "${SUM}" },`,
    `{ "Encoded-Path": "62617365", "Size": 5, "Last-Modified": "2026-01-01 00:00:00 GMT", "Checksum-Algorithm": "SHA256", "Checksum": "${SUM}" }],`,
    `"WAL-Ranges": [ { "Timeline": 1, "Start-LSN": "0/2000028", "End-LSN": "0/3000100" } ],`,
    "",
  ].join("\n");
  return Buffer.from(`${head}"Manifest-Checksum": "${createHash("sha256").update(head).digest("hex")}"}\n`);
}

const wal = (name: string, sizeBytes = 16 * MEBIBYTE): [string, FileFacts] => [`pg_wal/${name}`, { sizeBytes, sha256: "00".repeat(32) }];
const WHOLE = new Map<string, FileFacts>([
  ["PG_VERSION", { sizeBytes: 3, sha256: SUM }],
  ["base", { sizeBytes: 5, sha256: SUM }],
  wal("000000010000000000000002"),
  wal("000000010000000000000003"),
]);

const refused = (what: RegExp): unknown => expect.objectContaining({ code: "TM-PG-BACKUP", message: expect.stringMatching(what) });

describe("a backup manifest", () => {
  it("gives files, WAL range and all 64 bits of the system identifier", () => {
    const parsed = parseBackupManifest(manifest());
    expect(parsed.systemIdentifier).toBe("7571234567890123457");
    expect([...parsed.files.keys()]).toEqual(["PG_VERSION", "base"]);
    expect(parsed.walRanges).toEqual([{ timeline: 1, startLsn: 0x2000028n, endLsn: 0x3000100n }]);
  });

  it("is refused when any of its bytes changed", () => {
    const good = manifest();
    for (let offset = 0; offset < good.length - 3; offset++) {
      const changed = Buffer.from(good);
      changed.writeUInt8(changed.readUInt8(offset) ^ 4, offset);
      expect(() => parseBackupManifest(changed), `byte ${offset}`).toThrow(expect.objectContaining({ code: "TM-PG-BACKUP" }));
    }
  });

  it("is refused when it is of an unknown version, without SHA-256, or empty", () => {
    expect(() => parseBackupManifest(manifest({ version: 3 }))).toThrow(refused(/version 3/));
    expect(() => parseBackupManifest(manifest({ algorithm: "CRC32C" }))).toThrow(refused(/SHA-256/));
    expect(() => parseBackupManifest(Buffer.alloc(0))).toThrow(refused(/JSON/));
  });

  it("agrees with a whole backup, also with WAL before and behind its range", () => {
    const more = new Map([
      ...WHOLE,
      wal("000000010000000000000001"),
      wal("000000010000000000000004"),
      ["pg_wal/00000002.history", { sizeBytes: 9, sha256: "" }] as const,
    ]);
    for (const files of [WHOLE, more]) expect(() => checkAgainstManifest(parseBackupManifest(manifest()), files)).not.toThrow();
  });

  it("names what is missing, too much, of another size, of another checksum, or a hole in the WAL (NO-HOLE)", () => {
    const without = (path: string): Map<string, FileFacts> => new Map([...WHOLE].filter(([name]) => name !== path));
    const withFile = (path: string, facts: FileFacts): Map<string, FileFacts> => new Map(WHOLE).set(path, facts);
    const cases: [Map<string, FileFacts>, RegExp][] = [
      [without("base"), /base is missing/],
      [withFile("base", { sizeBytes: 6, sha256: SUM }), /base has 6 bytes, not 5/],
      [withFile("base", { sizeBytes: 5, sha256: "cd".repeat(32) }), /base has another checksum/],
      [withFile("trojan", { sizeBytes: 1, sha256: SUM }), /trojan is not in the manifest/],
      [without("pg_wal/000000010000000000000003"), /000000010000000000000003 is missing/],
      [new Map([...WHOLE, wal("000000010000000000000003", 8 * MEBIBYTE)]), /WAL segments have the sizes/],
    ];
    for (const [files, what] of cases) expect(() => checkAgainstManifest(parseBackupManifest(manifest()), files)).toThrow(refused(what));
  });
});

describe("the name of a WAL segment", () => {
  it("follows timeline, number and segment size", () => {
    expect(walSegmentName(1 as Timeline, 1n, 16 * MEBIBYTE)).toBe("000000010000000000000001");
    expect(walSegmentName(0xa as Timeline, 256n, 16 * MEBIBYTE)).toBe("0000000A0000000100000000");
    expect(walSegmentName(1 as Timeline, 5n, 1024 * MEBIBYTE)).toBe("000000010000000100000001");
  });
});
