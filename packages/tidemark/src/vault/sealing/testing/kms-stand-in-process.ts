// Speaks as much of AWS KMS as sealing asks for: JSON 1.1 over HTTP, GenerateDataKey and Decrypt, requests with a valid
// version 4 signature only. A key is made from its name; names say what is wrong with some. Says `listening <port>`.
// Written from the API's documentation; no real KMS has been compared with it.
import { createCipheriv, createDecipheriv, createHash, createHmac, randomBytes } from "node:crypto";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

const SECRET = "stand-in-secret";
const faults: Readonly<Record<string, readonly [number, string]>> = {
  "key-absent": [400, "NotFoundException"],
  "key-disabled": [400, "DisabledException"],
  "key-denied": [400, "AccessDeniedException"],
  "key-throttled": [400, "ThrottlingException"],
  "key-broken": [500, "KMSInternalException"],
};
/** Keys whose next answer is a fault, then all is well. */
const stumbles = new Set(["key-stumbles"]);

const sha256 = (data: string | Uint8Array): string => createHash("sha256").update(data).digest("hex");
const hmac = (key: string | Buffer, data: string): Buffer => createHmac("sha256", key).update(data).digest();

function signatureIsValid(request: IncomingMessage, body: Buffer): boolean {
  const match =
    /^AWS4-HMAC-SHA256 Credential=[^/]+\/(\d{8})\/([^/]+)\/kms\/aws4_request, SignedHeaders=([^,]+), Signature=([0-9a-f]{64})$/.exec(
      request.headers.authorization ?? "",
    );
  if (match === null) return false;
  const [, day = "", region = "", names = "", signature = ""] = match;
  const headers = names.split(";").map((name) => `${name}:${String(request.headers[name]).trim()}\n`);
  const canonical = `POST\n/\n\n${headers.join("")}\n${names}\n${sha256(body)}`;
  const toSign = `AWS4-HMAC-SHA256\n${String(request.headers["x-amz-date"])}\n${day}/${region}/kms/aws4_request\n${sha256(canonical)}`;
  const key = ["aws4_request"].reduce((made, part) => hmac(made, part), hmac(hmac(hmac(`AWS4${SECRET}`, day), region), "kms"));
  return hmac(key, toSign).toString("hex") === signature;
}

interface Question {
  readonly KeyId: string;
  readonly KeySpec?: string;
  readonly CiphertextBlob?: string;
  readonly EncryptionContext?: Readonly<Record<string, string>>;
}

const secretOf = (key: string): Buffer => createHash("sha256").update(`secret of ${key}`).digest();
const contextOf = (question: Question): Buffer =>
  Buffer.from(JSON.stringify(Object.entries(question.EncryptionContext ?? {}).sort(([left], [right]) => (left < right ? -1 : 1))));

function wrap(question: Question, plain: Buffer): Buffer {
  const nonce = randomBytes(12);
  const cipher = createCipheriv("aes-256-gcm", secretOf(question.KeyId), nonce).setAAD(contextOf(question));
  const name = Buffer.from(question.KeyId);
  return Buffer.concat([Buffer.from([name.length]), name, nonce, cipher.update(plain), cipher.final(), cipher.getAuthTag()]);
}

function unwrap(question: Question): Buffer | string {
  const blob = Buffer.from(question.CiphertextBlob ?? "", "base64");
  const nameEnd = 1 + (blob[0] ?? 0);
  if (blob.length !== nameEnd + 12 + 32 + 16) return "InvalidCiphertextException";
  if (blob.subarray(1, nameEnd).toString() !== question.KeyId) return "IncorrectKeyException";
  const decipher = createDecipheriv("aes-256-gcm", secretOf(question.KeyId), blob.subarray(nameEnd, nameEnd + 12)).setAAD(
    contextOf(question),
  );
  decipher.setAuthTag(blob.subarray(-16));
  try {
    return Buffer.concat([decipher.update(blob.subarray(nameEnd + 12, -16)), decipher.final()]);
  } catch {
    return "InvalidCiphertextException";
  }
}

const server = createServer((request, response) => {
  const chunks: Buffer[] = [];
  request.on("data", (chunk: Buffer) => chunks.push(chunk));
  request.on("end", () => answer(request, Buffer.concat(chunks), response));
});

function answer(request: IncomingMessage, body: Buffer, response: ServerResponse): void {
  const say = (status: number, json: object): void =>
    void response.writeHead(status, { "content-type": "application/x-amz-json-1.1" }).end(JSON.stringify(json));
  const refuse = (status: number, name: string): void => say(status, { __type: name, message: `${name} for ${body.toString("utf8")}` });
  if (request.method !== "POST" || request.headers["content-type"] !== "application/x-amz-json-1.1")
    return refuse(400, "UnknownOperationException");
  if (!signatureIsValid(request, body)) return refuse(400, "InvalidSignatureException");
  const question = JSON.parse(body.toString("utf8")) as Question;
  if (question.KeyId === "key-hangs") return;
  const fault = faults[question.KeyId] ?? (stumbles.delete(question.KeyId) ? ([500, "KMSInternalException"] as const) : undefined);
  if (fault !== undefined) return refuse(fault[0], fault[1]);
  const target = request.headers["x-amz-target"];
  if (target === "TrentService.GenerateDataKey") {
    if (question.KeySpec !== "AES_256") return refuse(400, "ValidationException");
    const plain = randomBytes(question.KeyId === "key-short" ? 16 : 32);
    return say(200, {
      KeyId: question.KeyId,
      Plaintext: plain.toString("base64"),
      CiphertextBlob: wrap(question, plain).toString("base64"),
    });
  }
  if (target !== "TrentService.Decrypt") return refuse(400, "UnknownOperationException");
  const plain = unwrap(question);
  return typeof plain === "string" ? refuse(400, plain) : say(200, { KeyId: question.KeyId, Plaintext: plain.toString("base64") });
}

server.listen(0, "127.0.0.1", () => {
  process.stdout.write(`listening ${(server.address() as AddressInfo).port}\n`);
});
// Its parent is gone when the pipe closes: nothing is left behind then.
process.stdin.resume().once("end", () => process.exit(0));
