import type { Fault } from "./fault.ts";
import type { FaultName } from "./fault-name.ts";
import { hangPrimary } from "./hang-primary.ts";
import { hangVault } from "./hang-vault.ts";
import { killAgent } from "./kill-agent.ts";
import { killApplier } from "./kill-applier.ts";
import { killControl } from "./kill-control.ts";
import { killEverything } from "./kill-everything.ts";
import { killGateway } from "./kill-gateway.ts";
import { killPrimary } from "./kill-primary.ts";
import { killVault } from "./kill-vault.ts";
import { laggingStandby, laggingStandbyNoVault } from "./lagging-standby.ts";
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
  "lagging-standby-no-vault": laggingStandbyNoVault,
  "kill-vault": killVault,
  "hang-vault": hangVault,
  "kill-control": killControl,
  "kill-agent": killAgent,
  "lose-journal": loseJournal,
};
