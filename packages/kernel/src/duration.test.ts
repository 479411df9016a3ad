import { describe, expect, it } from "vitest";
import { formatDuration, formatGivenDuration, parseDuration } from "./duration.ts";

describe("a duration for people", () => {
  it("is said as it was written where somebody gave it", () => {
    for (const text of ["1 m", "15 m", "90 m", "1 h", "25 h", "1 d", "7 d"])
      expect(formatGivenDuration(parseDuration(text.replace(" ", "")))).toBe(text);
    expect(formatGivenDuration(90_500)).toBe("1 m 31 s");
    expect(formatGivenDuration(5_000)).toBe("5.00 s");
    expect(formatGivenDuration(0)).toBe("0 ms");
  });

  it("has two parts where it was measured", () => {
    expect(formatDuration(900_000)).toBe("15 m 0 s");
    expect(formatDuration(90_000_000)).toBe("1 d 1 h");
  });
});
