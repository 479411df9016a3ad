import type { Fault } from "./fault.ts";
import type { FaultName } from "./fault-name.ts";
import { hangPrimary } from "./hang-primary.ts";
import { killAgent } from "./kill-agent.ts";
import { killApplier } from "./kill-applier.ts";
import { killControl } from "./kill-control.ts";
import { killEverything } from "./kill-everything.ts";
import { killGateway } from "./kill-gateway.ts";
import { killPrimary } from "./kill-primary.ts";
import { laggingStandby } from "./lagging-standby.ts";
import { loseJournal } from "./lose-journal.ts";
import { none } from "./none.ts";

/** Every fault by its name. */
export const FAULTS: Readonly<Record<FaultName, Fault>> = {
  none,
  "kill-primary": killPrimary,
  "hang-primary": hangPrimary,
  "kill-gateway": killGateway,
  "kill-applier": killApplier,
  "kill-everything": killEverything,
  "lagging-standby": laggingStandby,
  "kill-control": killControl,
  "kill-agent": killAgent,
  "lose-journal": loseJournal,
};
