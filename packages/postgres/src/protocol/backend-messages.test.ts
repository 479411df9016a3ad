import { assert as check, property, uint8Array } from "fast-check";
import { describe, expect, it } from "vitest";
import type { BackendMessage } from "./backend-messages.ts";
import { LONGEST_MESSAGE_BYTES, MessageDecoder } from "./backend-messages.ts";

function message(type: string, ...body: (string | Buffer)[]): Buffer {
  const bytes = Buffer.concat(body.map((part) => Buffer.from(part as string)));
  const header = Buffer.alloc(5);
  header.write(type, "latin1");
  header.writeUInt32BE(4 + bytes.length, 1);
  return Buffer.concat([header, bytes]);
}

const u16 = (value: number): Buffer => Buffer.from([value >> 8, value & 0xff]);
const u32 = (value: number): Buffer => Buffer.from([(value >>> 24) & 0xff, (value >>> 16) & 0xff, (value >>> 8) & 0xff, value & 0xff]);

/** One of each kind, and what it decodes to. */
const SESSION: readonly (readonly [Buffer, BackendMessage])[] = [
  [message("R", u32(10), "SCRAM-SHA-256\0\0"), { kind: "authentication", code: 10, data: Buffer.from("SCRAM-SHA-256\0\0") }],
  [message("S", "server_version\0", "18.4\0"), { kind: "parameter", name: "server_version", value: "18.4" }],
  [message("K", u32(1), u32(2)), { kind: "ignored", type: "K" }],
  [message("Z", "I"), { kind: "ready", status: "I" }],
  [
    message("T", u16(2), "a\0", Buffer.alloc(18), "ü\0", Buffer.alloc(18, 0xff)),
    { kind: "fields", names: ["a", "ü"], types: [0, 0xffff_ffff] },
  ],
  [message("1"), { kind: "parsed" }],
  [message("2"), { kind: "ignored", type: "2" }],
  [message("t", u16(1), u32(25)), { kind: "ignored", type: "t" }],
  [message("D", u16(3), u32(1), "x", u32(0xffff_ffff), u32(0)), { kind: "row", values: [Buffer.from("x"), null, Buffer.alloc(0)] }],
  [message("C", "SELECT 1\0"), { kind: "complete", tag: "SELECT 1" }],
  [message("E", "SERROR\0", "C42704\0", "\0"), { kind: "error", fields: { S: "ERROR", C: "42704" } }],
  [message("N", "\0"), { kind: "notice", fields: {} }],
  [message("H", Buffer.from([0]), u16(0)), { kind: "copy-out" }],
  [message("W", Buffer.from([0]), u16(0)), { kind: "copy-both" }],
  [message("d", "bytes"), { kind: "copy-data", bytes: Buffer.from("bytes") }],
  [message("d"), { kind: "copy-data", bytes: Buffer.alloc(0) }],
  [message("c"), { kind: "copy-done" }],
];
const STREAM = Buffer.concat(SESSION.map(([bytes]) => bytes));
const MESSAGES = SESSION.map(([, decoded]) => decoded);

function decodeAll(pieces: readonly Buffer[]): BackendMessage[] {
  const decoder = new MessageDecoder();
  const decoded: BackendMessage[] = [];
  for (const piece of pieces) {
    decoder.push(piece);
    for (let next = decoder.next(); next !== undefined; next = decoder.next()) decoded.push(next);
  }
  return decoded;
}

describe("messages from the server", () => {
  it("decode to the same wherever the stream is cut in two", () => {
    for (let cut = 0; cut <= STREAM.length; cut++) expect(decodeAll([STREAM.subarray(0, cut), STREAM.subarray(cut)])).toEqual(MESSAGES);
  });

  it("decode to the same when each byte arrives alone", () => {
    expect(decodeAll([...STREAM].map((byte) => Buffer.from([byte])))).toEqual(MESSAGES);
  });

  it("are refused with a code when any body is cut short and the header says so", () => {
    for (const [bytes] of SESSION) {
      if (bytes[0] === 0x64 || bytes[0] === 0x63 || bytes.length === 5) continue;
      const short = Buffer.from(bytes.subarray(0, 5));
      short.writeUInt32BE(4, 1);
      const refusable = !["K", "H", "W", "t"].includes(short.toString("latin1", 0, 1));
      if (refusable) expect(() => decodeAll([short])).toThrow(expect.objectContaining({ code: "TM-PG-PROTOCOL" }));
    }
  });

  it("are refused when they claim to be longer than the limit, before anything is kept", () => {
    const header = Buffer.from([0x64, 0, 0, 0, 0]);
    header.writeUInt32BE(LONGEST_MESSAGE_BYTES + 1, 1);
    expect(() => decodeAll([header])).toThrow(expect.objectContaining({ code: "TM-PG-PROTOCOL" }));
  });

  it("never make the decoder throw anything but TM-PG-PROTOCOL, whatever bytes come", () => {
    const survives = (bytes: Buffer): void => {
      try {
        decodeAll([bytes]);
      } catch (error) {
        expect(error).toMatchObject({ code: "TM-PG-PROTOCOL" });
      }
    };
    check(property(uint8Array({ maxLength: 200 }), (bytes) => survives(Buffer.from(bytes))));
    // Random bytes rarely have a valid header, so each type also gets a random body.
    check(
      property(uint8Array({ maxLength: 60 }), (body) => {
        for (const type of "RSKZTDCENHWGdcIAv") survives(message(type, Buffer.from(body)));
      }),
    );
  });
});
