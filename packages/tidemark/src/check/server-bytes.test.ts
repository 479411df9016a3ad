import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { ServerBytes } from "./server-bytes.ts";

const LOGIN = Buffer.from("R\0\0\0\u0008\0\0\0\0K\0\0\0\u000c\0\0\0\u0001\0\0\0\u0002Z\0\0\0\u0005I", "latin1");

describe("ServerBytes", () => {
  it("accepts a server's messages however they are cut", () => {
    fc.assert(
      fc.property(fc.array(fc.nat(LOGIN.length)), (cuts) => {
        const bytes = new ServerBytes(true);
        const at = [...cuts, 0, LOGIN.length].sort((a, b) => a - b);
        expect(bytes.accept(Buffer.from("N"))).toBe(true);
        expect(at.slice(1).every((end, index) => bytes.accept(LOGIN.subarray(at[index], end)))).toBe(true);
      }),
    );
  });

  it("refuses what begins as no message does, a length that cannot be, and an authentication request without its code", () => {
    for (const text of ["HTTP/1.1 400", "220 mail", "SSH-2.0", "R\0\0\0\u0005x", "R\xff\xff\xff\xff", "Z\0\0\0\u0004"])
      expect(new ServerBytes(false).accept(Buffer.from(text, "latin1")), text).toBe(false);
    expect(new ServerBytes(true).accept(Buffer.from("HTTP/1.1"))).toBe(false);
  });

  it("lets everything pass once TLS has begun", () => {
    const bytes = new ServerBytes(true);
    expect(bytes.accept(Buffer.from("S"))).toBe(true);
    expect(bytes.accept(Buffer.from([0x16, 3, 3, 0, 0]))).toBe(true);
  });
});
