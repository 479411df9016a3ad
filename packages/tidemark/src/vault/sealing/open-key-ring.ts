import type { Clock } from "@tidemark/kernel/clock";
import type { Random } from "@tidemark/kernel/random";
import type { EncryptionOptions, KeyOptions } from "./key-options.ts";
import type { KeyProvider } from "./key-provider.ts";
import { KeyRing } from "./key-ring.ts";
import { keyFromEnvironment, keyFromFile } from "./local-key.ts";

/** What keys are given of the world. */
export interface KeyWorld {
  readonly clock: Clock;
  /** Cryptographic: it makes data keys and nonces. */
  readonly random: Random;
  readonly environment: Readonly<Record<string, string | undefined>>;
}

/** Reads the keys of the configuration. Asks no KMS yet. Rejects with TM-SEAL-KEY-SOURCE. */
export async function openKeyRing(options: EncryptionOptions, world: KeyWorld): Promise<KeyRing> {
  if (options === "none") return new KeyRing({ active: undefined, former: [], acceptsUnencrypted: true });
  const active = await openKey(options.key, world);
  const former: KeyProvider[] = [];
  for (const key of options.formerKeys) former.push(await openKey(key, world));
  return new KeyRing({ active, former, acceptsUnencrypted: options.acceptUnencrypted ?? false });
}

async function openKey(options: KeyOptions, world: KeyWorld): Promise<KeyProvider> {
  switch (options.kind) {
    case "file":
      return keyFromFile(options.file, world.random);
    case "environment":
      return keyFromEnvironment(options.name, world.environment, world.random);
    case "aws-kms": {
      // The SDK takes a quarter of a second to load; who has no key there does not wait for it.
      const { AwsKmsKey } = await import("./aws-kms-key.ts");
      return new AwsKmsKey(options, world);
    }
  }
}
