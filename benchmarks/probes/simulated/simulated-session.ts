// A session of a simulated PostgreSQL, as far as a driver that prepares its statements needs it: the startup (no TLS, trusted), the extended
// query protocol, and errors as the server makes them, up to the next Sync.
// https://www.postgresql.org/docs/current/protocol-flow.html
import type { AnswerTape } from "./answer-tape.ts";
import { MessageSplitter, readText, type Message } from "./message-splitter.ts";

/** Where a session's questions are answered. */
export interface SimulatedDatabase {
  /** Values of the one row; undefined: nobody taped an answer. */
  answer(sql: string): readonly (string | null)[] | undefined;
}

export interface SessionWorld {
  readonly tape: AnswerTape;
  /** The database of that name; undefined: there is none, and the login is refused. */
  readonly database: (name: string) => SimulatedDatabase | undefined;
  readonly write: (bytes: Buffer) => void;
  readonly end: () => void;
}

const PROTOCOL_3_0 = 196_608;
const SSL_REQUEST = 80_877_103;
const IDLE = "I";

/** What a statement's description is answered with, made once for each question. */
export interface Described {
  readonly parameters: Buffer;
  readonly row: Buffer;
  readonly tag: Buffer;
}

export function describeTape(tape: AnswerTape): ReadonlyMap<string, Described> {
  return new Map(
    tape.answers.map((answer) => [
      answer.sql,
      {
        parameters: message("t", Buffer.from(answer.parameterDescription, "base64")),
        row: message("T", Buffer.from(answer.rowDescription, "base64")),
        tag: message("C", text(answer.commandTag)),
      },
    ]),
  );
}

export class SimulatedSession {
  readonly #world: SessionWorld;
  readonly #described: ReadonlyMap<string, Described>;
  readonly #messages = new MessageSplitter("client");
  readonly #statements = new Map<string, string>();
  readonly #portals = new Map<string, string>();
  #database: SimulatedDatabase | undefined;
  #out: Buffer[] = [];
  /** After an error everything up to the Sync is left out. */
  #failed = false;

  constructor(world: SessionWorld, described: ReadonlyMap<string, Described>) {
    this.#world = world;
    this.#described = described;
  }

  push(chunk: Buffer): void {
    for (const each of this.#messages.push(chunk)) {
      if (each.type === "") this.#begin(each.body);
      else if (each.type === "X") this.#world.end();
      else if (!this.#failed || each.type === "S") this.#on(each);
    }
  }

  #begin(body: Buffer): void {
    const protocol = body.readInt32BE(0);
    if (protocol === SSL_REQUEST || protocol !== PROTOCOL_3_0)
      return this.#refuse("0A000", "a simulated server speaks protocol 3.0 without TLS");
    const named: Record<string, string> = {};
    for (let at = 4; body[at] !== 0;) {
      const name = readText(body, at);
      const value = readText(body, name.next);
      named[name.text] = value.text;
      at = value.next;
    }
    const name = named["database"] ?? "";
    this.#database = this.#world.database(name);
    if (this.#database === undefined) return this.#refuse("3D000", `database "${name}" does not exist`);
    this.#say("R", int32(0));
    for (const [key, value] of this.#world.tape.parameters)
      this.#say("S", Buffer.concat([text(key), text(key === "application_name" ? (named["application_name"] ?? "") : value)]));
    this.#say("K", Buffer.concat([int32(1), int32(1)]));
    this.#say("Z", Buffer.from(IDLE));
    this.#flush();
  }

  #on({ type, body }: Message): void {
    switch (type) {
      case "P": {
        const name = readText(body, 0);
        const sql = readText(body, name.next).text;
        if (!this.#described.has(sql)) return this.#fail("0A000", "nobody taped an answer to this");
        this.#statements.set(name.text, sql);
        return this.#say("1");
      }
      case "D": {
        const name = readText(body, 1).text;
        const isStatement = body[0] === 0x53;
        const described = this.#described.get((isStatement ? this.#statements : this.#portals).get(name) ?? "");
        if (described === undefined) return this.#fail("26000", "there is no such statement");
        if (isStatement) this.#out.push(described.parameters);
        this.#out.push(described.row);
        return;
      }
      case "B": {
        const portal = readText(body, 0);
        const sql = this.#statements.get(readText(body, portal.next).text);
        if (sql === undefined) return this.#fail("26000", "there is no such statement");
        this.#portals.set(portal.text, sql);
        return this.#say("2");
      }
      case "E":
        return this.#execute(this.#portals.get(readText(body, 0).text) ?? "");
      case "C":
        return this.#say("3");
      case "H":
        return this.#flush();
      case "S":
        this.#failed = false;
        this.#say("Z", Buffer.from(IDLE));
        return this.#flush();
      default:
        return this.#fail("08P01", `a simulated server knows no message ${type}`);
    }
  }

  #execute(sql: string): void {
    const described = this.#described.get(sql);
    const row = this.#database?.answer(sql);
    if (described === undefined || row === undefined) return this.#fail("34000", "there is no such portal");
    this.#say("D", rowBody(row));
    this.#out.push(described.tag);
  }

  #refuse(code: string, words: string): void {
    this.#say("E", errorBody("FATAL", code, words));
    this.#flush();
    this.#world.end();
  }

  #fail(code: string, words: string): void {
    this.#failed = true;
    this.#say("E", errorBody("ERROR", code, words));
  }

  #say(type: string, body: Buffer = Buffer.alloc(0)): void {
    this.#out.push(message(type, body));
  }

  #flush(): void {
    if (this.#out.length === 0) return;
    this.#world.write(Buffer.concat(this.#out));
    this.#out = [];
  }
}

function message(type: string, body: Buffer): Buffer {
  return Buffer.concat([Buffer.from(type, "latin1"), int32(body.length + 4), body]);
}

function errorBody(severity: string, code: string, words: string): Buffer {
  return Buffer.concat([text(`S${severity}`), text(`V${severity}`), text(`C${code}`), text(`M${words}`), Buffer.from([0])]);
}

function rowBody(row: readonly (string | null)[]): Buffer {
  const count = Buffer.alloc(2);
  count.writeInt16BE(row.length);
  return Buffer.concat([
    count,
    ...row.flatMap((value) => {
      if (value === null) return [int32(-1)];
      const bytes = Buffer.from(value);
      return [int32(bytes.length), bytes];
    }),
  ]);
}

function text(value: string): Buffer {
  return Buffer.from(`${value}\0`);
}

function int32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32BE(value);
  return bytes;
}
