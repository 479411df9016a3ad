import { once } from "node:events";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { createServer, type AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { seededRandom } from "@tidemark/kernel/random";
import { systemClock } from "@tidemark/kernel/platform/system-clock";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { openAuditLog } from "../audit/audit-log.ts";
import type { ProofBody } from "../proofs/proof-body.ts";
import { openProofKeys } from "../proofs/proof-keys.ts";
import { formatProof, signProof } from "../proofs/proof.ts";
import { buildProgram, runCommandLine } from "./command-line.ts";
import { makePaint, type Terminal } from "./terminal.ts";

const PAGE = new URL("../../../../docs/cli.md", import.meta.url);

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "tidemark-cli-"));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

async function run(args: readonly string[], columns = 80, interactive = false): Promise<{ code: number; out: string; err: string }> {
  const [out, err]: [string[], string[]] = [[], []];
  const terminal: Terminal = {
    out: (text) => void out.push(text),
    err: (text) => void err.push(text),
    paint: makePaint(false),
    columns,
    interactive,
  };
  const code = await runCommandLine(args, terminal);
  return { code, out: out.join("\n"), err: err.join("\n") };
}

describe("an error", () => {
  it("tells whoever starts a role by hand what is wrong in the file, and where, without a stack", async () => {
    const file = join(folder, "tidemark.yaml");
    await writeFile(file, "version: 1\nname: shop\nservices:\n  shop: { tier: hihg, stores: [shop] }\nstores: {}\n");
    const { code, out, err } = await run(["control", "--config", file], 80, true);
    expect(code).toBe(78);
    expect(out).toBe("");
    expect(err).toContain("tidemark.yaml:4:17");
    expect(err).toContain('did you mean "high"?');
    expect(err).not.toMatch(/^ +at /m);
  });

  it("names what can be run where something else was named, in the log as well", async () => {
    const file = join(folder, "tidemark.yaml");
    await writeFile(file, await readFile(new URL("../../examples/asynchronous.yaml", import.meta.url), "utf8"));
    await writeFile(join(folder, "orders.sql"), "SELECT 1;\n");
    for (const [args, hint] of [
      [["agent", "--node", "pg3"], "pg1"],
      [["vault", "--vault", "vault1"], "It has no vaults."],
    ] as const) {
      const { code, out, err } = await run([...args, "--config", file], 80, true);
      expect([code, out]).toEqual([64, ""]);
      expect(err).toContain("TM-PLATFORM-ROLE-UNKNOWN");
      expect(err).toContain(hint);
      expect(err).not.toMatch(/^ +at /m);
    }
  });

  it("is said once: a cause that it names already is not repeated below", async () => {
    const file = join(folder, "tidemark.yaml");
    const example = await readFile(new URL("../../examples/orders.yaml", import.meta.url), "utf8");
    await writeFile(
      file,
      example.replace("listen: 127.0.0.1:7401", `listen: 127.0.0.1:${await closedPort()}`).replace(/^ +setup: .*\n/m, ""),
    );
    const { err } = await run(["exposure", "--config", file]);
    expect(err).toContain("TM-PLATFORM-CONTROL-AWAY");
    expect(err.replaceAll(/\s+/g, " ").match(/ECONNREFUSED/g)).toHaveLength(1);
    expect(err).not.toContain("because:");
  });
});

/** A port that nobody listens on. */
async function closedPort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, "close");
  return port;
}

/** Every command that does something, as `audit verify`. */
async function everyCommand(): Promise<string[][]> {
  const terminal: Terminal = { out: () => undefined, err: () => undefined, paint: makePaint(false), columns: 80, interactive: false };
  const context = { terminal, end: () => undefined };
  const names = (await buildProgram([], context)).commands.map((command) => command.name());
  const found: string[][] = [];
  for (const name of names) {
    const command = (await buildProgram([name], context)).commands.find((one) => one.name() === name);
    found.push(
      ...(command === undefined || command.commands.length === 0 ? [[name]] : command.commands.map((child) => [name, child.name()])),
    );
  }
  return found;
}

describe("the command line", () => {
  it("shows help that fits a terminal of 80 columns, with an example and the exit codes, for every command", async () => {
    for (const words of await everyCommand()) {
      const { code, out } = await run([...words, "--help"]);
      expect(code).toBe(0);
      expect(out).toMatch(/Examples?:\n {2}tidemark/);
      expect(
        out.split("\n").filter((line) => line.length > 82),
        words.join(" "),
      ).toEqual([]);
    }
  });

  it("has every command and every exit code in docs/cli.md", async () => {
    const page = await readFile(PAGE, "utf8");
    const { EXIT } = await import("../platform/exit-codes.ts");
    for (const words of await everyCommand()) expect(page).toContain(`\`tidemark ${words.join(" ")}\``);
    for (const code of Object.values(EXIT)) expect(page).toContain(`| ${code} |`);
  });

  it("says its version, and what was probably meant by an unknown command", async () => {
    expect(await run(["--version"])).toMatchObject({ code: 0, out: expect.stringMatching(/^\d+\.\d+\.\d+/) as string });
    expect(await run(["stauts"])).toMatchObject({
      code: 64,
      err: 'error: there is no command "stauts"; did you mean "status"?\n(tidemark --help lists the commands)',
    });
    expect(await run(["up", "--detatch"])).toMatchObject({ code: 64, err: expect.stringContaining("Did you mean --detach?") as string });
    expect(await run(["proof", "verfy", "x"])).toMatchObject({ code: 64, err: expect.stringContaining("Did you mean verify?") as string });
  });

  it("explains an error: what was attempted, the code, whether to try again, what to do; no stack trace", async () => {
    const { code, err } = await run(["down", "--state-dir", join(folder, "nothing")], 60);
    expect(code).toBe(69);
    // Where the first lines break depends on the length of the temporary folder's name.
    expect(
      err.replace(
        /^error:[\s\S]*?there\n/,
        (first) =>
          `${first
            .replaceAll(/\s+/g, " ")
            .replace(/in \S+nothing:/, "in FOLDER:")
            .trim()}\n`,
      ),
    ).toMatchInlineSnapshot(`
      "error: stop the stack in FOLDER: nothing runs there
        code:  TM-PLATFORM-NOT-UP
        retry: The same attempt will fail again.
        hint:  Start one with \`tidemark up\`, or name the right
               folder with --state-dir."
    `);
  });

  it("shows the stack trace with TIDEMARK_DEBUG=1 only", async () => {
    process.env["TIDEMARK_DEBUG"] = "1";
    try {
      expect((await run(["down", "--state-dir", folder])).err).toMatch(/\n\s+at /);
    } finally {
      delete process.env["TIDEMARK_DEBUG"];
    }
    expect((await run(["down", "--state-dir", folder])).err).not.toMatch(/\n\s+at /);
  });
});

describe("config validate", () => {
  it("shows problems in a narrow and in a wide terminal, and as JSON", async () => {
    const file = join(folder, "t.yaml");
    await writeFile(
      file,
      "version: 1\nname: shop\nservices: { a: { tier: hihg, stores: [db], objectives: { process-loss: { rpo: 0, rto: 5s } } } }\nstores: {}\n",
    );
    const wide = await run(["config", "validate", file]);
    expect(wide.code).toBe(78);
    expect(wide.out.replaceAll(/\S*\/t\.yaml/g, "t.yaml")).toMatchInlineSnapshot(`
      "t.yaml:3:24
        "hihg" is not allowed here
        expected: one of near-zero, critical, high, medium, low; did you mean "high"?
        TM-CONFIG-VALUE
      t.yaml:4:1
        nothing is given here
        expected: at least one: stores by name
        TM-CONFIG-VALUE"
    `);
    expect(wide.err).toBe("✗ 2 problems");
    const narrow = await run(["config", "validate", file], 50);
    expect(narrow.out.split("\n").filter((line) => line.length > 50 && !line.includes("t.yaml"))).toEqual([]);
    const json = JSON.parse((await run(["config", "validate", "--json", file])).out) as { valid: boolean; problems: unknown[] };
    expect(json).toMatchObject({ valid: false, problems: [{ line: 3, column: 24, path: "/services/a/tier" }, { line: 4 }] });
  });
});

const body: ProofBody = {
  formatVersion: 1,
  id: "0198c0de-0000-7000-8000-000000000001",
  claim: "No acknowledged write was lost when the primary was killed under load.",
  outcome: "proven",
  deployment: "orders-example",
  scenario: "process-loss",
  fault: "kill-primary",
  counts: { acknowledged: 4_500, found: 4_500, lost: 0, duplicated: 0, resurrected: 0, indeterminate: 2, rejected: 3, refused: 1 },
  rpo: { measuredMs: 0, targetMs: 0 },
  rto: { measuredMs: null, targetMs: 5_000 },
  began: "2026-01-01T00:00:00.000Z",
  ended: "2026-01-01T00:01:00.000Z",
  versions: { tidemark: "0.1.0", postgresql: "18.4" },
  configurationHash: "ab".repeat(32),
};

describe("proof", () => {
  it("verify ends with 0 when the signature holds, 1 when not, 2 when the key is not known, 65 when it is no proof", async () => {
    const keys = await openProofKeys({ dir: join(folder, "keys"), clock: systemClock, random: seededRandom(1) });
    const strangers = await openProofKeys({ dir: join(folder, "others"), clock: systemClock, random: seededRandom(2) });
    const file = join(folder, "proof.json");
    const verify = (...more: string[]): ReturnType<typeof run> => run(["proof", "verify", file, "--state-dir", folder, ...more]);
    await writeFile(file, formatProof(signProof(body, keys.current)));
    expect((await verify()).code).toBe(0);
    expect((await verify("--key", join(folder, "keys", "proof-public"))).code).toBe(0);
    expect((await verify("--key", join(folder, "others", "proof-public"))).code).toBe(2);
    expect((await verify("--key", join(folder, "keys", "proof-public", `${keys.current.keyId}.pem`))).code).toBe(0);
    await writeFile(file, formatProof(signProof(body, strangers.current)));
    expect(await verify("--json")).toMatchObject({ code: 2, out: expect.stringContaining("TM-PROOF-UNKNOWN-KEY") as string });
    await writeFile(file, formatProof(signProof(body, keys.current)).replace('"lost": 0', '"lost": 1'));
    expect((await verify()).code).toBe(1);
    await writeFile(file, "{}");
    expect((await verify()).code).toBe(65);
    await rm(file);
    expect((await verify()).code).toBe(65);
  });

  it("show lays out a proof in 80 and in 50 columns; what was not measured is unknown", async () => {
    const { current } = await openProofKeys({ dir: join(folder, "keys"), clock: systemClock, random: seededRandom(1) });
    const file = join(folder, "proof.json");
    await writeFile(file, formatProof(signProof(body, current)));
    expect((await run(["proof", "show", file])).out.replace(current.keyId, "KEY")).toMatchInlineSnapshot(`
      "outcome     proven
      claim       No acknowledged write was lost when the primary was killed under
                  load.
      deployment  orders-example
      scenario    process-loss (kill-primary)
      when        2026-01-01T00:00:00.000Z to 2026-01-01T00:01:00.000Z
      writes      4500 acknowledged, 4500 found, 0 lost, 0 duplicated, 0
                  resurrected, 2 indeterminate, 3 rejected, 1 refused
      rpo         0 ms (target 0 ms)
      rto         unknown (target 5.00 s)
      versions    tidemark 0.1.0, postgresql 18.4
      signed by   KEY"
    `);
    expect((await run(["proof", "show", file], 50)).out.split("\n").filter((line) => line.length > 50)).toEqual([]);
  });

  it("rotate-key replaces the key and stands in the audit log with who and why", async () => {
    const { current } = await openProofKeys({ dir: join(folder, "keys"), clock: systemClock, random: seededRandom(1) });
    expect((await run(["proof", "rotate-key", "--state-dir", folder])).code).toBe(64);
    const { code, out } = await run(["proof", "rotate-key", "--state-dir", folder, "--reason", "yearly", "--json"]);
    expect(code).toBe(0);
    expect(JSON.parse(out)).toMatchObject({ from: current.keyId });
    expect((await run(["audit", "show", "--state-dir", folder])).out).toMatch(
      /user:\S+ rotate-proof-key\s+[0-9a-f]{32}\n {2}yearly\n {2}from=/,
    );
  });
});

describe("audit", () => {
  it("verify ends with 0 for a whole log and 1 for a changed one, and names the line", async () => {
    const file = join(folder, "audit", "audit.jsonl");
    const log = await openAuditLog({ file, clock: systemClock });
    for (const subject of ["1", "2", "3"]) await log.append({ who: "user:ann", action: "discard-write", subject, reason: "wrong" });
    await log.close();
    expect(await run(["audit", "verify", "--state-dir", folder])).toMatchObject({
      code: 0,
      out: expect.stringContaining("3 entries, whole and in order") as string,
    });
    await writeFile(file, (await readFile(file, "utf8")).replace('"subject":"2"', '"subject":"9"'));
    expect(await run(["audit", "verify", "--state-dir", folder])).toMatchObject({
      code: 1,
      out: expect.stringContaining("line 2: the entry's content does not fit its hash") as string,
    });
    expect((await run(["audit", "show", "--state-dir", folder])).code).toBe(1);
  });
});
