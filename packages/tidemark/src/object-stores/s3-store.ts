// S3, and what speaks it, as an object store. Every claim of the port that a store may not keep is probed when it is
// opened; every answer is checked before it counts: lengths, order of listings, what a 404 is about.
import { createHash } from "node:crypto";
import type { Readable } from "node:stream";
import {
  DeleteObjectCommand,
  GetObjectCommand,
  HeadBucketCommand,
  HeadObjectCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  type PutObjectCommandInput,
} from "@aws-sdk/client-s3";
import { hasCode, TidemarkError } from "@tidemark/kernel/errors";
import { checkKeyPrefix, checkObjectKey, isObjectKey } from "./object-key.ts";
import { MULTIPART_ABOVE_BYTES, type S3StoreOptions } from "./object-store-options.ts";
import type { ObjectStoreWorld, StoreAccess } from "./object-store-world.ts";
import {
  MAX_OBJECT_BYTES,
  type GetOptions,
  type ObjectFacts,
  type ObjectStore,
  type ObjectStoreAbilities,
  type PutOptions,
} from "./object-store.ts";
import { readBody } from "./s3-body.ts";
import { probeConditionalPut, probeLock, type S3Place } from "./s3-probe.ts";
import { S3Requests } from "./s3-requests.ts";
import { abortAbandonedUploads, uploadInParts } from "./s3-upload.ts";

/** Objects of one page of a listing; S3 gives no more. */
const PAGE_OBJECTS = 1_000;

/**
 * Opens the store: asks what it can do and aborts abandoned uploads. Rejects with TM-OBJECT-STORE-* when it is away or
 * refuses, with TM-OBJECT-UNSUPPORTED when locks are configured and the bucket has none.
 */
export async function openS3Store(
  options: S3StoreOptions,
  world: ObjectStoreWorld,
  access: StoreAccess = "read-write",
): Promise<ObjectStore> {
  const place = { name: `s3://${options.bucket}/${options.prefix}`, bucket: options.bucket, prefix: options.prefix };
  if (options.prefix !== "" && !(options.prefix.endsWith("/") && isObjectKey(options.prefix.slice(0, -1))))
    throw new TidemarkError(
      "TM-OBJECT-STORE-SETTINGS",
      `could not use ${place.name}: its prefix has to be parts of a key, ending in a slash`,
    );
  const requests = new S3Requests(options, world);
  try {
    if (access === "read")
      return new S3Store({ options, place, requests, world, access, abilities: { conditional: false, lock: false, coldReads: true } });
    const conditional = await probeConditionalPut(requests, place, world);
    const lock = await probeLock(requests, place);
    if (options.lock !== undefined && !lock)
      throw new TidemarkError(
        "TM-OBJECT-UNSUPPORTED",
        `could not use ${place.name}: locks are configured, and the bucket cannot lock objects`,
      );
    await abortAbandonedUploads(requests, place, world);
    return new S3Store({ options, place, requests, world, access, abilities: { conditional, lock, coldReads: true } });
  } catch (error) {
    requests.client.destroy();
    throw error;
  }
}

interface S3Parts {
  readonly options: S3StoreOptions;
  readonly place: S3Place;
  readonly requests: S3Requests;
  readonly world: ObjectStoreWorld;
  readonly access: StoreAccess;
  readonly abilities: ObjectStoreAbilities;
}

class S3Store implements ObjectStore {
  readonly name: string;
  readonly abilities: ObjectStoreAbilities;
  readonly lockForMs: number | undefined;
  readonly #parts: S3Parts;
  readonly #requests: S3Requests;

  constructor(parts: S3Parts) {
    this.name = parts.place.name;
    this.abilities = parts.abilities;
    this.lockForMs = parts.options.lock?.forMs;
    this.#parts = parts;
    this.#requests = parts.requests;
  }

  async put(key: string, body: Uint8Array, options: PutOptions = {}): Promise<void> {
    checkObjectKey(key);
    const attempt = `store ${key} in ${this.name}`;
    this.#checkWritable(attempt);
    if (body.length > MAX_OBJECT_BYTES)
      throw new TidemarkError("TM-OBJECT-TOO-LARGE", `could not ${attempt}: ${body.length} bytes, at most ${MAX_OBJECT_BYTES} are allowed`);
    const large = body.length > (this.#parts.options.multipartAboveBytes ?? MULTIPART_ABOVE_BYTES);
    const ifAbsent = options.ifAbsent === true;
    // Where the condition does not hold against others, or would be found out after the upload of many parts, ask first.
    if (ifAbsent && (large || !this.abilities.conditional) && (await this.head(key, options)) !== undefined)
      throw new TidemarkError("TM-OBJECT-EXISTS", `could not ${attempt}: there is one`);
    const conditional = ifAbsent && this.abilities.conditional;
    const settings = this.#settings(attempt, options);
    const target = this.#target(key);
    if (large) {
      const order = { attempt, bucket: target.Bucket, key: target.Key, body, settings, ifAbsent: conditional, signal: options.signal };
      return uploadInParts(this.#requests, order, this.#parts.world);
    }
    const input: PutObjectCommandInput = { ...settings, ...target, Body: body, ...(conditional ? { IfNoneMatch: "*" } : {}) };
    // S3 wants a checksum in the request for what is locked; this is the one that every store knows.
    if (options.lockedUntilMs !== undefined) input.ContentMD5 = createHash("md5").update(body).digest("base64");
    await this.#requests.run(attempt, options.signal, (abortSignal) =>
      this.#requests.client.send(new PutObjectCommand(input), { abortSignal }),
    );
  }

  async get(key: string, options: GetOptions = {}): Promise<Uint8Array> {
    checkObjectKey(key);
    const attempt = `read ${key} from ${this.name}`;
    const { range } = options;
    const maxBytes = Math.min(
      options.maxBytes ?? MAX_OBJECT_BYTES,
      range === undefined ? Number.MAX_SAFE_INTEGER : range.end - range.start,
    );
    // A range of no bytes cannot be asked for; whether there is an object can.
    if (range !== undefined && range.end <= range.start) {
      if ((await this.head(key, options)) === undefined)
        throw new TidemarkError("TM-OBJECT-MISSING", `could not ${attempt}: there is none`);
      return new Uint8Array(0);
    }
    try {
      return await this.#requests.run(attempt, options.signal, async (abortSignal, moving) => {
        const input = { ...this.#target(key), ...(range === undefined ? {} : { Range: `bytes=${range.start}-${range.end - 1}` }) };
        const answer = await this.#requests.client.send(new GetObjectCommand(input), { abortSignal });
        // A store that passes over the range would give other bytes than were asked for.
        if (range !== undefined && answer.ContentRange?.startsWith(`bytes ${range.start}-`) !== true)
          throw new TidemarkError("TM-OBJECT-STORE-FAULT", `could not ${attempt}: asked for a range, it gave another or none`);
        return readBody(answer.Body as Readable, { attempt, announced: answer.ContentLength, maxBytes, signal: abortSignal, moving });
      });
    } catch (error) {
      if (range !== undefined && error instanceof TidemarkError && error.details["status"] === 416) return new Uint8Array(0);
      throw error;
    }
  }

  async head(key: string, options: { readonly signal?: AbortSignal } = {}): Promise<ObjectFacts | undefined> {
    checkObjectKey(key);
    const found = await this.#lookFor(key, options.signal);
    return found === undefined ? undefined : { key, bytes: found.bytes, modifiedAtMs: found.modifiedAtMs };
  }

  async *list(prefix: string, options: { readonly after?: string; readonly signal?: AbortSignal } = {}): AsyncIterable<ObjectFacts> {
    checkKeyPrefix(prefix);
    const attempt = `list ${prefix === "" ? "everything" : prefix} in ${this.name}`;
    const base = this.#parts.place.prefix;
    let last = options.after === undefined ? "" : base + options.after;
    for (;;) {
      const page = await this.#requests.run(attempt, options.signal, (abortSignal) =>
        this.#requests.client.send(
          new ListObjectsV2Command({
            Bucket: this.#parts.place.bucket,
            Prefix: base + prefix,
            MaxKeys: PAGE_OBJECTS,
            // Not the store's token: pages that overlap or leave something out are seen by their keys.
            ...(last === "" ? {} : { StartAfter: last }),
          }),
          { abortSignal },
        ),
      );
      const objects = page.Contents ?? [];
      for (const { Key, Size, LastModified } of objects) {
        if (Key === undefined || Size === undefined || !Key.startsWith(base + prefix) || Key <= last)
          throw new TidemarkError("TM-OBJECT-STORE-FAULT", `could not ${attempt}: the listing is not in the order of its keys`);
        last = Key;
        const key = Key.slice(base.length);
        if (isObjectKey(key)) yield { key, bytes: Size, modifiedAtMs: LastModified?.getTime() ?? 0 };
      }
      if (page.IsTruncated !== true) return;
      if (objects.length === 0)
        throw new TidemarkError("TM-OBJECT-STORE-FAULT", `could not ${attempt}: an empty page that is not the last`);
    }
  }

  async delete(key: string, options: { readonly signal?: AbortSignal } = {}): Promise<void> {
    checkObjectKey(key);
    const attempt = `delete ${key} in ${this.name}`;
    this.#checkWritable(attempt);
    if (this.abilities.lock) {
      // A bucket with locks hides a deleted object behind a marker and keeps it: that would look as if it could be deleted.
      const found = await this.#lookFor(key, options.signal);
      if (found?.held === true || (found?.lockedUntilMs ?? 0) > this.#parts.world.clock.wallMs())
        throw new TidemarkError("TM-OBJECT-LOCKED", `could not ${attempt}: it is locked`, {
          details: { lockedUntilMs: found?.lockedUntilMs },
        });
    }
    await this.#requests.run(attempt, options.signal, (abortSignal) =>
      this.#requests.client.send(new DeleteObjectCommand(this.#target(key)), { abortSignal }),
    );
  }

  close(): Promise<void> {
    this.#requests.client.destroy();
    return Promise.resolve();
  }

  async #lookFor(
    key: string,
    signal: AbortSignal | undefined,
  ): Promise<{ bytes: number; modifiedAtMs: number; lockedUntilMs: number | undefined; held: boolean } | undefined> {
    const attempt = `look for ${key} in ${this.name}`;
    try {
      const answer = await this.#requests.run(attempt, signal, (abortSignal) =>
        this.#requests.client.send(new HeadObjectCommand(this.#target(key)), { abortSignal }),
      );
      if (answer.ContentLength === undefined) throw new TidemarkError("TM-OBJECT-STORE-FAULT", `could not ${attempt}: it gave no size`);
      return {
        bytes: answer.ContentLength,
        modifiedAtMs: answer.LastModified?.getTime() ?? 0,
        lockedUntilMs: answer.ObjectLockRetainUntilDate?.getTime(),
        held: answer.ObjectLockLegalHoldStatus === "ON",
      };
    } catch (error) {
      if (!(error instanceof TidemarkError) || error.details["status"] !== 404) throw error;
      await this.#checkBucket(attempt, signal);
      return undefined;
    }
  }

  /** The answer to HEAD has no body, so a 404 does not say whether the object is missing or the bucket. */
  async #checkBucket(attempt: string, signal: AbortSignal | undefined): Promise<void> {
    try {
      await this.#requests.run(attempt, signal, (abortSignal) =>
        this.#requests.client.send(new HeadBucketCommand({ Bucket: this.#parts.place.bucket }), { abortSignal }),
      );
    } catch (error) {
      if (error instanceof TidemarkError && error.details["status"] === 404)
        throw new TidemarkError("TM-OBJECT-NO-STORE", `could not ${attempt}: there is no such bucket`, { cause: error });
      // Who may read objects need not be allowed to look at the bucket.
      if (!hasCode(error, "TM-OBJECT-STORE-DENIED")) throw error;
    }
  }

  #settings(attempt: string, options: PutOptions): Partial<PutObjectCommandInput> {
    const settings: Partial<PutObjectCommandInput> = {};
    if (options.lockedUntilMs !== undefined) {
      if (!this.abilities.lock) throw new TidemarkError("TM-OBJECT-UNSUPPORTED", `could not ${attempt}: it cannot lock objects`);
      settings.ObjectLockMode = this.#parts.options.lock?.mode === "compliance" ? "COMPLIANCE" : "GOVERNANCE";
      settings.ObjectLockRetainUntilDate = new Date(options.lockedUntilMs);
    }
    const encryption = this.#parts.options.serverSideEncryption;
    if (encryption !== undefined) settings.ServerSideEncryption = encryption.kind;
    if (encryption?.kind === "aws:kms") {
      if (encryption.keyId !== undefined) settings.SSEKMSKeyId = encryption.keyId;
      if (encryption.bucketKey !== undefined) settings.BucketKeyEnabled = encryption.bucketKey;
    }
    return settings;
  }

  #target(key: string): { readonly Bucket: string; readonly Key: string } {
    return { Bucket: this.#parts.place.bucket, Key: this.#parts.place.prefix + key };
  }

  #checkWritable(attempt: string): void {
    if (this.#parts.access === "read")
      throw new TidemarkError("TM-OBJECT-STORE-DENIED", `could not ${attempt}: it was opened for reading only`);
  }
}
