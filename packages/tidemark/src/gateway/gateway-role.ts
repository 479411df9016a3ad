import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { createSecureContext } from "node:tls";
import type { Clock } from "@tidemark/kernel/clock";
import { TidemarkError } from "@tidemark/kernel/errors";
import type { Logger } from "@tidemark/kernel/logger";
import type { Random } from "@tidemark/kernel/random";
import { openAuditLog } from "../audit/audit-log.ts";
import { InternalClient } from "../cluster/internal-client.ts";
import type { Config } from "../config/config.ts";
import { openJournal } from "../journal/embedded/open-journal.ts";
import { readOrCreateSecret } from "../platform/secret-files.ts";
import type { LoadedToken } from "./access.ts";
import { openGateway, type Gateway } from "./gateway.ts";
import { forkApplier } from "./platform/fork-applier.ts";

/** What the entry point hands in. */
export interface GatewayRole {
  readonly config: Config;
  readonly logger: Logger;
  readonly clock: Clock;
  readonly random: Random;
  /** Aborted on SIGTERM: no new writes, those in hand are answered, then it ends. */
  readonly signal: AbortSignal;
  /** Called once it listens. */
  readonly onReady?: (address: { readonly host: string; readonly port: number; readonly url: string }) => void;
}

/** The name by which the other roles are known to the gateway. Configured tokens cannot have it, for it is no valid name there. */
const INTERNAL = "tidemark:internal";

/**
 * Runs a gateway until the signal aborts; resolves when it has drained and the journal is closed. Rejects with what
 * keeps it from starting: the TM-JOURNAL-… codes of opening, those of {@link openGateway}, TM-GATEWAY-TLS, TM-GATEWAY-PORT.
 */
export async function runGatewayRole(role: GatewayRole): Promise<void> {
  const { config, clock, random, logger, signal } = role;
  const [tokens, tls, audit] = await Promise.all([
    loadTokens(config),
    loadTls(config),
    openAuditLog({ file: join(config.stateDir, "audit", "audit.jsonl"), clock }),
  ]);
  const journal = await openJournal({ config: config.journal, clock, random, logger });
  let gateway: Gateway | undefined;
  try {
    gateway = await openGateway({
      config,
      journal,
      clock,
      random,
      logger,
      audit,
      tokens,
      ...(tls === undefined ? {} : { tls }),
      forkApplier,
      control: await controlOf(config, clock),
      process: { pid: process.pid, memoryBytes: () => process.memoryUsage.rss() },
    });
    const address = await listen(gateway, config);
    logger.info({ ...address, journal: journal.id, durable: String(journal.extent().durable) }, "the gateway accepts writes");
    role.onReady?.(address);
    await aborted(signal);
    logger.info({}, "the gateway drains");
  } finally {
    await (gateway === undefined ? journal.close() : gateway.close());
    await audit.close();
  }
}

async function listen(gateway: Gateway, config: Config): Promise<{ host: string; port: number; url: string }> {
  const { host, port, tls } = config.gateway;
  try {
    await gateway.app.listen({ host, port });
  } catch (cause) {
    const code = (cause as NodeJS.ErrnoException).code;
    const why =
      code === "EADDRINUSE"
        ? "something else listens there"
        : code === "EACCES"
          ? "this user may not"
          : code === "EADDRNOTAVAIL"
            ? "this machine does not have the address"
            : String(code);
    throw new TidemarkError("TM-GATEWAY-PORT", `could not listen on ${host}:${port}: ${why}`, { cause, details: { host, port } });
  }
  const at = gateway.app.server.address();
  const bound = typeof at === "object" && at !== null ? at.port : port;
  return { host, port: bound, url: `${tls === undefined ? "http" : "https"}://${host.includes(":") ? `[${host}]` : host}:${bound}` };
}

/** The configured tokens, each made when its file is absent, and the roles' own one, which may look and operate but not write. */
async function loadTokens(config: Config): Promise<LoadedToken[]> {
  const configured = config.gateway.tokens.map(async ({ name, file, scopes }) => ({
    name,
    scopes,
    secret: await readOrCreateSecret(file),
  }));
  const internal = readOrCreateSecret(config.control.internalTokenFile).then((secret) => ({
    name: INTERNAL,
    scopes: ["read", "operate"] as const,
    secret,
  }));
  return Promise.all([...configured, internal]);
}

/** Control, as the roles ask each other. */
async function controlOf(config: Config, clock: Clock): Promise<InternalClient> {
  const token = await readOrCreateSecret(config.control.internalTokenFile);
  return new InternalClient({ address: config.control, token, clock, away: "TM-CLUSTER-AGENT-AWAY" });
}

/** Rejects with TM-GATEWAY-TLS where no handshake could succeed: a server would start with them all the same, or fail without a word of the files. */
async function loadTls(config: Config): Promise<{ cert: Buffer; key: Buffer } | undefined> {
  const { tls } = config.gateway;
  if (tls === undefined) return undefined;
  const { certFile, keyFile } = tls;
  try {
    const [cert, key] = await Promise.all([readFile(certFile), readFile(keyFile)]);
    createSecureContext({ cert, key });
    return { cert, key };
  } catch (cause) {
    throw new TidemarkError("TM-GATEWAY-TLS", `could not use the certificate ${certFile} with the key ${keyFile}`, {
      cause,
      details: { certFile, keyFile },
    });
  }
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener("abort", () => resolve(), { once: true });
  });
}
