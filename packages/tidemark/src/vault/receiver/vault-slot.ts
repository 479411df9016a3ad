// The vault's slot on the primary: made, dropped, and what the server's refusals mean.
import { TidemarkError } from "@tidemark/kernel/errors";
import type { ServerSession } from "./server-session.ts";

/** SQLSTATE of PostgreSQL, errcodes.txt. */
export const SQLSTATE = { walRemoved: "58P01", inUse: "55006", notUsable: "55000", duplicate: "42710" } as const;

/** Makes the slot with WAL reserved from now on (trap 4). One that was made by an attempt whose answer was lost is as good. */
export async function createSlot(session: ServerSession, identity: string): Promise<void> {
  try {
    await session.client.createPhysicalSlot(identity, { reserveWal: true });
  } catch (error) {
    if (sqlstateOf(error) !== SQLSTATE.duplicate) throw error;
  }
}

/** Drops a slot that would keep WAL for nobody. Rejects with TM-VAULT-SLOT-IN-USE. */
export async function dropSlot(session: ServerSession, identity: string): Promise<void> {
  try {
    await session.client.dropSlot(identity);
  } catch (error) {
    throw sqlstateOf(error) === SQLSTATE.inUse ? slotInUse(identity, error) : error;
  }
}

export function slotInUse(identity: string, cause: unknown): TidemarkError {
  return new TidemarkError("TM-VAULT-SLOT-IN-USE", `the slot ${identity} is in use by another connection: ${(cause as Error).message}`, {
    cause,
  });
}

export function sqlstateOf(error: unknown): string | undefined {
  return error instanceof TidemarkError && typeof error.details["sqlstate"] === "string" ? error.details["sqlstate"] : undefined;
}
