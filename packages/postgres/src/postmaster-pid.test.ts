import { assert as check, property, string } from "fast-check";
import { describe, expect, it } from "vitest";
import { parsePostmasterPid } from "./postmaster-pid.ts";

const WHOLE = "4711\n/var/lib/tidemark/pg1\n1790000000\n5433\n\n127.0.0.1\n  1048577    262144\nready   \n";

describe("postmaster.pid", () => {
  it("gives process, port and status of a running server", () => {
    expect(parsePostmasterPid(WHOLE)).toEqual({
      pid: 4711,
      dataDir: "/var/lib/tidemark/pg1",
      startedAtSeconds: 1_790_000_000,
      port: 5433,
      socketDir: "",
      host: "127.0.0.1",
      status: "ready",
    });
  });

  it("says absent while the status has not been written", () => {
    expect(parsePostmasterPid(WHOLE.split("\n").slice(0, 5).join("\n")).status).toBe("absent");
  });

  it("knows every status, padded or not", () => {
    for (const status of ["starting", "stopping", "ready   ", "standby "]) {
      expect(parsePostmasterPid(WHOLE.replace("ready   ", status)).status).toBe(status.trim());
    }
  });

  it("takes the negative number of a stand-alone backend as the process it is", () => {
    expect(parsePostmasterPid(WHOLE.replace("4711", "-4711")).pid).toBe(4711);
  });

  it("refuses with a code what is cut anywhere before the port, and never throws anything else", () => {
    const firstFour = WHOLE.split("\n").slice(0, 4).join("\n");
    for (let length = 0; length < firstFour.length - 4; length++) {
      expect(() => parsePostmasterPid(firstFour.slice(0, length))).toThrow(expect.objectContaining({ code: "TM-PG-PID-FILE" }));
    }
    check(
      property(string(), (text) => {
        try {
          parsePostmasterPid(text);
        } catch (error) {
          expect(error).toMatchObject({ code: "TM-PG-PID-FILE" });
        }
      }),
    );
  });
});
