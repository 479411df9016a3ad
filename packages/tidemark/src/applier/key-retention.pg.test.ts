import { silentLogger } from "@tidemark/kernel/logger";
import { systemClock } from "@tidemark/kernel/platform/system-clock";
import { Redacted } from "@tidemark/kernel/redacted";
import { startPrimary } from "@tidemark/postgres/testing/cluster-fixture";
import { expect, it } from "vitest";
import { KeyRetention, MOST_ROWS_OF_A_DELETE } from "./key-retention.ts";
import { PostgresDatabase } from "./platform/postgres-database.ts";
import { ApplierHarness } from "./testing/applier-harness.ts";

it("idempotency keys are forgotten when their window is over, and no younger ones (R15)", async () => {
  await using primary = await startPrimary();
  await using harness = await ApplierHarness.prepare({ connection: primary.connection, commands: {} });
  await harness.admin`
    INSERT INTO tidemark.idempotency (scope, key, journal, sequence, content_hash, applied_at)
    SELECT 's', n::text, gen_random_uuid(), n, 'h', clock_timestamp() - CASE WHEN n <= ${MOST_ROWS_OF_A_DELETE + 500} THEN interval '2 hours' ELSE interval '10 minutes' END
    FROM generate_series(1, ${MOST_ROWS_OF_A_DELETE + 700}) AS n`;
  const { database, user, password } = primary.connection;
  const retention = new KeyRetention({
    database: new PostgresDatabase({ database, user, password: new Redacted(password) }),
    locator: harness.locator,
    windowMs: 3_600_000,
    clock: systemClock,
    logger: silentLogger,
  });
  expect(await retention.round()).toBe(MOST_ROWS_OF_A_DELETE + 500);
  expect(await harness.admin`SELECT count(*)::int AS count FROM tidemark.idempotency`).toEqual([{ count: 200 }]);
  expect(await retention.round()).toBe(0);
});
