// What the configuration says of a store before anybody looked: copies that have to be there, as unknown if need be, and who tells of them.
import type { FailureDomain } from "../objectives/failure-domain.ts";
import type { CopyFacts, CopyKind } from "../probes/probe-result.ts";

export interface ExpectedCopy {
  /** As the probes name it. */
  readonly name: string;
  /** Until something tells: of a PostgreSQL node, `standby`. */
  readonly kind: CopyKind;
  /** Goes before what a probe says. */
  readonly domain: FailureDomain;
  readonly holds?: CopyFacts["holds"];
  /** Nobody can delete its newest state for so long after it was written, milliseconds; as somebody promises. */
  readonly lockedForMs?: number;
  /** Probes by their name: those whose word on what it is (kind, range, remarks) goes before that of others, the first one most. */
  readonly toldBy: readonly string[];
}
