import { EXIT } from "../platform/exit-codes.ts";
import type { Terminal } from "./terminal.ts";
import { findWalPlace, type WalPlaceOptions } from "./wal-place.ts";
import { collectWalStatus, type WalReport } from "./wal-status-report.ts";
import { describeWalStatus } from "./wal-status-view.ts";
import { troublesOf } from "./wal-troubles.ts";

/** Shows the status; 0 when all is well, 1 when something is wrong or not known. */
export async function runWalStatus(terminal: Terminal, options: WalPlaceOptions & { json?: boolean }): Promise<number> {
  const collected = await collectWalStatus(await findWalPlace(options));
  const report: WalReport = { ...collected, troubles: collected.vaults.flatMap(troublesOf) };
  if (options.json === true) terminal.out(JSON.stringify(report, null, 2));
  else terminal.out(describeWalStatus(report, terminal).join("\n"));
  return report.troubles.length === 0 ? EXIT.ok : EXIT.failed;
}
