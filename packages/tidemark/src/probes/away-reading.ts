import type { Clock } from "@tidemark/kernel/clock";
import type { ErrorCode } from "@tidemark/kernel/errors";
import type { ProbeReading } from "./probe.ts";

/** A target that could not be looked at. `why` is shown to people and must hold no secret. */
export function awayReading(clock: Clock, code: ErrorCode & `TM-PROBE-${string}`, why: string): ProbeReading & { readonly ok: false } {
  return { ok: false, atMs: clock.wallMs(), code, why };
}
