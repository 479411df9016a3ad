import type { AwsCredentialOptions } from "../../object-stores/object-store-options.ts";

/** Where a key is, never the key itself. Plain data: it goes through JSON and between threads. */
export type KeyOptions =
  /** A file with 32 bytes: as base64 or hexadecimal text, or as they are. Absolute path. */
  | { readonly kind: "file"; readonly file: string }
  /** An environment variable with 32 bytes as base64 or hexadecimal text. */
  | { readonly kind: "environment"; readonly name: string }
  | AwsKmsKeyOptions;

export interface AwsKmsKeyOptions {
  readonly kind: "aws-kms";
  /** A key's id or ARN, not an alias: what an alias means can change, and with it what opens. */
  readonly keyId: string;
  readonly region: string;
  /** `http://` or `https://` with host and port. Default: AWS. */
  readonly endpoint?: string;
  /** Default: the AWS SDK's own chain (environment, profile, the machine's role). */
  readonly credentials?: AwsCredentialOptions;
}

/** New objects are sealed with `key`; objects that were sealed with a former one stay readable. `none` only where the configuration says so. */
export type EncryptionOptions =
  | "none"
  | {
      readonly key: KeyOptions;
      readonly formerKeys: readonly KeyOptions[];
      /** Whether objects without encryption open too: an archive that began without. Default false: somebody may have planted them. */
      readonly acceptUnencrypted?: boolean;
    };
