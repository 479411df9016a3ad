import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Lifecycle, VerdictKind } from "./alert-lifecycle.ts";
import { INACTIVE, stepLifecycle } from "./alert-lifecycle.ts";

const durations = { forMs: 10_000, keepMs: 5_000 };
const step = (from: Lifecycle, verdict: VerdictKind, nowMs: number): Lifecycle => stepLifecycle(from, verdict, { nowMs, durations });

describe("an alert's life", () => {
  it("fires once its rule has held for long enough, at once where nothing has to be waited for", () => {
    const pending = step(INACTIVE, "holds", 0);
    expect(pending.phase).toBe("pending");
    expect(step(pending, "holds", 9_999).phase).toBe("pending");
    expect(step(pending, "holds", 10_000)).toEqual({ phase: "firing", sinceMs: 0 });
    expect(stepLifecycle(INACTIVE, "holds", { nowMs: 7, durations: { forMs: 0, keepMs: 0 } })).toEqual({ phase: "firing", sinceMs: 7 });
  });

  it("ends only after it was clear without a break", () => {
    let life: Lifecycle = { phase: "firing", sinceMs: 0 };
    life = step(life, "clear", 20_000);
    expect(step(life, "clear", 24_999).phase).toBe("firing");
    expect(step(life, "clear", 25_000)).toBe(INACTIVE);
    const broken = step(life, "unknown", 22_000);
    expect(step(step(broken, "clear", 23_000), "clear", 26_000).phase).toBe("firing");
  });

  it("neither begins nor ends while nothing is known", () => {
    for (const life of [INACTIVE, { phase: "pending", sinceMs: 0 } as const, { phase: "firing", sinceMs: 0 } as const])
      expect(step(life, "unknown", 1_000_000).phase).toBe(life.phase);
  });

  it("does not take longer because the clock was set back", () => {
    const pending = step({ phase: "pending", sinceMs: 1_000_000 }, "holds", 50_000);
    expect(step(pending, "holds", 60_000).phase).toBe("firing");
    const fading = step({ phase: "firing", sinceMs: 0, clearSinceMs: 1_000_000 }, "clear", 50_000);
    expect(step(fading, "clear", 55_000)).toBe(INACTIVE);
  });

  it("agrees with looking at the whole past: it fires after `for` of holding, ends after `keep` of clear", () => {
    const verdicts = fc.array(fc.constantFrom<VerdictKind>("holds", "holds", "clear", "unknown"), { maxLength: 80 });
    fc.assert(
      fc.property(verdicts, (all) => {
        let life: Lifecycle = INACTIVE;
        let firing = false;
        for (const [second, verdict] of all.entries()) {
          life = step(life, verdict, second * 1_000);
          const lastClear = all.slice(0, second + 1).lastIndexOf("clear");
          const holds = all.slice(lastClear + 1, second + 1).indexOf("holds");
          if (!firing && verdict === "holds" && second - (lastClear + 1 + holds) >= 10) firing = true;
          else if (firing && all.slice(Math.max(0, second - 5), second + 1).every((one) => one === "clear") && second >= 5) firing = false;
          expect(life.phase === "firing").toBe(firing);
        }
      }),
    );
  });
});
