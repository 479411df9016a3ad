// What a node must not forget, in a file inside its data directory, so that it goes where the data goes: the identity (R6),
// the promise and the vote (R3, R4). A base backup copies the file of another node along; its `node` gives that away.
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { Epoch } from "@tidemark/kernel/brands";
import { TidemarkError } from "@tidemark/kernel/errors";
import type { Random } from "@tidemark/kernel/random";
import { replaceFile } from "@tidemark/postgres/server-settings";
import type { PostgresUser } from "@tidemark/postgres/unprivileged-user";
import type { Vote } from "../failover-state.ts";

export const NODE_FILE = "tidemark-node.json";

export interface NodeFile {
  readonly formatVersion: 1;
  readonly node: string;
  /** application_name and slot name: letters, digits and underscores. */
  readonly identity: string;
  /** Follows no primary of a lower epoch, and of this one only when the record shows it settled. */
  readonly promise?: { readonly epoch: Epoch };
  readonly vote?: Vote;
  /** Held back on an operator's or a game day's wish: receives nothing. */
  readonly heldBack?: true;
  /** The first node, not yet in the record: made again from nothing after a crash. */
  readonly bootstrapping?: true;
}

/** A new identity for data that begins a life of its own on `node`. At most 63 bytes, the longest application_name. */
export function newIdentity(node: string, random: Random): string {
  const name = node
    .toLowerCase()
    .replaceAll(/[^a-z0-9]/g, "")
    .slice(0, 20);
  return `${name === "" ? "node" : name}_${Buffer.from(random.bytes(16)).toString("hex")}`;
}

/** The part of an identity that tells the node. */
export function identityPrefix(identity: string): string {
  return identity.slice(0, identity.lastIndexOf("_") + 1);
}

/** Undefined when there is none, or it belongs to another node: then the data is a copy. Rejects with TM-CLUSTER-LEASE-STORE-VALUE on an unknown version. */
export async function readNodeFile(dataDir: string, node: string): Promise<NodeFile | undefined> {
  const text = await readFile(join(dataDir, NODE_FILE), "utf8").catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return undefined;
    throw error;
  });
  if (text === undefined) return undefined;
  const file = JSON.parse(text) as NodeFile;
  if (file.formatVersion !== 1)
    throw new TidemarkError("TM-CLUSTER-LEASE-STORE-VALUE", `${NODE_FILE} has format version ${String(file.formatVersion)}`);
  return file.node === node ? file : undefined;
}

/** Durable when it resolves. */
export async function writeNodeFile(dataDir: string, file: NodeFile, user: PostgresUser): Promise<void> {
  await replaceFile(join(dataDir, NODE_FILE), `${JSON.stringify(file, undefined, 2)}\n`, user);
}

/** The file once the record stands. */
export function withoutBootstrapping(file: NodeFile): NodeFile {
  const { bootstrapping: _over, ...kept } = file;
  return kept;
}
