// A large object goes up in parts. What was begun and cannot be ended is aborted, because the parts of an upload that
// nobody ends cost money and are in no listing; what a crash leaves is aborted when the store is opened the next time.
import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  ListMultipartUploadsCommand,
  UploadPartCommand,
  type CompletedPart,
  type CreateMultipartUploadCommandInput,
  type PutObjectCommandInput,
} from "@aws-sdk/client-s3";
import { hasCode, TidemarkError } from "@tidemark/kernel/errors";
import { PART_BYTES, PARTS_AT_ONCE } from "./object-store-options.ts";
import type { ObjectStoreWorld } from "./object-store-world.ts";
import type { S3Requests } from "./s3-requests.ts";

/** Uploads that began longer ago than this belong to nobody: no object takes so long. */
const ABANDONED_AFTER_MS = 86_400_000;

export interface UploadOrder {
  readonly attempt: string;
  readonly bucket: string;
  readonly key: string;
  readonly body: Uint8Array;
  /** Lock and server-side encryption, as for an object in one piece. */
  readonly settings: Partial<CreateMultipartUploadCommandInput & PutObjectCommandInput>;
  /** Complete it only when there is no object under the key. */
  readonly ifAbsent: boolean;
  readonly signal: AbortSignal | undefined;
}

/** Uploads an object in parts, {@link PARTS_AT_ONCE} at a time. After a failure nothing is under way any more and the upload is aborted. */
export async function uploadInParts(requests: S3Requests, order: UploadOrder, world: ObjectStoreWorld): Promise<void> {
  const target = { Bucket: order.bucket, Key: order.key };
  const { UploadId } = await requests.run(order.attempt, order.signal, (abortSignal) =>
    requests.client.send(new CreateMultipartUploadCommand({ ...order.settings, ...target }), { abortSignal }),
  );
  if (UploadId === undefined || UploadId === "")
    throw new TidemarkError("TM-OBJECT-STORE-FAULT", `could not ${order.attempt}: it began an upload without an id`);
  try {
    const parts = await uploadParts(requests, { ...order, UploadId });
    await requests.run(order.attempt, order.signal, (abortSignal) =>
      requests.client.send(
        new CompleteMultipartUploadCommand({
          ...target,
          UploadId,
          MultipartUpload: { Parts: parts },
          ...(order.ifAbsent ? { IfNoneMatch: "*" } : {}),
        }),
        { abortSignal },
      ),
    );
  } catch (error) {
    await abortUpload(requests, { ...target, UploadId }, world);
    throw error;
  }
}

async function uploadParts(requests: S3Requests, order: UploadOrder & { readonly UploadId: string }): Promise<CompletedPart[]> {
  const count = Math.ceil(order.body.length / PART_BYTES);
  const parts: CompletedPart[] = Array.from({ length: count });
  const failing = new AbortController();
  const signal = order.signal === undefined ? failing.signal : AbortSignal.any([order.signal, failing.signal]);
  let next = 0;
  const lane = async (): Promise<void> => {
    while (next < count) {
      const index = next++;
      const PartNumber = index + 1;
      const Body = order.body.subarray(index * PART_BYTES, (index + 1) * PART_BYTES);
      const { ETag } = await requests.run(`${order.attempt} (part ${PartNumber} of ${count})`, signal, (abortSignal) =>
        requests.client.send(new UploadPartCommand({ Bucket: order.bucket, Key: order.key, UploadId: order.UploadId, PartNumber, Body }), {
          abortSignal,
        }),
      );
      if (ETag === undefined) throw new TidemarkError("TM-OBJECT-STORE-FAULT", `could not ${order.attempt}: a part without an ETag`);
      parts[index] = { PartNumber, ETag };
    }
  };
  // The first failure ends the other lanes, and all have ended before it is told: the body is the caller's again.
  const ended = await Promise.allSettled(
    Array.from({ length: Math.min(PARTS_AT_ONCE, count) }, () =>
      lane().catch((error: unknown) => {
        failing.abort(error);
        throw error;
      }),
    ),
  );
  if (ended.some(({ status }) => status === "rejected")) throw signal.reason;
  return parts;
}

/** Never rejects: what brought us here is worth more than that this failed too. It is tried again when the store is opened. */
async function abortUpload(
  requests: S3Requests,
  upload: { readonly Bucket: string; readonly Key: string; readonly UploadId: string },
  world: ObjectStoreWorld,
): Promise<void> {
  try {
    await requests.run(`abort the upload of ${upload.Key}`, undefined, (abortSignal) =>
      requests.client.send(new AbortMultipartUploadCommand(upload), { abortSignal }),
    );
  } catch (error) {
    world.logger.warn(
      { err: error, key: upload.Key },
      "could not abort an upload in parts; its parts stay until the store is opened again",
    );
  }
}

/** Aborts uploads below `prefix` that nobody will end, one page of them. Stores that cannot list them keep them, and say so in the log. */
export async function abortAbandonedUploads(
  requests: S3Requests,
  place: { readonly bucket: string; readonly prefix: string },
  world: ObjectStoreWorld,
): Promise<void> {
  try {
    const { Uploads } = await requests.run(`list uploads in s3://${place.bucket}/${place.prefix}`, undefined, (abortSignal) =>
      requests.client.send(new ListMultipartUploadsCommand({ Bucket: place.bucket, Prefix: place.prefix }), { abortSignal }),
    );
    for (const { Key, UploadId, Initiated } of Uploads ?? []) {
      if (Key === undefined || UploadId === undefined || Initiated === undefined || !Key.startsWith(place.prefix)) continue;
      if (world.clock.wallMs() - Initiated.getTime() <= ABANDONED_AFTER_MS) continue;
      world.logger.info({ key: Key }, "aborting an upload in parts that was abandoned");
      await abortUpload(requests, { Bucket: place.bucket, Key, UploadId }, world);
    }
  } catch (error) {
    const expected = hasCode(error, "TM-OBJECT-UNSUPPORTED") || hasCode(error, "TM-OBJECT-STORE-DENIED");
    if (!expected) throw error;
    world.logger.debug({ err: error }, "the store does not list uploads in parts: a rule of the bucket should abort abandoned ones");
  }
}
