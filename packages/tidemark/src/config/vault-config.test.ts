import { describe, expect, it } from "vitest";
import { checkConfig } from "./load-config.ts";

/** `line:column code` of each problem, with what was expected. */
function golden(text: string): string[] {
  const checked = checkConfig(text, "tidemark.yaml");
  const problems = "problems" in checked ? checked.problems : [];
  return problems.map(({ line, column, code, message, expected }) => `${line}:${column} ${code} ${message} | ${expected}`);
}

const SMALL = `version: 1
name: small
services:
  orders: { tier: high, stores: [db], objectives: { process-loss: { rpo: 0, rto: 5s } } }
stores:
  db:
    nodes:
      pg1: { address: 127.0.0.1:7411, agent: 127.0.0.1:7421 }
      pg2: { address: 127.0.0.1:7412, agent: 127.0.0.1:7422 }
commands: {}
`;

const VAULT = `    vaults:
      vault1:
        listen: 127.0.0.1:7431
        archive:
          encryption: { key: { file: archive.key } }
          stores:
            main: { kind: folder, directory: archive }
            far: { kind: s3, bucket: shop-wal, region: eu-central-1 }
`;

describe("the configuration of vaults", () => {
  /** The small file with a vault, whose lines begin at line 10. */
  const VAULTED = SMALL.replace("commands:", `${VAULT}commands:`);

  it("fills in what a vault leaves out", () => {
    const checked = checkConfig(VAULTED, "/etc/tidemark/tidemark.yaml");
    if ("problems" in checked) throw new Error(JSON.stringify(checked.problems));
    expect(checked.config.stores["db"]?.required).toBe(2);
    expect(checked.config.stores["db"]?.vaults).toEqual([
      {
        name: "vault1",
        host: "127.0.0.1",
        port: 7431,
        directory: "/etc/tidemark/.tidemark/vaults/db-vault1",
        domain: { process: "vault1", machine: "localhost" },
        synchronous: true,
        keepLocalBytes: 1_073_741_824,
        archive: {
          stores: [
            { name: "main", options: { kind: "folder", directory: "/etc/tidemark/archive" } },
            { name: "far", options: { kind: "s3", bucket: "shop-wal", prefix: "", region: "eu-central-1", pathStyle: false } },
          ],
          compression: { kind: "zstd", level: 1 },
          encryption: { key: { kind: "file", file: "/etc/tidemark/archive.key" }, formerKeys: [], acceptUnencrypted: false },
          partialEveryMs: 5_000,
        },
      },
    ]);
  });

  it("encrypts the archive by a key in the state folder unless the file says that it shall not, and puts folders there too", () => {
    const archiveOf = (text: string): unknown => {
      const checked = checkConfig(text, "/etc/tidemark.yaml", { stateDir: "/srv/state" });
      return "problems" in checked ? checked.problems : checked.config.stores["db"]?.vaults[0]?.archive;
    };
    const said = "          encryption: { key: { file: archive.key } }\n";
    expect(archiveOf(VAULTED.replace(said, "").replace("kind: folder, directory: archive", "kind: folder"))).toMatchObject({
      encryption: { key: { kind: "file", file: "/srv/state/secrets/vault1-archive.key" }, formerKeys: [] },
      stores: [{ name: "main", options: { kind: "folder", directory: "/srv/state/archives/vault1-main" } }, { name: "far" }],
    });
    expect(archiveOf(VAULTED.replace(said, "          encryption: none\n"))).toMatchObject({ encryption: "none" });
  });

  it("takes everything that a vault's entry may say", () => {
    const text = VAULTED.replace("directory: archive }", "directory: /mnt/archive }")
      .replace(
        "key: { file: archive.key }",
        "key: { awsKms: { keyId: 1234abcd-12ab-34cd, region: eu-west-1 } }, formerKeys: [{ environment: OLD_KEY }]",
      )
      .replace(
        "region: eu-central-1 }",
        "region: eu-central-1, prefix: a/b, endpoint: 'http://[::1]:9000', credentials: { environment: { accessKeyId: KEY_ID, secretAccessKey: KEY } }, lock: { mode: compliance, for: 30d }, serverSideEncryption: { awsKms: { keyId: k } } }",
      )
      .replace("      vault1:\n", "      vault1:\n        synchronous: false\n        keepLocal: 10GiB\n        domain: { zone: b }\n");
    const checked = checkConfig(text, "/etc/tidemark.yaml");
    if ("problems" in checked) throw new Error(JSON.stringify(checked.problems));
    expect(checked.config.stores["db"]?.required).toBe(1);
    expect(checked.config.stores["db"]?.vaults[0]).toMatchObject({
      synchronous: false,
      keepLocalBytes: 10_737_418_240,
      domain: { process: "vault1", machine: "localhost", zone: "b" },
      archive: {
        encryption: {
          key: { kind: "aws-kms", keyId: "1234abcd-12ab-34cd", region: "eu-west-1" },
          formerKeys: [{ kind: "environment", name: "OLD_KEY" }],
        },
        stores: [
          { name: "main", options: { kind: "folder", directory: "/mnt/archive" } },
          {
            name: "far",
            options: {
              prefix: "a/b/",
              endpoint: "http://[::1]:9000",
              pathStyle: true,
              credentials: { kind: "environment", accessKeyId: "KEY_ID", secretAccessKey: "KEY" },
              lock: { mode: "compliance", forMs: 2_592_000_000 },
              serverSideEncryption: { kind: "aws:kms", keyId: "k" },
            },
          },
        ],
      },
    });
  });

  it.each([
    ["5s above 0", "process-loss: { rpo: 5s, rto: 5s }", 2_500],
    ["the smallest above 0", "process-loss: { rpo: 0, rto: 5s }, node-loss: { rpo: 2s, rto: 5s }, zone-loss: { rpo: 1h, rto: 1h }", 1_000],
    ["one that no upload keeps", "process-loss: { rpo: 10ms, rto: 5s }", 500],
    ["a large one", "process-loss: { rpo: 1h, rto: 1h }", 5_000],
  ])("uploads the growing segment at half the RPO of the services on the store: %s", (_, objectives, partialEveryMs) => {
    const checked = checkConfig(VAULTED.replace("process-loss: { rpo: 0, rto: 5s }", objectives), "/etc/tidemark.yaml");
    if ("problems" in checked) throw new Error(JSON.stringify(checked.problems));
    expect(checked.config.stores["db"]?.vaults[0]?.archive.partialEveryMs).toBe(partialEveryMs);
  });

  it("requires two copies where there are two, whether nodes or synchronous vaults (R7)", () => {
    const required = (text: string): number | undefined => {
      const checked = checkConfig(text, "tidemark.yaml");
      return "problems" in checked ? undefined : checked.config.stores["db"]?.required;
    };
    const pg2 = "      pg2: { address: 127.0.0.1:7412, agent: 127.0.0.1:7422 }\n";
    const pg3 = "      pg3: { address: 127.0.0.1:7413, agent: 127.0.0.1:7423 }\n";
    expect([SMALL, SMALL.replace(pg2, pg2 + pg3), SMALL.replace(pg2, ""), VAULTED, VAULTED.replace(pg2, "")].map(required)).toEqual([
      1, 2, 0, 2, 1,
    ]);
  });

  /** Each: what is wrong, the change to the file with a vault, and the one problem that must come of it. */
  const VAULT_CASES: readonly [rule: string, from: string, to: string, problem: string][] = [
    [
      "a vault with a node's name",
      "      vault1:",
      "      pg2:",
      "11:7 TM-CONFIG-VALUE the store db has a node pg2 | a name of its own for every node and every vault",
    ],
    [
      "a vault on a port that is used",
      "7431",
      "7422",
      "12:17 TM-CONFIG-DUPLICATE-PORT the vault vault1 would listen on port 7422, where the agent of pg2 listens | a port of its own",
    ],
    [
      "a vault in a node's domain (R7)",
      "        archive:",
      "        domain: { process: pg2 }\n        archive:",
      "13:17 TM-CONFIG-SAME-DOMAIN vault1 lies in the same failure domains as pg2: a copy there does not count (R7) | a process or a machine of its own",
    ],
    [
      "more copies than nodes and synchronous vaults",
      "    vaults:\n",
      "    required: 3\n    vaults:\n",
      "10:15 TM-CONFIG-REQUIRED-COPIES 3 copies besides the primary are required, the store has 2 nodes and 1 synchronous vault | at most 2",
    ],
    [
      "two keys where one wraps",
      "{ file: archive.key }",
      "{ file: archive.key, environment: KEY }",
      "14:25 TM-CONFIG-VALUE too much is given here | one of `file`, `environment`, `awsKms`",
    ],
    [
      "a key itself instead of its place",
      "key: { file: archive.key }",
      "key: c2VjcmV0",
      '14:30 TM-CONFIG-VALUE "c2VjcmV0" does not fit here | one of `file`, `environment`, `awsKms`',
    ],
    [
      "an alias of a key",
      "{ file: archive.key }",
      "{ awsKms: { keyId: alias/wal, region: eu-west-1 } }",
      '14:49 TM-CONFIG-VALUE "alias/wal" does not fit here | a key\'s id or ARN, not an alias, whose meaning can change',
    ],
    [
      "encryption that is neither",
      "encryption: { key: { file: archive.key } }",
      "encryption: off",
      '14:23 TM-CONFIG-VALUE "off" is not allowed here | `none`, or `key` and `formerKeys`',
    ],
    [
      "a key that stands here twice",
      "key: { file: archive.key } }",
      "key: { file: archive.key }, formerKeys: [{ file: archive.key }] }",
      "14:66 TM-CONFIG-VALUE this key stands here twice | every key once: the one for new objects, and the former ones",
    ],
    ["an object store that is none", "kind: folder", "kind: ftp", '16:27 TM-CONFIG-VALUE "ftp" is not allowed here | one of folder, s3'],
    [
      "a key of the other kind of object store",
      "directory: archive }",
      "directory: archive, bucket: shop }",
      '16:55 TM-CONFIG-UNKNOWN-KEY unknown key "bucket" | one of kind, directory',
    ],
    [
      "credentials in an address",
      "region: eu-central-1 }",
      "region: eu-central-1, endpoint: 'https://key:secret@store' }",
      "17:80 TM-CONFIG-SECRET an address with credentials stands in the configuration, which is no place for secrets | an address without credentials; a secret stands in a file of its own (`passwordFile`, `bearerFile`, `urlFile`)",
    ],
    [
      "two archives in one place",
      "far: { kind: s3, bucket: shop-wal, region: eu-central-1 }",
      "far: { kind: folder, directory: ./archive }",
      "17:45 TM-CONFIG-VALUE the archive far of vault1 would lie in the same place as the archive main of vault1 | a place of its own",
    ],
    [
      "an archive in the vault's own folder",
      "directory: archive }",
      "directory: .tidemark/vaults/db-vault1/archive }",
      "16:46 TM-CONFIG-VALUE the archive main of vault1 would lie in that vault's own folder, and be lost with it | a folder elsewhere, best on another machine's disk",
    ],
    [
      "uploads without a pause",
      "          stores:",
      "          partialEvery: 0\n          stores:",
      "15:25 TM-CONFIG-DURATION uploads of the growing segment would follow each other without a pause | at least 100ms",
    ],
  ];

  it.each(VAULT_CASES)("says where %s stands and what was expected", (_rule, from, to, problem) => {
    expect(VAULTED).toContain(from);
    expect(golden(VAULTED.replace(from, to))).toEqual([problem]);
  });
});
