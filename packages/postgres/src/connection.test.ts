import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { createServer } from "node:net";
import { describe, expect, it } from "vitest";
import { systemClock } from "@tidemark/kernel/platform/system-clock";
import { Redacted } from "@tidemark/kernel/redacted";
import { ReplicationConnection, serverError } from "./connection.ts";

const PASSWORD = "a-secret";

/** A server that answers the first message with `bytes`; gives the error of the login and all that the client sent. */
async function logInAt(bytes: Buffer): Promise<{ error: unknown; sent: string }> {
  const received: Buffer[] = [];
  const server = createServer((socket) => {
    socket.on("error", () => socket.destroy());
    socket.on("data", (chunk: Buffer) => {
      if (received.push(chunk) === 1) socket.write(bytes);
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const login = { host: "127.0.0.1", port, user: "u", password: new Redacted(PASSWORD), clock: systemClock, connectTimeoutMs: 2_000 };
  const error = await ReplicationConnection.open(login).catch((error: unknown) => error);
  await new Promise((resolve) => server.close(resolve));
  return { error, sent: Buffer.concat(received).toString("latin1") };
}

function authentication(code: number, data = ""): Buffer {
  const body = Buffer.concat([Buffer.from([0, 0, 0, code]), Buffer.from(data)]);
  return Buffer.concat([Buffer.from("R"), Buffer.from([0, 0, 0, 4 + body.length]), body]);
}

describe("a login", () => {
  it("is refused by us when the server asks for the password in clear or as md5, knows no SCRAM, or lets everybody in", async () => {
    for (const bytes of [authentication(3), authentication(5, "salt"), authentication(10, "OTHER\0\0"), authentication(0)]) {
      const { error, sent } = await logInAt(bytes);
      expect(error).toMatchObject({ code: "TM-PG-AUTHENTICATION" });
      expect(sent).not.toContain(PASSWORD);
    }
  });

  it("does not send the password in clear during SCRAM, nor goes on with a challenge that is not for it", async () => {
    const { error, sent } = await logInAt(
      Buffer.concat([authentication(10, "SCRAM-SHA-256\0\0"), authentication(11, "r=other,s=AAAA,i=4096")]),
    );
    expect(error).toMatchObject({ code: "TM-PG-AUTHENTICATION" });
    expect(sent).toContain("SCRAM-SHA-256");
    expect(sent).not.toContain(PASSWORD);
  });

  it("ends with a code when something other than PostgreSQL listens there", async () => {
    expect((await logInAt(Buffer.from("HTTP/1.1 400 Bad Request\r\n\r\n"))).error).toMatchObject({ code: "TM-PG-PROTOCOL" });
    expect((await logInAt(Buffer.from("SSH-2.0-OpenSSH_9.2\r\n"))).error).toMatchObject({
      code: expect.stringMatching(/^TM-PG-(PROTOCOL|CONNECTION)$/),
    });
  });
});

describe("an error of the server", () => {
  it("is told by its SQLSTATE: about the login, about the connection, or about the command", () => {
    const cases = {
      "28P01": "TM-PG-AUTHENTICATION",
      "28000": "TM-PG-AUTHENTICATION",
      "57P03": "TM-PG-CONNECTION",
      "57P01": "TM-PG-CONNECTION",
      "53300": "TM-PG-CONNECTION",
      "42704": "TM-PG-SERVER",
    };
    for (const [sqlstate, code] of Object.entries(cases)) {
      expect(serverError({ S: "FEHLER", V: "ERROR", C: sqlstate, M: "why", H: "what to do" })).toMatchObject({
        code,
        details: { sqlstate, severity: "ERROR", serverHint: "what to do" },
      });
    }
  });
});
