import type { Redacted } from "@tidemark/kernel/redacted";
import type { ObjectStoreWorld } from "../object-stores/object-store-world.ts";

/** What probes are given of the world. */
export interface ProbeWorld extends ObjectStoreWorld {
  /** The secret in a file, without white space around it. Rejects with a TidemarkError that names the file and never what is in it. */
  readonly readSecret: (file: string) => Promise<Redacted<string>>;
}
