import { describe, expect, it } from "vitest";
import { fitParts, ProgressLine } from "./progress-line.ts";

describe("the progress of a proof", () => {
  it("is one line per phase where nobody looks on", () => {
    let text = "";
    const line = new ProgressLine("kill-primary", { write: (more) => (text += more), columns: 80, live: false }, 20_000);
    line.phase("starting the stack");
    line.phase("load before the fault");
    line.note("SIGKILL to postmaster 1");
    line.end();
    expect(text.split("\n")).toEqual([
      expect.stringMatching(/^kill-primary {2}starting the stack {2}0 ms of about 20 s$/),
      expect.stringMatching(/load before the fault/),
      "  SIGKILL to postmaster 1",
      "",
    ]);
  });

  it("writes over itself on a terminal, and takes itself away", () => {
    let text = "";
    const line = new ProgressLine("x", { write: (more) => (text += more), columns: 40, live: true }, 20_000);
    line.phase("counting");
    line.end();
    expect(text).not.toContain("\n");
    expect(text.endsWith("\r\u001b[2K")).toBe(true);
  });

  it("keeps within the columns, and keeps what it is at and the time", () => {
    const parts = ["kill-everything", "waiting until all is applied", "300/s", "12,345 acknowledged", "20 s of about 25 s"];
    for (const columns of [30, 49, 79]) expect(fitParts(parts, columns).length).toBeLessThanOrEqual(columns);
    expect(fitParts(parts, 79)).toContain("20 s of about 25 s");
  });
});
