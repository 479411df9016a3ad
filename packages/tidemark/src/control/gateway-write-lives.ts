import { TidemarkError } from "@tidemark/kernel/errors";
import type { InternalClient } from "../cluster/internal-client.ts";
import type { WriteLives } from "../metrics/write-life.ts";

const WITHIN_MS = 1_000;

/** The lives of writes, as the gateway has them: it sees each write. Rejects with TM-CLUSTER-GATEWAY-AWAY. */
export async function gatewayWriteLives(gateway: Pick<InternalClient, "request">): Promise<WriteLives> {
  const { status, body } = await gateway.request({ path: "/v1/write-lives", timeoutMs: WITHIN_MS });
  if (status !== 200)
    throw new TidemarkError("TM-CLUSTER-GATEWAY-AWAY", "the gateway records no lives of writes: it is of another version");
  return body as WriteLives;
}
