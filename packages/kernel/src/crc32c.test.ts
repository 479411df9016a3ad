import { expect, it } from "vitest";
import { crc32c } from "./crc32c.ts";

it("gives the check values of RFC 3720 appendix B.4", () => {
  const ascending = Uint8Array.from({ length: 32 }, (_, i) => i);
  expect(crc32c(new Uint8Array(32), 0, 32)).toBe(0x8a9136aa);
  expect(crc32c(new Uint8Array(32).fill(0xff), 0, 32)).toBe(0x62a8ab43);
  expect(crc32c(ascending, 0, 32)).toBe(0x46dd794e);
  expect(crc32c(ascending.toReversed(), 0, 32)).toBe(0x113fdb5c);
  expect(crc32c(Buffer.from("123456789"), 0, 9)).toBe(0xe3069283);
});

it("gives the same over a text cut at any place", () => {
  const bytes = Buffer.from("The journal forgets a write only when the database copy has reached its domains.");
  const whole = crc32c(bytes, 0, bytes.length);
  for (let cut = 0; cut <= bytes.length; cut++) expect(crc32c(bytes, cut, bytes.length, crc32c(bytes, 0, cut))).toBe(whole);
});
