import { describe, expect, it } from "vitest";
import { formatLsn, parseLsn } from "./lsn.ts";

describe("lsn", () => {
  it("keeps every bit through text and back", () => {
    for (const text of ["0/0", "16/B374D848", "FFFFFFFF/FFFFFFFF", "0/1"]) expect(formatLsn(parseLsn(text))).toBe(text);
  });

  it("refuses what is not an LSN with a code", () => {
    for (const text of ["", "1", "1/", "/1", "123456789/0", "0/G", "0/0 "]) {
      expect(() => parseLsn(text)).toThrow(expect.objectContaining({ code: "TM-PG-LSN" }));
    }
  });
});
