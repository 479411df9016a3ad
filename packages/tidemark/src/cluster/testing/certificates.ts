// Certificates for tests, made by openssl: Node cannot make one.
import { execFileSync, spawnSync } from "node:child_process";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";

export const HAS_OPENSSL = spawnSync("openssl", ["version"], { stdio: "ignore" }).status === 0;

export interface CertificateFiles {
  readonly certFile: string;
  readonly keyFile: string;
}

/** A certificate for a name, signed by its own key, as `<file>.crt` and `<file>.key` in the folder. */
export function ownCertificate(folder: string, file: string, name = "localhost"): CertificateFiles {
  openssl(folder, ["req", "-new", "-x509", ...subjectOf(name), ...filesOf(file)]);
  return { certFile: join(folder, `${file}.crt`), keyFile: join(folder, `${file}.key`) };
}

/** A certificate for a name, signed by the authority of the folder, which is made when it is not there. The authority's is not in the file. */
export async function signedCertificate(folder: string, file: string, name = "localhost"): Promise<CertificateFiles> {
  const authority = await readFile(join(folder, "authority.crt")).catch(() => undefined);
  if (authority === undefined) openssl(folder, ["req", "-new", "-x509", "-subj", "/CN=authority", ...filesOf("authority")]);
  openssl(folder, ["req", "-new", "-x509", ...subjectOf(name), ...filesOf(file), "-CA", "authority.crt", "-CAkey", "authority.key"]);
  return { certFile: join(folder, `${file}.crt`), keyFile: join(folder, `${file}.key`) };
}

/** The same with the authority's certificate behind its own, as servers that are to send the whole chain are given it. */
export async function chainedCertificate(folder: string, file: string, name = "localhost"): Promise<CertificateFiles> {
  const { certFile, keyFile } = await signedCertificate(folder, file, name);
  await writeFile(certFile, `${await readFile(certFile, "utf8")}${await readFile(join(folder, "authority.crt"), "utf8")}`);
  return { certFile, keyFile };
}

function subjectOf(name: string): string[] {
  return ["-subj", `/CN=${name}`, "-addext", `subjectAltName=DNS:${name}`];
}

function filesOf(file: string): string[] {
  return ["-days", "1", "-nodes", "-keyout", `${file}.key`, "-out", `${file}.crt`];
}

function openssl(cwd: string, args: readonly string[]): void {
  execFileSync("openssl", args, { stdio: "ignore", cwd });
}
