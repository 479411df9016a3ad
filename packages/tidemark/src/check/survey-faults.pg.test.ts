// What a check does with servers that are away, slow, wrong, old or in disguise. It has an end in every case.
import { execFileSync, spawnSync } from "node:child_process";
import { chownSync } from "node:fs";
import { connect, createServer, type AddressInfo, type Socket } from "node:net";
import { join } from "node:path";
import { systemClock } from "@tidemark/kernel/platform/system-clock";
import { startPrimary, type TestServer } from "@tidemark/postgres/testing/cluster-fixture";
import { startTamperingProxy } from "@tidemark/postgres/testing/tampering-proxy";
import { testMajors } from "@tidemark/postgres/testing/test-majors";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { readTarget } from "./connection-target.ts";
import { surveyServer } from "./survey.ts";
import { change, look, session, urlOf } from "./testing/checked-server.ts";

const SECRET = "pa55 w:rd@/?%#";

/** Only one test needs a certificate, and Node cannot make one. */
const HAS_OPENSSL = spawnSync("openssl", ["version"], { stdio: "ignore" }).status === 0;

let old: TestServer;
beforeAll(async () => {
  old = await startPrimary({ major: 15 });
});
afterAll(() => old?.dispose());

/** Something that listens and does as it is told. */
async function listener(onConnection: (socket: Socket) => void): Promise<AsyncDisposable & { port: number }> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on("error", () => socket.destroy());
    onConnection(socket);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    port: (server.address() as AddressInfo).port,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** Stands between a check and a server; `onBytes` decides what becomes of each piece that comes from the server. */
function relay(
  port: number,
  onBytes: (bytes: Buffer, pass: (bytes: Buffer) => void) => unknown,
): Promise<AsyncDisposable & { port: number }> {
  return listener((client) => {
    const server = connect(port, "127.0.0.1");
    server.on("error", () => client.destroy());
    server.on("data", (bytes: Buffer) => void onBytes(bytes, (passed) => void client.write(passed)));
    client.pipe(server);
    client.on("close", () => server.destroy());
  });
}

const survey = (port: number, parameters = ""): Promise<unknown> =>
  surveyServer(readTarget(`postgres://someone:${encodeURIComponent(SECRET)}@127.0.0.1:${port}/shop${parameters}`, {}), systemClock, 250);

/** A message of the server's side. */
function message(type: string, body: Buffer): Buffer {
  const header = Buffer.alloc(5);
  header.write(type, 0, "latin1");
  header.writeUInt32BE(body.length + 4, 1);
  return Buffer.concat([header, body]);
}
const LOGGED_IN = Buffer.concat([message("R", Buffer.alloc(4)), message("K", Buffer.alloc(8)), message("Z", Buffer.from("I"))]);
const refusal = (severity: string, code: string, text: string): Buffer =>
  Buffer.concat([message("E", Buffer.from(`S${severity}\0V${severity}\0C${code}\0M${text}\0\0`)), message("Z", Buffer.from("I"))]);

describe("a check of something that is no healthy PostgreSQL", () => {
  it("says that nobody listens, without the password", async () => {
    const port = await (async () => {
      await using gone = await listener(() => undefined);
      return gone.port;
    })();
    const error = await survey(port).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ code: "TM-CHECK-AWAY", message: expect.stringContaining("ECONNREFUSED") as string });
    expect(JSON.stringify(error) + String(error)).not.toContain("pa55");
  });

  it("gives up a server that accepts and says nothing, in time", async () => {
    await using silent = await listener(() => undefined);
    const began = performance.now();
    await expect(survey(silent.port)).rejects.toMatchObject({
      code: "TM-CHECK-AWAY",
      message: expect.stringContaining("no answer within") as string,
    });
    expect(performance.now() - began).toBeLessThan(7_000);
  });

  it.each(["", "?sslmode=disable"])("knows what is no PostgreSQL (%s)", async (parameters) => {
    await using web = await listener((socket) => socket.once("data", () => socket.write("HTTP/1.1 400 Bad Request\r\n\r\n")));
    await expect(survey(web.port, parameters)).rejects.toMatchObject({ code: "TM-CHECK-NO-POSTGRESQL" });
    await using greeter = await listener((socket) => socket.write("220 mail.example ready\r\n"));
    await expect(survey(greeter.port, parameters)).rejects.toMatchObject({ code: "TM-CHECK-NO-POSTGRESQL" });
  });

  it("ends when the server hangs up or sends garbage after its first byte", async () => {
    await using closing = await listener((socket) => socket.once("data", () => socket.destroy()));
    await expect(survey(closing.port)).rejects.toMatchObject({ code: expect.stringMatching(/^TM-CHECK-/) as string });
    await using garbled = await listener((socket) =>
      socket.once("data", () => socket.write(Buffer.from("R\0\0\0\u0005xyzR\xff\xff\xff\xff", "latin1"))),
    );
    await expect(survey(garbled.port, "?sslmode=disable")).rejects.toMatchObject({ code: "TM-CHECK-NO-POSTGRESQL" });
  });

  it("tells a wrong password from a server that is away, and never repeats it", async () => {
    const wrong = urlOf({ ...old.connection, password: SECRET });
    const error = (await surveyServer(readTarget(wrong, {}), systemClock, 250).catch((thrown: unknown) => thrown)) as Error;
    expect(error).toMatchObject({ code: "TM-CHECK-LOGIN" });
    expect(`${error.stack}${JSON.stringify(error)}`).not.toContain("pa55");
  });

  it("takes a password out of what a server says", async () => {
    await using rude = await listener((socket) =>
      socket.once("data", () => socket.write(refusal("FATAL", "28P01", `no, ${SECRET} is wrong`))),
    );
    await expect(survey(rude.port, "?sslmode=disable")).rejects.toMatchObject({
      code: "TM-CHECK-LOGIN",
      message: expect.stringContaining("no, [redacted] is wrong") as string,
    });
  });

  it("says that a pooler that filters queries is in the way", async () => {
    await using pooler = await listener((socket) => {
      socket.once("data", () => {
        socket.write(LOGGED_IN);
        socket.on("data", (bytes) => bytes[0] === 0x51 && socket.write(refusal("ERROR", "0A000", "query is not allowed here")));
      });
    });
    await expect(survey(pooler.port, "?sslmode=disable")).rejects.toMatchObject({ code: "TM-CHECK-REFUSED" });
  });

  it("demands TLS where sslmode does, and does without where it may", async () => {
    const url = urlOf(old.connection);
    await expect(surveyServer(readTarget(url.replace("sslmode=disable", "sslmode=require"), {}), systemClock, 250)).rejects.toMatchObject({
      code: expect.stringMatching(/^TM-CHECK-(LOGIN|AWAY)$/) as string,
    });
    expect((await surveyServer(readTarget(url.replace("sslmode=disable", "sslmode=prefer"), {}), systemClock, 250)).server.major).toBe(15);
  });
});

describe("a check of a server that is old or slow", () => {
  it("understands PostgreSQL 15, with nothing unknown", async () => {
    const report = await look(old.connection);
    expect(report.unknown).toEqual([]);
    expect(report.server.version).toMatch(/^15\./);
    expect(report.findings.map(({ name }) => name)).toContain("no-copy");
    expect(report.findings.map(({ name }) => name)).not.toContain("pooler-between");
  });

  it.each(testMajors().filter((major) => major !== 15))("understands PostgreSQL %i, with nothing unknown", async (major) => {
    await using server = await startPrimary({ major, settings: { wal_level: "logical" } });
    const sql = session(server.connection);
    await sql.unsafe("select pg_create_logical_replication_slot('feed', 'pgoutput')");
    await sql.end({ timeout: 1 });
    const report = await look(server.connection);
    expect(report.unknown).toEqual([]);
    expect(report.findings.map(({ name }) => name)).toContain("slot-inactive");
  });

  it("has ended in time when every answer takes long, and knows everything nevertheless", async () => {
    await using slow = await relay(old.connection.port, (bytes, pass) => setTimeout(() => pass(bytes), 700));
    const began = performance.now();
    const report = await look({ ...old.connection, port: slow.port }, { watchMs: 6_000 });
    expect(performance.now() - began).toBeLessThan(9_000);
    expect(report.unknown).toEqual([]);
  });

  it("has ended in time when the server falls silent after its first answer", async () => {
    let answers = 0;
    await using mute = await relay(old.connection.port, (bytes, pass) =>
      (bytes.includes("versionNumber") ? (answers += 1) : 0) || answers === 0 ? pass(bytes) : undefined,
    );
    const began = performance.now();
    const report = await look({ ...old.connection, port: mute.port });
    expect(performance.now() - began).toBeLessThan(6_000);
    expect(report.unknown.map(({ part }) => part)).toEqual(expect.arrayContaining(["settings", "replicas", "replication slots"]));
    expect(report.exposure.map(({ exposure }) => exposure.kind)).not.toContain("known");
  });

  it("says that another process answers than the one that was logged in to", async () => {
    await using pooler = await relay(old.connection.port, (bytes, pass) => {
      // BackendKeyData: K, length 12, process id, key. A pooler gives a process id of its own.
      const at = bytes.indexOf(Buffer.from("K\0\0\0\u000c", "latin1"));
      if (at >= 0) bytes.writeUInt32BE(bytes.readUInt32BE(at + 5) + 1, at + 5);
      pass(bytes);
    });
    const report = await look({ ...old.connection, port: pooler.port });
    expect(report.findings.map(({ name }) => name)).toContain("pooler-between");
    expect(report.unknown).toEqual([]);
  });

  it.runIf(HAS_OPENSSL)("uses TLS as sslmode says, down to the server's name", async () => {
    const { dataDir, user } = old.server.options;
    const [certificate, key] = [join(dataDir, "server.crt"), join(dataDir, "server.key")];
    const subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"];
    execFileSync("openssl", ["req", "-new", "-x509", "-days", "1", "-nodes", ...subject, "-out", certificate, "-keyout", key], {
      stdio: "ignore",
    });
    if (user.switches) for (const file of [certificate, key]) chownSync(file, user.uid, user.gid);
    const sql = session(old.connection);
    try {
      await change(sql, { ssl: "on" });
      const check = (host: string, parameters: string): Promise<{ server: { major: number } }> =>
        surveyServer(readTarget(urlOf({ ...old.connection, host }).replace("sslmode=disable", parameters), {}), systemClock, 100);
      for (const parameters of ["sslmode=prefer", "sslmode=require", `sslmode=verify-full&sslrootcert=${certificate}`])
        expect((await check("localhost", parameters)).server.major, parameters).toBe(15);
      expect((await check("127.0.0.1", `sslmode=verify-ca&sslrootcert=${certificate}`)).server.major).toBe(15);
      for (const parameters of ["sslmode=verify-ca", "sslmode=verify-full"])
        await expect(check("localhost", parameters), parameters).rejects.toMatchObject({ code: "TM-CHECK-LOGIN" });
      await expect(check("127.0.0.1", `sslmode=verify-full&sslrootcert=${certificate}`)).rejects.toMatchObject({ code: "TM-CHECK-LOGIN" });
    } finally {
      await change(sql, { ssl: null });
      await sql.end({ timeout: 1 });
    }
  });

  it("waits for no lock: what is locked is unknown, and the rest is known", async () => {
    const other = session(old.connection);
    try {
      await other
        .unsafe("begin; lock table pg_catalog.pg_prepared_xact, pg_catalog.pg_publication in access exclusive mode")
        .catch(async () => {
          await other.unsafe("rollback; begin; lock table pg_catalog.pg_publication in access exclusive mode");
        });
      const report = await look(old.connection);
      expect(report.unknown.map(({ part }) => part)).toEqual(["the database's tables and sequences"]);
      expect(report.copies).toEqual([]);
    } finally {
      await other.end({ timeout: 0 });
    }
  });

  it("keeps its time when the server stops in the middle, and says what it did not get to know", async () => {
    // Everything up to the first answers passes; then one side is cut.
    await using proxy = await startTamperingProxy({ host: "127.0.0.1", port: old.connection.port }, { afterBytes: 2_500, how: "cut" });
    const report = await look({ ...old.connection, port: proxy.port });
    expect(report.unknown.length).toBeGreaterThan(3);
    expect(report.unknown.at(-1)).toMatchObject({
      part: "positions over time",
      why: expect.stringContaining("connection was lost") as string,
    });
    expect(report.exposure.find(({ scenario }) => scenario === "node-loss")?.exposure.kind).not.toBe("known");
  });
});
