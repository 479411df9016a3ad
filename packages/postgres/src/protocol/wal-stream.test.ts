import { describe, expect, it } from "vitest";
import type { Lsn } from "@tidemark/kernel/lsn";
import { formatLsn } from "@tidemark/kernel/lsn";
import { keepaliveMessage, otherMessage, walMessage } from "../testing/wal-sender-messages.ts";
import { WAL_EVENT, WalStreamDecoder, encodeStandbyStatus } from "./wal-stream.ts";

const WAL = Buffer.from("sixteen bytes ..");
const STREAM = Buffer.concat([
  walMessage(0x1_ffff_fff8n, WAL, 0x2_0000_1000n),
  keepaliveMessage(0x2_0000_0008n, true),
  otherMessage("N", Buffer.from("SNOTICE\0\0")),
  walMessage(0x2_0000_0008n, Buffer.alloc(0)),
  otherMessage("S", Buffer.from("TimeZone\0UTC\0")),
  otherMessage("A", Buffer.alloc(9)),
  keepaliveMessage(0x2_0000_0008n, false),
  walMessage(0x2_0000_0008n, Buffer.alloc(300, 7)),
  otherMessage("c", Buffer.alloc(0)),
  otherMessage("C", Buffer.from("COPY 0\0")),
]);

/** What the decoder tells of `pieces`, in words; takes at most `mouthful` bytes of WAL at a time. */
function read(pieces: readonly Buffer[], mouthful = Number.POSITIVE_INFINITY): string[] {
  const decoder = new WalStreamDecoder();
  const told: string[] = [];
  let wal = Buffer.alloc(0);
  let wanted = -1;
  const whole = (): void => {
    if (wal.length !== wanted) return;
    told.push(`${wal.toString("latin1")}.`);
    wanted = -1;
  };
  // One buffer for all pieces, as the connection does: nothing may hang on to it.
  const buffer = Buffer.alloc(Math.max(...pieces.map((piece) => piece.length)));
  for (const [index, piece] of pieces.entries()) {
    piece.copy(buffer);
    decoder.feed(buffer, piece.length);
    for (let event = decoder.next(); event !== WAL_EVENT.needBytes; event = decoder.next()) {
      if (event === WAL_EVENT.walBegins) {
        told.push(`wal ${formatLsn(decoder.start)} of ${formatLsn(decoder.end)}`);
        wanted = decoder.length;
        wal = Buffer.alloc(0);
        whole();
      } else if (event === WAL_EVENT.walBytes) {
        const taken = Math.min(mouthful, decoder.to - decoder.from);
        wal = Buffer.concat([wal, buffer.subarray(decoder.from, decoder.from + taken)]);
        decoder.took(taken);
        whole();
      } else if (event === WAL_EVENT.keepalive) {
        told.push(`keepalive ${formatLsn(decoder.end)} ${decoder.replyRequested}`);
      } else {
        told.push(`end ${Buffer.concat([decoder.unread(), ...pieces.slice(index + 1)]).toString("latin1")}`);
        return told;
      }
    }
  }
  return told;
}

const MEANING = [
  "wal 1/FFFFFFF8 of 2/1000",
  "sixteen bytes ...",
  "keepalive 2/8 true",
  "wal 2/8 of 2/8",
  ".",
  "keepalive 2/8 false",
  "wal 2/8 of 2/134",
  `${"\x07".repeat(300)}.`,
  `end ${Buffer.concat([otherMessage("c", Buffer.alloc(0)), otherMessage("C", Buffer.from("COPY 0\0"))]).toString("latin1")}`,
];

describe("the decoder of a stream of WAL", () => {
  it("tells WAL, keepalives and the end, and passes over what may come at any time", () => {
    expect(read([STREAM])).toEqual(MEANING);
  });

  it("tells the same wherever the stream is cut in two, or in three", () => {
    for (let cut = 1; cut < STREAM.length; cut++) {
      expect(read([STREAM.subarray(0, cut), STREAM.subarray(cut)])).toEqual(MEANING);
      const next = Math.min(STREAM.length, cut + 3);
      expect(read([STREAM.subarray(0, cut), STREAM.subarray(cut, next), STREAM.subarray(next)].filter(({ length }) => length > 0))).toEqual(
        MEANING,
      );
    }
  });

  it("tells the same byte by byte, and to one who takes a few bytes at a time", () => {
    expect(read([...STREAM].map((byte) => Buffer.of(byte)))).toEqual(MEANING);
    expect(read([STREAM], 5)).toEqual(MEANING);
  });

  it("refuses copy data of another kind, and lengths that cannot be", () => {
    const wrong = (change: (bytes: Buffer) => void, from: Buffer): Buffer => {
      const bytes = Buffer.from(from);
      change(bytes);
      return bytes;
    };
    const messages = [
      wrong((bytes) => bytes.write("x", 5, "latin1"), walMessage(0n, WAL)),
      wrong((bytes) => bytes.writeUInt32BE(28, 1), walMessage(0n, WAL)),
      wrong((bytes) => bytes.writeUInt32BE(0xffff_ffff, 1), walMessage(0n, WAL)),
      wrong((bytes) => bytes.writeUInt32BE(23, 1), keepaliveMessage(0n, true)),
      wrong((bytes) => bytes.writeUInt32BE(3, 1), otherMessage("N", WAL)),
    ];
    for (const message of messages) {
      expect(() => read([message])).toThrow(expect.objectContaining({ code: "TM-PG-PROTOCOL" }));
      expect(() => read([...message].map((byte) => Buffer.of(byte)))).toThrow(expect.objectContaining({ code: "TM-PG-PROTOCOL" }));
    }
  });
});

describe("a standby's status", () => {
  it("has 34 bytes in an envelope, with PostgreSQL's own time", () => {
    const lsn = 0x1_0000_0002n as Lsn;
    const bytes = encodeStandbyStatus({
      write: lsn,
      flush: lsn,
      apply: 0n as Lsn,
      wallMs: Date.UTC(2000, 0, 1) + 1.5,
      replyRequested: true,
    });
    expect(bytes.toString("hex")).toBe(
      ["64", "00000026", "72", "0000000100000002", "0000000100000002", "0".repeat(16), "00000000000003e8", "01"].join(""),
    );
  });
});
