import { assert as check, property, uint8Array } from "fast-check";
import { describe, expect, it } from "vitest";
import type { TarEvent } from "./tar-decoder.ts";
import { TarDecoder } from "./tar-decoder.ts";

const END = Buffer.alloc(1024);

function header(entry: { path: string; type: string; sizeBytes?: number; target?: string; sizeField?: Buffer; prefix?: string }): Buffer {
  const block = Buffer.alloc(512);
  block.write(entry.path, 0);
  block.write("0000600\0", 100);
  (entry.sizeField ?? Buffer.from((entry.sizeBytes ?? 0).toString(8).padStart(11, "0"))).copy(block, 124);
  block.write("        ", 148);
  block.write(entry.type, 156);
  block.write(entry.target ?? "", 157);
  block.write("ustar\0", 257);
  block.write(entry.prefix ?? "", 345);
  const sum = block.reduce((total, byte) => total + byte, 0);
  block.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148);
  return block;
}

function file(path: string, content: string): Buffer {
  const padding = Buffer.alloc((512 - (content.length % 512)) % 512);
  return Buffer.concat([header({ path, type: "0", sizeBytes: content.length }), Buffer.from(content), padding]);
}

/** Events with adjoining data joined, because how it was cut is not part of the meaning. */
function decode(pieces: readonly Buffer[]): (Exclude<TarEvent, { kind: "data" }> | { kind: "data"; text: string })[] {
  const decoder = new TarDecoder();
  const events: ReturnType<typeof decode> = [];
  for (const piece of pieces) {
    for (const event of decoder.push(piece)) {
      const last = events.at(-1);
      if (event.kind !== "data") events.push(event);
      else if (last?.kind === "data") last.text += event.bytes.toString();
      else events.push({ kind: "data", text: event.bytes.toString() });
    }
  }
  decoder.finish();
  return events;
}

const ARCHIVE = Buffer.concat([
  header({ path: "base/", type: "5" }),
  file("base/empty", ""),
  file("base/one", "x"),
  file("base/block", "y".repeat(512)),
  header({ path: "pg_tblspc/1", type: "2", target: "/elsewhere" }),
  END,
]);
const EVENTS = [
  { kind: "folder", path: "base" },
  { kind: "file", path: "base/empty", sizeBytes: 0 },
  { kind: "file-end" },
  { kind: "file", path: "base/one", sizeBytes: 1 },
  { kind: "data", text: "x" },
  { kind: "file-end" },
  { kind: "file", path: "base/block", sizeBytes: 512 },
  { kind: "data", text: "y".repeat(512) },
  { kind: "file-end" },
  { kind: "link", path: "pg_tblspc/1", target: "/elsewhere" },
];

const damaged = expect.objectContaining({ code: "TM-PG-BACKUP" });

describe("tar archives", () => {
  it("decode to the same wherever they are cut in two", () => {
    for (let cut = 0; cut <= ARCHIVE.length; cut++) expect(decode([ARCHIVE.subarray(0, cut), ARCHIVE.subarray(cut)])).toEqual(EVENTS);
  });

  it("decode to the same when each byte arrives alone", () => {
    expect(decode([...ARCHIVE].map((byte) => Buffer.from([byte])))).toEqual(EVENTS);
  });

  it("are refused when they end early, anywhere", () => {
    for (let length = 0; length < ARCHIVE.length; length += 64) expect(() => decode([ARCHIVE.subarray(0, length)])).toThrow(damaged);
  });

  it("are refused when a bit of a header is flipped", () => {
    for (const offset of [0, 50, 130, 148, 156, 344]) {
      const flipped = Buffer.from(ARCHIVE);
      flipped.writeUInt8(flipped.readUInt8(offset) ^ 1, offset);
      expect(() => decode([flipped])).toThrow(damaged);
    }
  });

  it("cannot write outside of their folder", () => {
    for (const path of ["/etc/passwd", "../x", "base/../../x", "base//x", "a/./b", ".."]) {
      expect(() => decode([Buffer.concat([header({ path, type: "0" }), END])])).toThrow(damaged);
    }
  });

  it("may hold files larger than octal digits can say", () => {
    const sizeField = Buffer.alloc(12);
    sizeField.writeUInt8(0x80, 0);
    sizeField.writeBigUInt64BE(9n * 1024n ** 3n, 4);
    const [event] = new TarDecoder().push(header({ path: "big", type: "0", sizeField }));
    expect(event).toEqual({ kind: "file", path: "big", sizeBytes: 9 * 1024 ** 3 });
  });

  it("use the prefix for long paths", () => {
    expect(decode([Buffer.concat([header({ path: "name", prefix: "some/long", type: "0" }), END])])[0]).toMatchObject({
      path: "some/long/name",
    });
  });

  it("are refused when they hold what PostgreSQL never writes, or data behind the end", () => {
    for (const type of ["1", "3", "L", "x"]) expect(() => decode([Buffer.concat([header({ path: "a", type }), END])])).toThrow(damaged);
    expect(() => decode([Buffer.concat([ARCHIVE, file("late", "z")])])).toThrow(damaged);
  });

  it("never make the decoder throw anything but TM-PG-BACKUP, whatever bytes come", () => {
    check(
      property(uint8Array({ maxLength: 2_000 }), (bytes) => {
        try {
          decode([Buffer.from(bytes)]);
        } catch (error) {
          expect(error).toEqual(damaged);
        }
      }),
    );
  });
});
