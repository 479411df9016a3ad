import { readFile, stat } from "node:fs/promises";
import { userInfo } from "node:os";
import { join } from "node:path";
import { Command } from "commander";
import { formatDuration } from "@tidemark/kernel/duration";
import { TidemarkError, type ErrorCode } from "@tidemark/kernel/errors";
import { systemClock } from "@tidemark/kernel/platform/system-clock";
import { systemRandom } from "@tidemark/kernel/platform/system-random";
import { openAuditLog } from "../audit/audit-log.ts";
import { EXIT } from "../platform/exit-codes.ts";
import type { MeasuredTarget, SignedProof } from "../proofs/proof-body.ts";
import { readPublicKey } from "../proofs/proof-key.ts";
import { openProofKeys, readTrustedKeys, rotateProofKey } from "../proofs/proof-keys.ts";
import { MAX_PROOF_BYTES, readProof, verifyProof, type TrustedKeys, type VerifiedProof } from "../proofs/proof.ts";
import type { CommandContext } from "./command-line.ts";
import { findPlace, stateDirOf, withPlace, type PlaceOptions } from "./place.ts";
import { wrap, type Terminal } from "./terminal.ts";

interface ProofOptions extends PlaceOptions {
  readonly key?: string[];
  readonly json?: boolean;
}

/** How `proof verify` ends where the signature was not even checked; 2 means neither good nor bad. */
const VERIFY_EXIT: Readonly<Partial<Record<ErrorCode, number>>> = {
  "TM-PROOF-UNKNOWN-KEY": 2,
  "TM-PROOF-KEY": 2,
  "TM-PROOF-FORMAT": EXIT.data,
};

/** `tidemark proof verify|show|rotate-key`. */
export function proofCommand(context: CommandContext): Command {
  const command = new Command("proof").description("Verifies and shows proofs, and rotates the key that signs them.");
  const verify = withPlace(new Command("verify"))
    .description(
      "Checks that a proof is what was signed, by a known key. With --key only the keys given are trusted, and those that they gave way to.",
    )
    .argument("<file>", "the proof")
    .option(
      "-k, --key <path...>",
      "a public key (PEM), or a folder of public keys and rotations (default: keys/proof-public in the state folder)",
    )
    .option("--json", "print the verdict as JSON")
    .addHelpText(
      "after",
      "\nExamples:\n  tidemark proof verify proof.json\n  tidemark proof verify proof.json --key tidemark-public.pem\n\nExit codes: 0 the signature holds · 1 it does not · 2 the key is not known\n  65 it is no proof, or cannot be read\nWhether the proof is a good one is another question: `proof show` has the counts.",
    )
    .action(async (file: string, options: ProofOptions) => context.end(await verify_(context.terminal, file, options)));
  const show = new Command("show")
    .description("Shows what a proof says. Does not check its signature.")
    .argument("<file>", "the proof")
    .option("--json", "print its body as JSON")
    .addHelpText("after", "\nExample:\n  tidemark proof show proof.json")
    .action(async (file: string, options: { json?: boolean }) => {
      const proof = readProof(await readProofFile(file));
      if (options.json === true) context.terminal.out(JSON.stringify(proof.body, null, 2));
      else for (const line of describeProof(proof, context.terminal)) context.terminal.out(line);
    });
  const rotate = withPlace(new Command("rotate-key"))
    .description(
      "Replaces the key that signs proofs. Old proofs stay valid; the rotation is signed by the old key and kept in the audit log.",
    )
    .requiredOption("--reason <text>", "why, for the audit log")
    .option("--json", "print the key ids as JSON")
    .addHelpText("after", '\nExample:\n  tidemark proof rotate-key --reason "yearly rotation"')
    .action(async (options: ProofOptions & { reason: string }) => context.end(await rotateKey(context.terminal, options)));
  return command.addCommand(verify).addCommand(show).addCommand(rotate);
}

async function verify_(terminal: Terminal, file: string, options: ProofOptions): Promise<number> {
  const { out, paint, columns } = terminal;
  let verified: VerifiedProof;
  try {
    verified = verifyProof(await readProofFile(file), await trustedKeys(options));
  } catch (error) {
    if (!(error instanceof TidemarkError)) throw error;
    if (options.json === true) out(JSON.stringify({ file, valid: false, code: error.code, message: error.message }));
    else out(`${paint.bad("✗")} ${wrap(error.message, columns - 2, "  ")}\n  ${wrap(`${error.hint} (${error.code})`, columns - 2, "  ")}`);
    return VERIFY_EXIT[error.code] ?? EXIT.failed;
  }
  const { proof, keyId, keyRetiredAt } = verified;
  if (options.json === true)
    out(JSON.stringify({ file, valid: true, keyId, ...(keyRetiredAt === undefined ? {} : { keyRetiredAt }), outcome: proof.body.outcome }));
  else {
    out(
      `${paint.good("✓")} ${wrap(`the signature holds, by key ${keyId}${keyRetiredAt === undefined ? "" : ` (retired ${keyRetiredAt})`}`, columns - 2, "  ")}`,
    );
    for (const line of describeProof(proof, terminal)) out(`  ${line}`);
  }
  return EXIT.ok;
}

async function readProofFile(file: string): Promise<string> {
  try {
    if ((await stat(file)).size > MAX_PROOF_BYTES)
      throw new TidemarkError("TM-PROOF-FORMAT", `read ${file}: it has more than ${MAX_PROOF_BYTES} bytes`);
    return await readFile(file, "utf8");
  } catch (cause) {
    if (cause instanceof TidemarkError) throw cause;
    throw new TidemarkError("TM-PROOF-FORMAT", `could not read the proof ${file}`, { cause });
  }
}

async function trustedKeys(options: ProofOptions): Promise<TrustedKeys> {
  const own = async (): Promise<string> => join(await stateDirOf(await findPlace(options)), "keys", "proof-public");
  if (options.key === undefined) return readTrustedKeys(await own());
  const publicKeys: TrustedKeys["publicKeys"][number][] = [];
  const rotations: TrustedKeys["rotations"][number][] = [];
  for (const path of options.key) {
    if ((await stat(path).catch(() => undefined))?.isDirectory() === true) {
      const keys = await readTrustedKeys(path);
      publicKeys.push(...keys.publicKeys);
      rotations.push(...keys.rotations);
    } else publicKeys.push(readPublicKey(await readKeyFile(path), path));
  }
  // Rotations carry trust only from keys that were given, so those of this machine may help and cannot harm.
  const local = await readTrustedKeys(await own()).catch(() => ({ rotations: [] }));
  return { publicKeys, rotations: [...rotations, ...local.rotations] };
}

async function readKeyFile(path: string): Promise<string> {
  try {
    return await readFile(path, "utf8");
  } catch (cause) {
    throw new TidemarkError("TM-PROOF-KEY", `could not read the key ${path}`, { cause });
  }
}

async function rotateKey({ out, paint, columns }: Terminal, options: ProofOptions & { reason: string }): Promise<number> {
  const stateDir = await stateDirOf(await findPlace(options));
  const keys = { dir: join(stateDir, "keys"), clock: systemClock, random: systemRandom };
  const by = `user:${userInfo().username}`;
  const before = (await openProofKeys(keys)).current.keyId;
  const after = (await rotateProofKey(keys, { by, reason: options.reason })).current.keyId;
  const log = await openAuditLog({ file: join(stateDir, "audit", "audit.jsonl"), clock: systemClock });
  try {
    await log.append({ who: by, action: "rotate-proof-key", subject: after, reason: options.reason, facts: { from: before, to: after } });
  } finally {
    await log.close();
  }
  if (options.json === true) out(JSON.stringify({ from: before, to: after }));
  else {
    out(`${paint.good("✓")} proofs are signed by key ${after} from now on`);
    out(`  ${wrap(`${before} signs nothing more; what it signed stays valid`, columns - 2, "  ")}`);
    out(`  ${wrap(`publish ${join(keys.dir, "proof-public")} where those who verify can trust it`, columns - 2, "  ")}`);
  }
  return EXIT.ok;
}

/** A proof for people. */
export function describeProof({ body, signature }: SignedProof, { paint, columns }: Terminal): string[] {
  const outcome = body.outcome === "proven" ? paint.good : body.outcome === "failed" ? paint.bad : paint.warn;
  const { acknowledged, found, lost, duplicated, resurrected, indeterminate, rejected, refused } = body.counts;
  const reign = (one: NonNullable<typeof body.before>): string =>
    `${one.primary}, epoch ${one.epoch}, timeline ${one.timeline}, fork ${one.forkLsn}`;
  const lines: [string, string][] = [
    ["outcome", outcome(body.outcome)],
    ["claim", body.claim],
    ["deployment", body.deployment],
    ["scenario", `${body.scenario} (${body.fault})`],
    ["when", `${body.began} to ${body.ended}`],
    [
      "writes",
      `${acknowledged} acknowledged, ${found} found, ${lost} lost, ${duplicated} duplicated, ${resurrected} resurrected, ${indeterminate} indeterminate, ${rejected} rejected, ${refused} refused`,
    ],
    ["rpo", measured(body.rpo)],
    ["rto", measured(body.rto)],
    [
      "versions",
      Object.entries(body.versions)
        .map(([name, version]) => `${name} ${version}`)
        .join(", "),
    ],
    ...(body.guarantee === undefined ? [] : [["guarantee", body.guarantee] as [string, string]]),
    ...(body.before === undefined ? [] : [["before", reign(body.before)] as [string, string]]),
    ...(body.after === undefined ? [] : [["after", reign(body.after)] as [string, string]]),
    ["signed by", signature.keyId],
  ];
  return lines.map(([name, value]) => `${paint.dim(name.padEnd(11))} ${wrap(value, columns - 14, " ".repeat(12))}`);
}

function measured({ measuredMs, targetMs }: MeasuredTarget): string {
  return `${measuredMs === null ? "unknown" : formatDuration(measuredMs)} (target ${targetMs === null ? "none" : formatDuration(targetMs)})`;
}
