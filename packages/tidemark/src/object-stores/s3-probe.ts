// What a store can do is asked of it, not assumed from its name: stores that speak S3 differ, and some pass over a header
// that they do not know, which for `If-None-Match` means overwriting.
import { DeleteObjectCommand, GetObjectLockConfigurationCommand, PutObjectCommand } from "@aws-sdk/client-s3";
import { hasCode } from "@tidemark/kernel/errors";
import type { ObjectStoreWorld } from "./object-store-world.ts";
import type { S3Requests } from "./s3-requests.ts";

/** Below it the store's own objects lie; no key begins with a dot, so no listing shows them. */
const OWN_PREFIX = ".tidemark/";

export interface S3Place {
  /** For messages. */
  readonly name: string;
  readonly bucket: string;
  readonly prefix: string;
}

/**
 * Whether `If-None-Match: *` keeps an object from being overwritten: puts an object twice. Rejects with TM-OBJECT-* when it
 * cannot be put at all.
 */
export async function probeConditionalPut(requests: S3Requests, place: S3Place, world: ObjectStoreWorld): Promise<boolean> {
  const Key = `${place.prefix}${OWN_PREFIX}probe-${Buffer.from(world.random.bytes(8)).toString("hex")}`;
  const target = { Bucket: place.bucket, Key };
  const put = (conditional: boolean): Promise<unknown> =>
    requests.run(`put a probe into ${place.name}`, undefined, (abortSignal) =>
      requests.client.send(new PutObjectCommand({ ...target, Body: new Uint8Array(1), ...(conditional ? { IfNoneMatch: "*" } : {}) }), {
        abortSignal,
      }),
    );
  await put(false);
  try {
    await put(true);
    return false;
  } catch (error) {
    if (hasCode(error, "TM-OBJECT-EXISTS")) return true;
    if (hasCode(error, "TM-OBJECT-UNSUPPORTED")) return false;
    throw error;
  } finally {
    await requests.run(`delete a probe in ${place.name}`, undefined, (abortSignal) =>
      requests.client.send(new DeleteObjectCommand(target), { abortSignal }),
    );
  }
}

/** Whether objects of the bucket can be locked. A store that does not answer the question cannot. */
export async function probeLock(requests: S3Requests, place: S3Place): Promise<boolean> {
  try {
    const answer = await requests.run(`ask ${place.name} for locks`, undefined, (abortSignal) =>
      requests.client.send(new GetObjectLockConfigurationCommand({ Bucket: place.bucket }), { abortSignal }),
    );
    return answer.ObjectLockConfiguration?.ObjectLockEnabled === "Enabled";
  } catch (error) {
    // Refused, not implemented, or `ObjectLockConfigurationNotFoundError`: a bucket without.
    if (hasCode(error, "TM-OBJECT-STORE-AWAY") || hasCode(error, "TM-OBJECT-NO-STORE") || hasCode(error, "TM-OBJECT-STORE-SETTINGS"))
      throw error;
    return false;
  }
}
