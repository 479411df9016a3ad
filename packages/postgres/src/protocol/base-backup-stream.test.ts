import { assert as check, property, uint8Array } from "fast-check";
import { describe, expect, it } from "vitest";
import { baseBackupCommand, decodeBackupMessage } from "./base-backup-stream.ts";

describe("the stream of a base backup", () => {
  it("has four messages", () => {
    expect(decodeBackupMessage(Buffer.from("nbase.tar\0\0"))).toEqual({ kind: "archive", name: "base.tar", location: "" });
    expect(decodeBackupMessage(Buffer.from("n1.tar\0/elsewhere\0"))).toEqual({ kind: "archive", name: "1.tar", location: "/elsewhere" });
    expect(decodeBackupMessage(Buffer.from("m"))).toEqual({ kind: "manifest" });
    expect(decodeBackupMessage(Buffer.from("dxyz"))).toEqual({ kind: "data", bytes: Buffer.from("xyz") });
    expect(decodeBackupMessage(Buffer.from("p\0\0\0\0\0\0\x01\0", "latin1"))).toEqual({ kind: "progress", bytes: 256n });
  });

  it("is refused with a code when it holds anything else", () => {
    for (const text of ["", "n", "nbase.tar", "nbase.tar\0", "p\0\0\0", "q"]) {
      expect(() => decodeBackupMessage(Buffer.from(text))).toThrow(expect.objectContaining({ code: "TM-PG-PROTOCOL" }));
    }
    check(
      property(uint8Array({ maxLength: 40 }), (bytes) => {
        try {
          decodeBackupMessage(Buffer.from(bytes));
        } catch (error) {
          expect(error).toMatchObject({ code: "TM-PG-PROTOCOL" });
        }
      }),
    );
  });

  it("is asked for with a label that cannot leave its quotes", () => {
    expect(baseBackupCommand({ label: "it's", checkpoint: "fast" })).toContain("LABEL 'it''s',");
    for (const label of ["", "a\nb", "a\0b", "x".repeat(1_001)]) {
      expect(() => baseBackupCommand({ label, checkpoint: "fast" })).toThrow(expect.objectContaining({ code: "TM-PG-SETTING" }));
    }
  });
});
