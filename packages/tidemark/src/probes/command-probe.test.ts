import { readFile, readdir } from "node:fs/promises";
import { randomUUID } from "node:crypto";
import { describe, expect, it } from "vitest";
import { systemClock } from "@tidemark/kernel/platform/system-clock";
import { CommandProbe } from "./command-probe.ts";
import type { ProbeUnderTest } from "./contract/probe-contract.ts";
import { describeProbeContract } from "./contract/probe-contract.ts";

/** A probe of a line of shell. The mark, an argument that nothing reads, finds its processes again. */
function probing(line: string, says: "age" | "time" | "figure" = "age"): ProbeUnderTest & { probe: CommandProbe } {
  const mark = randomUUID();
  const probe = new CommandProbe({
    name: "snapshot",
    store: "orders",
    command: ["/bin/sh", "-c", line, mark],
    environment: { TOKEN: "s3cret-token" },
    says,
    copy: { name: "far", kind: "snapshot", domain: { account: "backups" } },
    clock: systemClock,
  });
  return { probe, open: () => processesWith(mark), [Symbol.asyncDispose]: () => probe.close() };
}

async function processesWith(mark: string): Promise<number> {
  const pids = (await readdir("/proc")).filter((name) => /^\d+$/.test(name));
  // Processes end while they are looked at.
  const lines = await Promise.all(pids.map((pid) => readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => "")));
  return lines.filter((line) => line.includes(mark)).length;
}

const missing = new CommandProbe({ name: "x", store: "orders", command: ["/no/such/program"], says: "age", clock: systemClock });

describeProbeContract("command", {
  targets: {
    well: () => Promise.resolve(probing("sleep 0.02; echo 90")),
    down: () => Promise.resolve({ probe: missing, [Symbol.asyncDispose]: () => Promise.resolve() }),
    slow: () => Promise.resolve(probing("sleep 60; echo 90")),
    // A command has no login and no version; its own refusal is its exit code.
    denied: "cannot happen",
    version: "cannot happen",
    garbage: () => Promise.resolve(probing('echo "0 $TOKEN"')),
  },
  secrets: ["s3cret-token"],
});

describe("the probe of a command", () => {
  const read = async (line: string, says: "age" | "time" | "figure" = "age") => {
    await using under = probing(line, says);
    return await under.probe.probe(AbortSignal.timeout(5_000));
  };

  it("takes an age for the recovery point of its copy, and never says that nothing is missing", async () => {
    const before = systemClock.wallMs();
    const reading = await read("echo 90");
    const copy = reading.ok ? reading.copies[0] : undefined;
    expect(copy).toMatchObject({
      name: "far",
      kind: "snapshot",
      recoveryPoint: { known: true, method: "reported", value: { complete: false } },
    });
    const point = copy?.recoveryPoint;
    expect(point?.known === true && Math.abs(point.value.commitMs - (before - 90_000))).toBeLessThan(1_000);
    expect(copy?.missingBytes.known).toBe(false);
    expect(reading).toMatchObject({ figures: { command_snapshot: { known: true, value: 90 } } });
  });

  it("takes a time as it is, and a figure for no copy", async () => {
    expect(await read("echo 1700000000", "time")).toMatchObject({
      copies: [{ recoveryPoint: { value: { commitMs: 1_700_000_000_000 } } }],
    });
    expect(await read("echo -3.5", "figure")).toMatchObject({ copies: [], figures: { command_snapshot: { value: -3.5 } } });
  });

  it.each(["", "echo", "echo 1 2", "echo NaN", "echo 0x10", "echo 12s", "echo -5", "echo Infinity"])(
    "says that nothing is known when `%s` writes no age",
    async (line) => {
      expect(await read(line)).toMatchObject({ ok: false, code: "TM-PROBE-GARBAGE" });
    },
  );

  it("says that nothing is known when the command fails, whatever it wrote", async () => {
    expect(await read("echo 0; exit 3")).toMatchObject({ ok: false, code: "TM-PROBE-FAILED", why: "the command ended with code 3" });
    expect(await read("echo 0; kill -9 $$")).toMatchObject({ ok: false, code: "TM-PROBE-FAILED" });
  });
});

it("the page on writing a probe shows this probe and its contract as they are", async () => {
  const page = await readFile(new URL("../../../../docs/writing-a-probe.md", import.meta.url), "utf8");
  const blocks = [...page.matchAll(/```ts\n([\s\S]*?)```/g)].map((match) => match[1]);
  for (const file of ["./probe.ts", "./command-probe.ts"]) {
    const source = await readFile(new URL(file, import.meta.url), "utf8");
    expect(blocks, `docs/writing-a-probe.md lacks ${file} as it is`).toContain(source);
  }
  const test = await readFile(new URL("./command-probe.test.ts", import.meta.url), "utf8");
  const contract = blocks.find((block) => block?.startsWith("describeProbeContract"));
  expect(contract).toBeDefined();
  expect(test).toContain(contract);
});
