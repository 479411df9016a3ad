/** Where objects are stored, as the configuration says it. Plain data: it goes through JSON and between threads. */
export type ObjectStoreOptions = FolderStoreOptions | S3StoreOptions;

export interface FolderStoreOptions {
  readonly kind: "folder";
  /** Absolute path. Made, with one missing level at most, when it is opened for writing; what it lies in must be there. */
  readonly directory: string;
}

export interface S3StoreOptions {
  readonly kind: "s3";
  readonly bucket: string;
  /** What every key begins with, ending in `/`; or empty. */
  readonly prefix: string;
  readonly region: string;
  /** `http://` or `https://` with host and port. Default: AWS. */
  readonly endpoint?: string;
  /** `endpoint/bucket/key` instead of `bucket.endpoint/key`. Default: true with an endpoint. */
  readonly pathStyle?: boolean;
  /** Default: the AWS SDK's own chain (environment, profile, the machine's role). */
  readonly credentials?: AwsCredentialOptions;
  /** What has to stay cannot be deleted before this time has passed. The bucket must have been made with Object Lock. */
  readonly lock?: { readonly mode: "governance" | "compliance"; readonly forMs: number };
  /** `bucketKey`: S3 asks the KMS once per bucket and while, not once per object. */
  readonly serverSideEncryption?:
    | { readonly kind: "AES256" }
    | { readonly kind: "aws:kms"; readonly keyId?: string; readonly bucketKey?: boolean };
  /** Larger objects go up in parts. Default {@link MULTIPART_ABOVE_BYTES}. */
  readonly multipartAboveBytes?: number;
  /** One attempt of one request, until its answer begins. Default {@link REQUEST_TIMEOUT_MS}. */
  readonly requestTimeoutMs?: number;
  /** Attempts of one request, the first included. Default {@link REQUEST_ATTEMPTS}. */
  readonly attempts?: number;
  /** `always` adds the checksums that newer SDKs send by default and that not every store speaks. Default `when-required`. */
  readonly checksums?: "when-required" | "always";
}

/** AWS credentials: a file in the form of `~/.aws/credentials`, or the names of environment variables. */
export type AwsCredentialOptions =
  | { readonly kind: "file"; readonly file: string; /** Default `default`. */ readonly profile?: string }
  | { readonly kind: "environment"; readonly accessKeyId: string; readonly secretAccessKey: string; readonly sessionToken?: string };

/** Objects up to here go in one request, in bytes: two WAL segments of the usual size. */
export const MULTIPART_ABOVE_BYTES = 32 * 1_048_576;

/** One part of a larger object, in bytes. S3 takes 5 MiB to 5 GiB, at most 10,000 of them: more than the largest object has. */
export const PART_BYTES = 16 * 1_048_576;

/** Parts of one object that are under way at a time. */
export const PARTS_AT_ONCE = 3;

/** One attempt of one request until its answer begins, in milliseconds: {@link MULTIPART_ABOVE_BYTES} at 4.5 Mbit/s. */
export const REQUEST_TIMEOUT_MS = 60_000;

/** A connection on which nothing moves is given up after so long, in milliseconds; or after the request's time, if that is shorter. */
export const IDLE_TIMEOUT_MS = 20_000;

/** Connecting, in milliseconds. */
export const CONNECT_TIMEOUT_MS = 5_000;

/** Attempts of one request by the SDK, the first included. The archiver's own backoff comes after them. */
export const REQUEST_ATTEMPTS = 3;
