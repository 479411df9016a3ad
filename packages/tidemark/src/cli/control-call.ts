// Asks control, for the commands that people give it. What it refuses is shown as the error that it was there.
import { userInfo } from "node:os";
import { errorCatalogue } from "@tidemark/kernel/error-catalogue";
import { TidemarkError, type ErrorCode } from "@tidemark/kernel/errors";
import { systemClock } from "@tidemark/kernel/platform/system-clock";
import { Redacted } from "@tidemark/kernel/redacted";
import { InternalClient } from "../cluster/internal-client.ts";
import { readSecret } from "../platform/secret-files.ts";
import { findPlace, loadPlace, type PlaceOptions } from "./place.ts";
import { facts, type Facts } from "./status-facts.ts";

const ANSWER_MS = 5_000;

export interface ControlCall {
  readonly method?: "DELETE";
  readonly path: string;
  readonly body?: object;
}

/** What control answers. Rejects with TM-PLATFORM-CONTROL-AWAY, and with what control refuses it with. */
export async function askControl(options: PlaceOptions, call: ControlCall): Promise<Facts> {
  const config = await loadPlace(await findPlace(options));
  const token = (await readSecret(config.control.internalTokenFile)) ?? new Redacted("");
  const client = new InternalClient({ address: config.control, token, clock: systemClock, away: "TM-PLATFORM-CONTROL-AWAY" });
  const { status, body } = await client.request({ ...call, timeoutMs: ANSWER_MS });
  if (status !== 404) return facts(body);
  const { code, detail } = facts(body);
  const isKnown = typeof code === "string" && code in errorCatalogue;
  throw new TidemarkError(
    isKnown ? (code as ErrorCode) : "TM-PLATFORM-CONTROL-AWAY",
    typeof detail === "string" ? detail : `control has no ${call.path.split("?")[0]}`,
  );
}

/** Whoever gives a command, as the audit log names people. */
export function whoAsks(given?: string): string {
  return `user:${given ?? userInfo().username}`;
}
