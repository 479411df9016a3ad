// Every acknowledgement of the gateway, killed right before and right after each step that leads to it. The list of steps is the
// order that must hold: durable first, then told (ACK-DURABLE, R13); audited first, then done.
import { cp, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { silentLogger } from "@tidemark/kernel/logger";
import { systemClock } from "@tidemark/kernel/platform/system-clock";
import { systemRandom } from "@tidemark/kernel/platform/system-random";
import { Redacted } from "@tidemark/kernel/redacted";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { ToApplier } from "../applier/applier-link.ts";
import { openAuditLog } from "../audit/audit-log.ts";
import { verifyAuditLog } from "../audit/verify-audit-log.ts";
import { openJournal } from "../journal/embedded/open-journal.ts";
import { openTestGateway, order, TEST_TOKEN, testConfig, type TestGateway } from "./testing/gateway-fixture.ts";
import { journalRecords, RunningGateway } from "./testing/running-gateway.ts";
import { readVerdictPayload, readWritePayload } from "./write-record.ts";

/** A gateway is started for each step, in some seconds of a loaded machine. */
const LIMIT_MS = 180_000;
const TOKEN = new Redacted(TEST_TOKEN);

let place: string;
const gateways: RunningGateway[] = [];
beforeEach(async () => {
  place = await mkdtemp(join(tmpdir(), "tidemark-gateway-kill-"));
});
afterEach(async () => {
  for (const gateway of gateways.splice(0)) await gateway.end("SIGKILL");
  await rm(place, { recursive: true, force: true });
});

async function start(folder: string, killAt: number): Promise<RunningGateway> {
  const gateway = await RunningGateway.start(folder, killAt);
  gateways.push(gateway);
  return gateway;
}

/** A gateway in this process on the same files; one that is not killed need not be another process. */
async function opened(folder: string): Promise<TestGateway> {
  const config = testConfig({ stateDir: folder });
  const audit = await openAuditLog({ file: join(folder, "audit", "audit.jsonl"), clock: systemClock });
  const journal = await openJournal({ config: config.journal, clock: systemClock, random: systemRandom, logger: silentLogger });
  return openTestGateway({
    config,
    journal,
    world: { audit, tokens: [{ name: "test", scopes: ["write", "read", "operate"], secret: TOKEN }] },
  });
}

/** Asks, as the applier, for a write to be rejected; resolves with the verdict's sequence. */
async function rejected(gateway: TestGateway, { sequence, partition }: Receipt): Promise<string> {
  const applier = gateway.applier("orders");
  const request = applier.verdict(partition, sequence, "rejected", { sqlstate: "23505" });
  const answer = (): ToApplier | undefined =>
    applier.sent.find((message) => message.type === "verdict-recorded" && message.request === request);
  await expect.poll(answer).toBeDefined();
  return (answer() as Extract<ToApplier, { type: "verdict-recorded" }>).sequence;
}

/** A folder in the state that `prepare` leaves; each kill begins with a copy of it. */
async function prepared(prepare: (gateway: TestGateway) => Promise<void>): Promise<string> {
  const folder = join(place, "prepared");
  const gateway = await opened(folder);
  await prepare(gateway);
  await gateway.gateway.close();
  return folder;
}

/** Copies `from` once for each of `count` steps, and gives the folder and the number of the step. */
async function* copies(from: string, count: number): AsyncGenerator<{ folder: string; killAt: number }> {
  for (let killAt = 1; killAt <= count; killAt++) {
    const folder = join(place, `step-${killAt}`);
    await cp(from, folder, { recursive: true });
    yield { folder, killAt };
  }
}

/** The journal in short: `w1` a write, `w3>1` a replay of 1, `rejected 1`. */
async function story(folder: string): Promise<string[]> {
  return (await journalRecords(folder)).map((record) => {
    if (record.kind === "verdict") {
      const { verdict, sequence, replayedAs } = readVerdictPayload(record);
      return `${verdict} ${sequence}${replayedAs === undefined ? "" : ` as ${replayedAs}`}`;
    }
    const { replayOf } = readWritePayload(record.payload);
    return `w${record.sequence}${replayOf === undefined ? "" : `>${replayOf}`}`;
  });
}

interface Receipt {
  readonly id: string;
  readonly sequence: string;
  readonly partition: number;
}

const WRITE = order({ idempotencyKey: "once" });

describe("a gateway that is killed right before and right after each step", () => {
  test(
    "of accepting a write knows it again: the repeat gets its receipt, and there is one record",
    async () => {
      const empty = await prepared(async () => undefined);
      const steps = ["before journal: write", "after journal: write", "after answer"];
      for await (const { folder, killAt } of copies(empty, steps.length)) {
        const first = await start(folder, killAt);
        const receipt = await first.write(WRITE);
        await first.gone;
        expect(first.steps).toEqual(steps.slice(0, first.steps.length));
        expect(receipt !== undefined, steps[killAt - 1]).toBe(killAt === steps.length);
        expect(await story(folder)).toEqual(killAt === 1 ? [] : ["w1"]);
        const second = await opened(folder);
        const repeated = await second.post(WRITE);
        expect(repeated.text).toBe(receipt ?? repeated.text);
        expect(repeated.json).toMatchObject({ sequence: "1", status: "journalled" });
        expect((await second.post(WRITE)).text).toBe(repeated.text);
        await second.gateway.close();
        expect(await story(folder)).toEqual(["w1"]);
      }
    },
    LIMIT_MS,
  );

  test(
    "of recording a verdict has it once, and before the applier and anybody else is told (R13)",
    async () => {
      let write: Receipt | undefined;
      const from = await prepared(async (gateway) => void (write = JSON.parse((await gateway.post(WRITE)).text) as Receipt));
      if (write === undefined) throw new Error("no write");
      const steps = ["before journal: verdict", "after journal: verdict", "before verdict-recorded", "after verdict-recorded"];
      for await (const { folder, killAt } of copies(from, steps.length)) {
        const first = await start(folder, killAt);
        const recorded = await first.reject(write);
        await first.gone;
        expect(recorded, steps[killAt - 1]).toBe(killAt === steps.length ? "2" : undefined);
        expect(await story(folder)).toEqual(killAt === 1 ? ["w1"] : ["w1", "rejected 1"]);
        const second = await opened(folder);
        // Whoever was told, or could have been, finds it; the successor of the applier asks again and hears the same.
        const shown = await second.request("GET", `/v1/writes/${write.id}`);
        expect(shown.json["status"]).toBe(killAt === 1 ? "journalled" : "rejected");
        expect(await rejected(second, write)).toBe("2");
        expect((await second.request("GET", `/v1/writes/${write.id}`)).json["status"]).toBe("rejected");
        await second.gateway.close();
        expect(await story(folder)).toEqual(["w1", "rejected 1"]);
      }
    },
    LIMIT_MS,
  );

  test.each([
    {
      what: "replay",
      steps: [
        "before audit: replay-write",
        "after audit: replay-write",
        "before journal: write",
        "after journal: write",
        "before journal: verdict",
        "after journal: verdict",
        "after answer",
      ],
      done: ["w1", "rejected 1", "w3>1", "replayed 1 as 3"],
    },
    {
      what: "discard",
      steps: [
        "before audit: discard-write",
        "after audit: discard-write",
        "before journal: verdict",
        "after journal: verdict",
        "after answer",
      ],
      done: ["w1", "rejected 1", "discarded 1"],
    },
  ])(
    "of a $what has it in the audit log before it is done, does it once, and keeps it once it is answered",
    async ({ what, steps, done }) => {
      let write: Receipt | undefined;
      const from = await prepared(async (gateway) => {
        write = JSON.parse((await gateway.post(WRITE)).text) as Receipt;
        expect(await rejected(gateway, write)).toBe("2");
      });
      const path = (): string => `/v1/dead-letters/${write?.id}/${what}`;
      const body = { reason: "customer made" };
      const audited = async (folder: string): Promise<number> => {
        const log = await verifyAuditLog(join(folder, "audit", "audit.jsonl"), { mayBeAbsent: true });
        expect(log.whole).toBe(true);
        return log.entries.filter(({ action, subject }) => action === `${what}-write` && subject === write?.id).length;
      };
      for await (const { folder, killAt } of copies(from, steps.length)) {
        const first = await start(folder, killAt);
        const answer = await first.request("POST", path(), body);
        await first.gone;
        expect(answer !== undefined, steps[killAt - 1]).toBe(killAt === steps.length);
        const begun = (await story(folder)).length > 2;
        expect(await audited(folder)).toBe(killAt === 1 ? 0 : 1);
        expect(begun).toBe(killAt > steps.indexOf(`after audit: ${what}-write`) + 2);
        const second = await opened(folder);
        // What was begun is finished at the start; what was not can be done now.
        const repeated = await second.request("POST", path(), { body });
        expect(repeated.status).toBe(begun ? 409 : what === "replay" ? 202 : 200);
        await second.gateway.close();
        expect(await story(folder)).toEqual(done);
        expect(await audited(folder)).toBeGreaterThanOrEqual(1);
      }
    },
    LIMIT_MS,
  );
});
