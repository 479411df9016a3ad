import { systemRandom } from "@tidemark/kernel/platform/system-random";
import { Redacted } from "@tidemark/kernel/redacted";
import { KEY_BYTES } from "../key-provider.ts";
import { KeyRing } from "../key-ring.ts";
import { LocalKey } from "../local-key.ts";

/** The key whose bytes are all `byte`: the same in every run. */
export function localKey(byte: number): LocalKey {
  return new LocalKey(new Redacted(new Uint8Array(KEY_BYTES).fill(byte)), systemRandom);
}

/** A ring whose active key is the first of {@link localKey}. */
export function localRing(active: number, ...former: readonly number[]): KeyRing {
  return new KeyRing({ active: localKey(active), former: former.map(localKey), acceptsUnencrypted: false });
}

/** A ring for archives without encryption. */
export function plainRing(): KeyRing {
  return new KeyRing({ active: undefined, former: [], acceptsUnencrypted: true });
}
