import { assert as check, property, uint8Array } from "fast-check";
import { describe, expect, it } from "vitest";
import { parseControlFile } from "./control-file.ts";

function head(facts: { identifier: bigint; version: number; state: number }): Buffer {
  const buffer = Buffer.alloc(20);
  buffer.writeBigUInt64LE(facts.identifier, 0);
  buffer.writeUInt32LE(facts.version, 8);
  buffer.writeUInt32LE(202_506_291, 12);
  buffer.writeUInt32LE(facts.state, 16);
  return buffer;
}

describe("pg_control", () => {
  it("keeps all 64 bits of the system identifier, also the highest", () => {
    const identifier = 0xfedc_ba98_7654_3211n;
    expect(parseControlFile(head({ identifier, version: 1800, state: 6 }))).toEqual({
      systemIdentifier: identifier.toString(),
      controlVersion: 1800,
      catalogVersion: 202_506_291,
      state: "in-production",
    });
  });

  it("is refused when cut, zeroed, or in a state that is none", () => {
    const good = head({ identifier: 1n, version: 1300, state: 1 });
    const refused = expect.objectContaining({ code: "TM-PG-CONTROL-FILE" });
    for (let length = 0; length < good.length; length++) expect(() => parseControlFile(good.subarray(0, length))).toThrow(refused);
    expect(() => parseControlFile(Buffer.alloc(20))).toThrow(refused);
    expect(() => parseControlFile(head({ identifier: 1n, version: 1300, state: 7 }))).toThrow(refused);
    check(
      property(uint8Array({ maxLength: 40 }), (bytes) => {
        try {
          parseControlFile(Buffer.from(bytes));
        } catch (error) {
          expect(error).toEqual(refused);
        }
      }),
    );
  });
});
