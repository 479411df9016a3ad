// A proxy before a real PostgreSQL that takes down what it answers. Of a question that is asked again, the last answer stays.
import { connect, createServer, type AddressInfo, type Socket } from "node:net";
import type { AnswerTape, TapedAnswer } from "./answer-tape.ts";
import { MessageSplitter, readText, type Message } from "./message-splitter.ts";

type Draft = { -readonly [K in keyof TapedAnswer]: TapedAnswer[K] };

export class TapeRecorder implements AsyncDisposable {
  readonly #proxy = createServer((client) => this.#pass(client));
  readonly #sockets = new Set<Socket>();
  readonly #parameters = new Map<string, string>();
  readonly #answers = new Map<string, Draft>();
  readonly #serverPort: number;

  private constructor(serverPort: number) {
    this.#serverPort = serverPort;
  }

  static async start(serverPort: number): Promise<TapeRecorder> {
    const recorder = new TapeRecorder(serverPort);
    await new Promise<void>((resolve) => recorder.#proxy.listen(0, "127.0.0.1", resolve));
    return recorder;
  }

  get port(): number {
    return (this.#proxy.address() as AddressInfo).port;
  }

  /** What was answered so far. */
  get tape(): AnswerTape {
    return { parameters: [...this.#parameters], answers: [...this.#answers.values()].map((answer) => ({ ...answer })) };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((resolve) => this.#proxy.close(resolve));
  }

  #pass(client: Socket): void {
    const server = connect(this.#serverPort, "127.0.0.1");
    for (const socket of [client, server]) {
      this.#sockets.add(socket);
      socket.on("error", () => socket.destroy());
      socket.on("close", () => {
        client.destroy();
        server.destroy();
        this.#sockets.delete(socket);
      });
    }
    const session = new TapedSession(this.#parameters, this.#answers);
    const [asked, answered] = [new MessageSplitter("client"), new MessageSplitter("server")];
    client.on("data", (chunk: Buffer) => {
      for (const message of asked.push(chunk)) session.onAsked(message);
      server.write(chunk);
    });
    server.on("data", (chunk: Buffer) => {
      for (const message of answered.push(chunk)) session.onAnswered(message);
      client.write(chunk);
    });
  }
}

/** One session; the probes ask one question at a time on it. */
class TapedSession {
  readonly #parameters: Map<string, string>;
  readonly #answers: Map<string, Draft>;
  readonly #statements = new Map<string, string>();
  #sql = "";

  constructor(parameters: Map<string, string>, answers: Map<string, Draft>) {
    this.#parameters = parameters;
    this.#answers = answers;
  }

  onAsked({ type, body }: Message): void {
    if (type === "P") {
      const name = readText(body, 0);
      this.#sql = readText(body, name.next).text;
      this.#statements.set(name.text, this.#sql);
    } else if (type === "B") {
      const portal = readText(body, 0);
      this.#sql = this.#statements.get(readText(body, portal.next).text) ?? "";
    }
  }

  onAnswered({ type, body }: Message): void {
    if (type === "S") {
      const name = readText(body, 0);
      this.#parameters.set(name.text, readText(body, name.next).text);
    } else if (type === "t") this.#draft.parameterDescription = body.toString("base64");
    else if (type === "T") this.#draft.rowDescription = body.toString("base64");
    else if (type === "D") this.#draft.row = readRow(body);
    else if (type === "C") this.#draft.commandTag = readText(body, 0).text;
  }

  get #draft(): Draft {
    const sql = this.#sql;
    let draft = this.#answers.get(sql);
    if (draft === undefined)
      this.#answers.set(sql, (draft = { sql, parameterDescription: "", rowDescription: "", row: [], commandTag: "" }));
    return draft;
  }
}

function readRow(body: Buffer): (string | null)[] {
  const count = body.readInt16BE(0);
  let at = 2;
  return Array.from({ length: count }, () => {
    const length = body.readInt32BE(at);
    at += 4;
    if (length < 0) return null;
    at += length;
    return body.toString("utf8", at - length, at);
  });
}
