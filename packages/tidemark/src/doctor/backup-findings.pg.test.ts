// Backups as the doctor sees them: a real pgBackRest (Debian's) from its first moment on.
import { existsSync } from "node:fs";
import { startPrimary, type TestServer } from "@tidemark/postgres/testing/cluster-fixture";
import { systemClock } from "@tidemark/kernel/platform/system-clock";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { PGBACKREST, pgbackrestRepository, type PgbackrestRepository } from "../probes/testing/pgbackrest-repository.ts";
import type { SurveyPlan } from "./survey-configuration.ts";
import { configFolder, examine, named, type ConfigFolder } from "./testing/examined.ts";

const HOME = { machine: "a1", zone: "a", region: "north", account: "shop" };

describe.runIf(existsSync(PGBACKREST) || process.env["TIDEMARK_REQUIRE_PEERS"] === "1")("a doctor of a pgBackRest repository", () => {
  let primary: TestServer;
  let repository: PgbackrestRepository;
  let folder: ConfigFolder;

  beforeAll(async () => {
    [primary, folder] = await Promise.all([startPrimary({ major: 15 }), configFolder()]);
    repository = await pgbackrestRepository(primary);
    await repository.attach();
  });
  afterAll(async () => {
    await Promise.all([primary?.dispose(), folder?.[Symbol.asyncDispose]()]);
  });

  const shop = async (where: object, badWrite = { rpo: "4h", rto: "4h" }): Promise<string> => {
    const info = { run: [...repository.info()] };
    return folder.write({
      services: { shop: { tier: "medium", why: "a test", stores: ["shop"], objectives: { "bad-write": badWrite } } },
      stores: {
        shop: {
          kind: "observed",
          copies: {
            db1: await folder.server(primary.connection, HOME),
            backups: { pgbackrest: { stanza: "main", info, repositories: { 1: where } } },
          },
        },
      },
    });
  };
  /** As if a restore had been proven just now. */
  const proven = (plan: SurveyPlan): SurveyPlan => ({
    ...plan,
    watch: () =>
      plan.watch().map((one) => ({ ...one, proofs: () => new Map([["backups/repo1", { atMs: systemClock.wallMs(), tookMs: 1_000 }]]) })),
  });

  it(
    "names a repository without a backup, then one that was never restored, in the same account, and too young",
    { timeout: 300_000 },
    async () => {
      const empty = named(await examine(await shop(HOME)));
      expect(empty).toContain("backup-unusable shop/backups/repo1");
      expect(empty).not.toContain("backup-unverified shop/backups/repo1");

      await repository.backup();
      const report = await examine(await shop(HOME));
      const first = named(report);
      expect(first).not.toContain("backup-unusable shop/backups/repo1");
      expect(first).toContain("backup-unverified shop/backups/repo1");
      expect(first).toContain("backups-same-account shop");
      expect(first).toContain("retention-short shop");
      expect(report.copies.find(({ name }) => name === "backups/repo1")).toMatchObject({ kind: "backup", proven: false });

      const elsewhere = await shop({ region: "south", account: "safe" }, { rpo: "0s", rto: "1ms" });
      const healthy = named(await examine(elsewhere, { change: proven }));
      expect(healthy).not.toContain("backup-unverified shop/backups/repo1");
      expect(healthy).not.toContain("backups-same-account shop");
      expect(healthy).not.toContain("retention-short shop");
    },
  );
});
