// SCRAM-SHA-256 (RFC 5802, RFC 7677), the client's side, without channel binding. The exchange:
//
//   client-first   n,,n=,r=<nonce>                         PostgreSQL takes the user from the startup message
//   server-first   r=<nonce+more>,s=<salt, base64>,i=<iterations>
//   client-final   c=biws,r=<nonce+more>,p=<proof, base64>
//   server-final   v=<signature, base64>                   proves that the server knows the password too
import { createHash, createHmac, pbkdf2, timingSafeEqual } from "node:crypto";
import { promisify } from "node:util";
import { TidemarkError } from "@tidemark/kernel/errors";

export const SCRAM_MECHANISM = "SCRAM-SHA-256";

/** The most iterations a server may ask for: PostgreSQL's default is 4,096; more than this is an attack on our processor time. */
export const MOST_ITERATIONS = 1_000_000;

const GS2_HEADER = "n,,";
const KEY_BYTES = 32;

/** What the exchange is about. PostgreSQL wants an empty user here, because it knows him from the startup message. */
export interface ScramLogin {
  readonly password: string;
  /** Printable, without a comma; new for each exchange. */
  readonly nonce: string;
  readonly user?: string;
}

export function clientFirst(login: ScramLogin): string {
  return GS2_HEADER + clientFirstBare(login);
}

function clientFirstBare(login: ScramLogin): string {
  return `n=${login.user ?? ""},r=${login.nonce}`;
}

export interface ClientFinal {
  readonly message: string;
  /** Checks the server's last message; throws TM-PG-AUTHENTICATION when the server does not know the password. */
  verify(serverFinal: string): void;
}

/** Answers the server's first message. Rejects with TM-PG-AUTHENTICATION when it is malformed or answers another nonce. */
export async function clientFinal(login: ScramLogin, serverFirst: string): Promise<ClientFinal> {
  const { nonce, salt, iterations } = parseServerFirst(serverFirst);
  if (!nonce.startsWith(login.nonce) || nonce.length === login.nonce.length)
    throw refused("the server answered another client's challenge");
  // SASLprep maps what NFKC maps; passwords with characters that it prohibits are sent as they are, as libpq does.
  const salted = await promisify(pbkdf2)(login.password.normalize("NFKC"), salt, iterations, KEY_BYTES, "sha256");
  const clientKey = hmac(salted, "Client Key");
  const withoutProof = `c=${Buffer.from(GS2_HEADER).toString("base64")},r=${nonce}`;
  const signed = `${clientFirstBare(login)},${serverFirst},${withoutProof}`;
  const proof = xor(clientKey, hmac(createHash("sha256").update(clientKey).digest(), signed));
  const expected = hmac(hmac(salted, "Server Key"), signed);
  return {
    message: `${withoutProof},p=${proof.toString("base64")}`,
    verify(serverFinal) {
      const signature = Buffer.from(attribute(serverFinal, 0, "v"), "base64");
      if (signature.length !== expected.length || !timingSafeEqual(signature, expected))
        throw refused("the server does not know the password");
    },
  };
}

function parseServerFirst(message: string): { nonce: string; salt: Buffer; iterations: number } {
  const iterations = attribute(message, 2, "i");
  if (!/^[1-9]\d{0,6}$/.test(iterations) || Number(iterations) > MOST_ITERATIONS)
    throw refused(`the server asked for ${iterations.slice(0, 20)} iterations`);
  return { nonce: attribute(message, 0, "r"), salt: Buffer.from(attribute(message, 1, "s"), "base64"), iterations: Number(iterations) };
}

function attribute(message: string, index: number, name: string): string {
  const part = message.split(",")[index];
  if (part?.startsWith(`${name}=`) !== true || part.length === 2) throw refused("the server's part of the exchange is malformed");
  return part.slice(2);
}

function hmac(key: Buffer, data: string): Buffer {
  return createHmac("sha256", key).update(data).digest();
}

function xor(left: Buffer, right: Buffer): Buffer {
  return Buffer.from(left.map((byte, index) => byte ^ (right[index] ?? 0)));
}

function refused(what: string): TidemarkError {
  return new TidemarkError("TM-PG-AUTHENTICATION", `authenticated at PostgreSQL: ${what}`);
}
