import { TidemarkError } from "@tidemark/kernel/errors";

/** The longest key, characters. */
export const MOST_KEY_CHARACTERS = 200;

/** The largest value, bytes of JSON. */
export const MOST_VALUE_BYTES = 262_144;

const KEY = /^[A-Za-z0-9][A-Za-z0-9._/-]*$/;

/** Throws TM-CLUSTER-LEASE-STORE-VALUE. */
export function checkKey(key: string): void {
  if (key.length > MOST_KEY_CHARACTERS || !KEY.test(key))
    throw new TidemarkError("TM-CLUSTER-LEASE-STORE-VALUE", `"${key.slice(0, 60)}" is no key`);
}

/** The value as the text that is stored. Throws TM-CLUSTER-LEASE-STORE-VALUE. */
export function encodeValue(key: string, value: unknown): string {
  checkKey(key);
  const text = JSON.stringify(value) as string | undefined;
  if (text === undefined) throw new TidemarkError("TM-CLUSTER-LEASE-STORE-VALUE", `the value for ${key} is not JSON`);
  const bytes = Buffer.byteLength(text);
  if (bytes > MOST_VALUE_BYTES)
    throw new TidemarkError("TM-CLUSTER-LEASE-STORE-VALUE", `the value for ${key} has ${bytes} bytes`, { details: { bytes } });
  return text;
}

export function conflict(key: string, expected: number, found: number): TidemarkError {
  return new TidemarkError("TM-CLUSTER-CONFLICT", `set ${key} on revision ${expected}: it is at ${found}`, {
    details: { key, expected, found },
  });
}
