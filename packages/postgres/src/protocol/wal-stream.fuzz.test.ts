import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { TidemarkError } from "@tidemark/kernel/errors";
import { keepaliveMessage, otherMessage, walMessage } from "../testing/wal-sender-messages.ts";
import { WAL_EVENT, WalStreamDecoder } from "./wal-stream.ts";

const message = fc.oneof(
  fc.tuple(fc.bigInt(0n, 2n ** 64n - 2_000n), fc.uint8Array({ maxLength: 1_000 })).map(([start, bytes]) => walMessage(start, bytes)),
  fc.tuple(fc.bigInt(0n, 2n ** 64n - 1n), fc.boolean()).map(([end, reply]) => keepaliveMessage(end, reply)),
  fc.tuple(fc.constantFrom("N", "S", "A"), fc.uint8Array({ maxLength: 100 })).map(([type, bytes]) => otherMessage(type, bytes)),
);

/** Feeds `stream` in pieces of `sizes`, again from the first when they are used up; all WAL that was told, and the keepalives. */
function read(stream: Buffer, sizes: readonly number[], mouthful: number): { wal: Buffer; marks: string[]; ended: boolean } {
  const decoder = new WalStreamDecoder();
  const wal: Buffer[] = [];
  const marks: string[] = [];
  for (let at = 0, index = 0; at < stream.length; index++) {
    const piece = stream.subarray(at, at + (sizes[index % sizes.length] ?? 1));
    at += piece.length;
    const buffer = Buffer.from(piece);
    decoder.feed(buffer, buffer.length);
    for (let event = decoder.next(); event !== WAL_EVENT.needBytes; event = decoder.next()) {
      if (event === WAL_EVENT.streamEnds) return { wal: Buffer.concat(wal), marks, ended: true };
      if (event === WAL_EVENT.walBytes) {
        const taken = Math.min(mouthful, decoder.to - decoder.from);
        wal.push(Buffer.from(buffer.subarray(decoder.from, decoder.from + taken)));
        decoder.took(taken);
      } else if (event === WAL_EVENT.walBegins) marks.push(`${decoder.start} ${decoder.end} ${decoder.length}`);
      else marks.push(`${decoder.end} ${decoder.replyRequested}`);
    }
    buffer.fill(0xaa);
  }
  return { wal: Buffer.concat(wal), marks, ended: false };
}

describe("the decoder of a stream of WAL, on random input", () => {
  it("tells the same of every stream however it is cut", () => {
    fc.assert(
      fc.property(
        fc.array(message, { minLength: 1, maxLength: 20 }),
        fc.array(fc.integer({ min: 1, max: 400 }), { minLength: 1, maxLength: 10 }),
        fc.integer({ min: 1, max: 500 }),
        (messages, sizes, mouthful) => {
          const stream = Buffer.concat(messages);
          expect(read(stream, sizes, mouthful)).toEqual(read(stream, [stream.length], Number.POSITIVE_INFINITY));
        },
      ),
      { numRuns: 300 },
    );
  });

  it("answers any bytes with events or TM-PG-PROTOCOL, and never tells WAL that did not come", () => {
    fc.assert(
      fc.property(
        fc.array(fc.oneof(fc.uint8Array({ maxLength: 40 }), message), { maxLength: 10 }),
        fc.integer({ min: 1, max: 64 }),
        (parts, size) => {
          const stream = Buffer.concat(parts);
          try {
            expect(read(stream, [size], 7).wal.length).toBeLessThanOrEqual(stream.length);
          } catch (error) {
            if (!(error instanceof TidemarkError)) throw error;
            expect(error.code).toBe("TM-PG-PROTOCOL");
          }
        },
      ),
      { numRuns: 1_000 },
    );
  });
});
