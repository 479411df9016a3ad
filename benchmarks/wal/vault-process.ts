// A whole vault as a process, following one server: what `tidemark vault` runs, but for the cluster around it. It says its
// identity, and then how far it is, as JSON lines.
import { systemClock } from "@tidemark/kernel/platform/system-clock";
import { systemRandom } from "@tidemark/kernel/platform/system-random";
import { silentLogger } from "@tidemark/kernel/logger";
import { Redacted } from "@tidemark/kernel/redacted";
import type { VaultConfig } from "../../packages/tidemark/src/config/config.ts";
import { describeVault } from "../../packages/tidemark/src/vault/describe-vault.ts";
import { VaultReaders } from "../../packages/tidemark/src/vault/vault-readers.ts";
import { Vault } from "../../packages/tidemark/src/vault/vault.ts";
import { FixedSource } from "../../packages/tidemark/src/vault/wal-source.ts";

export interface VaultOrder {
  readonly directory: string;
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly password: string;
  /** Folder of an object store to archive to, compressed and encrypted; without: no archiving. */
  readonly archive?: string;
}

/** What it says every SAY_MS. */
export interface VaultWords {
  readonly identity: string;
  readonly flushedLsn?: string;
  /** How far the object store has what was re-read and compared. */
  readonly archivedLsn?: string;
}

const SAY_MS = 20;

const { directory, archive, ...server } = JSON.parse(process.argv[2] ?? "") as VaultOrder;
const world = { clock: systemClock, random: systemRandom, logger: silentLogger };
const source = new FixedSource({
  node: "primary",
  host: server.host,
  port: server.port,
  login: { user: server.user, password: new Redacted(server.password) },
});
const vault = await Vault.open({ store: "bench", name: "vault1", directory, source, ...world });
const config: VaultConfig = {
  name: "vault1",
  host: "127.0.0.1",
  port: 0,
  directory,
  domain: {},
  synchronous: true,
  keepLocalBytes: 1_073_741_824,
  archive: {
    stores: archive === undefined ? [] : [{ name: "folder", options: { kind: "folder", directory: archive } }],
    compression: { kind: "zstd", level: 1 },
    encryption: { key: { kind: "file", file: `${directory}.key` }, formerKeys: [] },
    partialEveryMs: 5_000,
  },
};
const readers = new VaultReaders(vault, { config, environment: process.env, ...world });
const stop = new AbortController();
process.on("SIGTERM", () => stop.abort());

const say = (): void => {
  const { recoveryPoint, archive: archived } = describeVault(vault, readers.statusParts);
  const archivedLsn = archived?.stores[0]?.recoveryPoint?.lsn;
  const words: VaultWords = {
    identity: vault.file.identity,
    ...(recoveryPoint === undefined ? {} : { flushedLsn: recoveryPoint.flushedLsn }),
    ...(archivedLsn === undefined ? {} : { archivedLsn }),
  };
  process.stdout.write(`${JSON.stringify(words)}\n`);
};
say();
if (archive !== undefined) setInterval(say, SAY_MS);
await Promise.all([vault.run(stop.signal), readers.run(stop.signal)]);
await vault.close();
process.exit(0);
