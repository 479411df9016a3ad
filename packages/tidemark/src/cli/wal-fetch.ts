// `tidemark wal fetch`: restore_command. Asks every vault of the store; where one does not answer or cannot give the file, the object
// stores themselves. "Not there" needs everybody's word: PostgreSQL ends its recovery there and opens the database (trap 33).
import { open, rename, rm } from "node:fs/promises";
import { dirname } from "node:path";
import type { Clock } from "@tidemark/kernel/clock";
import { sleep } from "@tidemark/kernel/clock";
import { hasCode, TidemarkError } from "@tidemark/kernel/errors";
import type { Lsn } from "@tidemark/kernel/lsn";

/** A file as somebody has it. */
export interface FoundFile {
  readonly bytes: Uint8Array;
  readonly source: string;
  /** False: the WAL in it ends early for now, and who has more may have more of it. */
  readonly complete: boolean;
  /** Of a segment: where its WAL ends. */
  readonly end?: Lsn;
}

/** Somebody who may have the file: a vault, or an object store. */
export interface WalGiver {
  /** For messages: `vault vault1`, `store main of vault1`. */
  readonly name: string;
  give(name: string): Promise<FoundFile>;
}

export interface FetchOrder {
  /** %f. */
  readonly name: string;
  /** %p. */
  readonly destination: string;
  readonly vaults: readonly WalGiver[];
  /** Opened only when they are needed. */
  readonly stores: () => Promise<readonly WalGiver[]>;
  /** Vaults that do not answer are lost for good: the end of the object stores is the end. */
  readonly withoutVault: boolean;
  /** How long what may pass is tried again, milliseconds. */
  readonly patienceMs: number;
  readonly clock: Clock;
}

const FIRST_PAUSE_MS = 250;
const LONGEST_PAUSE_MS = 2_000;

/** Writes the file to its destination and answers who gave it. Rejects with TM-VAULT-END-OF-WAL only at the sure end. */
export async function fetchWal(order: FetchOrder): Promise<string> {
  const { clock, patienceMs } = order;
  const until = clock.monotonicMs() + patienceMs;
  for (let pauseMs = FIRST_PAUSE_MS; ; pauseMs = Math.min(pauseMs * 2, LONGEST_PAUSE_MS)) {
    try {
      const { bytes, source } = await findFile(order);
      await writeFile(order.destination, bytes);
      return source;
    } catch (error) {
      const mayPass = error instanceof TidemarkError && error.retry !== "never" && error.code !== "TM-VAULT-END-OF-WAL";
      if (!mayPass || clock.monotonicMs() + pauseMs > until) throw error;
    }
    await sleep(clock, pauseMs);
  }
}

interface Answer {
  readonly giver: string;
  readonly file?: FoundFile;
  readonly refusal?: TidemarkError;
}

/**
 * A complete file of anybody is the file. Of files that end early the longest counts, and that there is none counts, once everybody was
 * heard who may have more: zeros in the last segment end a recovery like a missing one.
 */
async function findFile(order: FetchOrder): Promise<FoundFile> {
  const vaults = await ask(order.vaults, order.name);
  // A vault looks into its object stores itself.
  const needStores = completeOf(vaults) === undefined && (vaults.length === 0 || vaults.some(isTrouble));
  const stores = needStores ? await ask(await order.stores(), order.name) : [];
  const answers = [...vaults, ...stores];
  const found = completeOf(answers);
  if (found !== undefined) return found;
  const trouble = gravest(answers.filter((answer) => isTrouble(answer) && !(order.withoutVault && isAway(answer))));
  if (trouble !== undefined) throw explained(order, trouble, stores);
  const longest = answers.reduce<FoundFile | undefined>(
    (most, { file }) => (file !== undefined && isLonger(file, most) ? file : most),
    undefined,
  );
  if (longest !== undefined) return longest;
  const end = answers.find(({ refusal }) => hasCode(refusal, "TM-VAULT-END-OF-WAL"))?.refusal;
  throw (
    end ?? new TidemarkError("TM-VAULT-UNSURE", `nobody is left to ask for ${order.name}: no vault answers, and there are no object stores`)
  );
}

function completeOf(answers: readonly Answer[]): FoundFile | undefined {
  return answers.find(({ file }) => file?.complete === true)?.file;
}

function isTrouble({ refusal }: Answer): boolean {
  return refusal !== undefined && refusal.code !== "TM-VAULT-END-OF-WAL";
}

function isAway({ refusal }: Answer): boolean {
  return hasCode(refusal, "TM-VAULT-AWAY");
}

function isLonger(file: FoundFile, than: FoundFile | undefined): boolean {
  return than === undefined || (file.end ?? 0n) > (than.end ?? 0n);
}

/** What will not pass comes first: a hole that one knows of is not undone because another one is away. */
function gravest(answers: readonly Answer[]): Answer | undefined {
  return answers.find(({ refusal }) => refusal?.retry === "never") ?? answers[0];
}

function explained({ name }: FetchOrder, trouble: Answer, stores: readonly Answer[]): TidemarkError {
  const error = trouble.refusal as TidemarkError;
  if (error.code !== "TM-VAULT-AWAY" || stores.length === 0) return error;
  const what = stores.some(({ file }) => file !== undefined) ? "ends early" : "is not";
  return new TidemarkError(
    "TM-VAULT-UNSURE",
    `${name} ${what} in the object stores, and ${trouble.giver}, which may have more, does not answer`,
    {
      cause: error,
    },
  );
}

/** What each says, up to the first who has the complete file. */
async function ask(givers: readonly WalGiver[], name: string): Promise<Answer[]> {
  const answers: Answer[] = [];
  for (const giver of givers) {
    try {
      const file = await giver.give(name);
      answers.push({ giver: giver.name, file });
      if (file.complete) break;
    } catch (error) {
      if (!(error instanceof TidemarkError)) throw error;
      answers.push({ giver: giver.name, refusal: error });
    }
  }
  return answers;
}

/** Under another name first, so that PostgreSQL never sees half a file; durable before it has its name. */
async function writeFile(destination: string, bytes: Uint8Array): Promise<void> {
  const temporary = `${destination}.tidemark-${process.pid}`;
  try {
    const file = await open(temporary, "w", 0o600);
    try {
      await file.writeFile(bytes);
      await file.sync();
      const { size } = await file.stat();
      if (size !== bytes.length) throw new Error(`${size} bytes were written instead of ${bytes.length}`);
    } finally {
      await file.close();
    }
    await rename(temporary, destination);
    const folder = await open(dirname(destination), "r");
    try {
      await folder.sync();
    } finally {
      await folder.close();
    }
  } catch (cause) {
    await rm(temporary, { force: true });
    throw new TidemarkError("TM-VAULT-DESTINATION", `could not write ${destination}`, { cause });
  }
}
