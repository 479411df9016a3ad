// The applier's process, forked by the gateway. It ends when the channel closes: the gateway's successor has an applier of
// its own. What is in hand then is finished or in doubt, and the position decides.
import type { Sequence } from "@tidemark/kernel/brands";
import { TidemarkError } from "@tidemark/kernel/errors";
import { systemClock } from "@tidemark/kernel/platform/system-clock";
import { systemRandom } from "@tidemark/kernel/platform/system-random";
import { pino } from "pino";
import { compileCommands } from "../gateway/command-catalogue.ts";
import { openJournalReader } from "../journal/embedded/open-journal.ts";
import { readOrCreateSecret, readSecret } from "../platform/secret-files.ts";
import { Applier } from "./applier.ts";
import type { ToApplier } from "./applier-link.ts";
import type { GatewayLink } from "./gateway-link.ts";
import { KeyRetention } from "./key-retention.ts";
import { HttpPrimaryLocator } from "./platform/http-primary-locator.ts";
import { IpcLink } from "./platform/ipc-link.ts";
import { PostgresDatabase } from "./platform/postgres-database.ts";
import { keepCompiled } from "../platform/compile-cache.ts";

/** After the channel closed or a stop, the transaction in hand may take so long, ms. */
const STOP_WITHIN_MS = 8_000;

type Begin = Extract<ToApplier, { type: "begin" }>;

const logger = pino({ name: "applier", level: process.env["TIDEMARK_LOG_LEVEL"] ?? "info" }, pino.destination({ fd: 2, sync: false }));

async function main(): Promise<void> {
  if (process.send === undefined) throw new TidemarkError("TM-APPLIER-LINK", "the applier was started without a channel to its gateway");
  const stop = new AbortController();
  const end = (why: string): void => {
    if (stop.signal.aborted) return;
    stop.abort(new Error(why));
    systemClock.setTimer(STOP_WITHIN_MS, () => process.exit(0), { keepAlive: false });
  };
  const link = new IpcLink(process, () => end("the channel to the gateway closed"));
  process.on("SIGTERM", () => end("SIGTERM"));
  process.on("SIGINT", () => undefined); // Ctrl-C reaches the whole group; the gateway says when.
  link.onMessage((message) => {
    if (message.type === "stop") end("the gateway says stop");
  });
  const begin = await firstMessage(link, stop.signal);
  if (begin !== undefined) await apply(begin, link, stop.signal);
}

/** Messages behind `begin` wait in `held` until the applier listens. */
function firstMessage(link: GatewayLink, signal: AbortSignal): Promise<{ begin: Begin; held: ToApplier[]; off: () => void } | undefined> {
  return new Promise((resolve) => {
    const held: ToApplier[] = [];
    const off = link.onMessage((message) => {
      if (message.type === "begin") resolve({ begin: message, held, off });
      else held.push(message);
    });
    signal.addEventListener("abort", () => resolve(undefined), { once: true });
  });
}

async function apply(first: { begin: Begin; held: ToApplier[]; off: () => void }, link: GatewayLink, signal: AbortSignal): Promise<void> {
  const { store: name, journal, config, recovered } = first.begin;
  const store = config.stores[name];
  if (store === undefined) throw new TidemarkError("TM-APPLIER-LINK", `the configuration has no store "${name}"`);
  const [password, token, reader] = await Promise.all([
    readOrCreateSecret(store.passwordFile),
    readSecret(config.control.internalTokenFile),
    openJournalReader({ directory: config.journal.directory }),
  ]);
  if (reader.id !== journal)
    throw new TidemarkError(
      "TM-APPLIER-LINK",
      `the folder ${config.journal.directory} holds journal ${reader.id}, the gateway writes ${journal}`,
    );
  if (token === undefined) throw new TidemarkError("TM-APPLIER-LINK", `there is no internal token in ${config.control.internalTokenFile}`);
  const world = { clock: systemClock, random: systemRandom, logger: logger.child({ store: name }) };
  const locator = new HttpPrimaryLocator({
    ...world,
    store: name,
    control: config.control,
    agents: store.nodes.map((node) => node.agent),
    token,
  });
  const database = new PostgresDatabase({ database: store.database, user: store.user, password });
  const heldLink = replaying(link, first.held);
  first.off();
  const applier = new Applier({
    ...world,
    store: name,
    requiredCopies: store.required,
    reader,
    database,
    locator,
    link: heldLink,
    commands: compileCommands(config.commands),
    ...(recovered === undefined ? {} : { recovered: BigInt(recovered) as Sequence }),
  });
  const retention = new KeyRetention({ ...world, database, locator, windowMs: config.gateway.idempotency.windowMs });
  keepCompiled();
  await Promise.all([applier.run(signal), locator.run(signal), retention.run(signal)]);
  await reader.close();
}

/** The link, with what came before the first listener handed to each listener when it joins. */
function replaying(link: GatewayLink, held: readonly ToApplier[]): GatewayLink {
  return {
    send: (message) => link.send(message),
    onMessage: (listener) => {
      const off = link.onMessage(listener);
      for (const message of held) listener(message);
      return off;
    },
  };
}

try {
  await main();
  process.exit(0);
} catch (error) {
  logger.error({ err: error, code: error instanceof TidemarkError ? error.code : undefined }, "the applier ended");
  logger.flush(() => process.exit(1));
}
