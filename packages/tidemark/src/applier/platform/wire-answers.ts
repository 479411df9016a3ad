// Backend messages that answer a batch (https://www.postgresql.org/docs/18/protocol-message-formats.html). Each is a type
// byte and an int32 length that counts itself:
//
//   DataRow 'D' int16 n, n × (int32 length | −1, bytes)      CommandComplete 'C' tag \0       EmptyQueryResponse 'I'
//   ParameterDescription 't' int16 n, n × int32 type         NoData 'n'
//   RowDescription 'T' int16 n, n × (name \0, int32, int16, int32 type, int16, int32, int16)
//   ErrorResponse 'E', NoticeResponse 'N': (byte field, text \0)* \0                            ReadyForQuery 'Z' status
//
// BindComplete and the like say nothing that the others do not.

const DATA_ROW = 0x44;
const COMMAND_COMPLETE = 0x43;
const EMPTY_QUERY = 0x49;
const ERROR = 0x45;
const NOTICE = 0x4e;
const READY = 0x5a;
const PARAMETER_DESCRIPTION = 0x74;
const ROW_DESCRIPTION = 0x54;
/** What stands behind the name of a column: table, number, type, size, modifier, format; the type comes after six bytes. */
const COLUMN_BYTES = 18;
const COLUMN_TYPE_OFFSET = 6;
/** A longer message is damage: rows of a write that somebody waits for fit many times. */
const MOST_MESSAGE_BYTES = 268_435_456;

/** The fields of an error or a notice by their letter. */
export type ReportFields = Readonly<Record<string, string>>;

export interface ResultColumn {
  readonly name: string;
  readonly type: number;
}

export interface AnswerSink {
  /** The types of a described statement's parameters. */
  parameters?(types: readonly number[]): void;
  /** The columns of its result; not called when it has none. */
  columns?(columns: readonly ResultColumn[]): void;
  /** `body` is only valid during the call. */
  row(values: readonly (string | null)[]): void;
  /** Whether rows of the statement that is being answered are wanted; others are not decoded. */
  readonly wantsRows: boolean;
  complete(tag: string): void;
  error(fields: ReportFields): void;
  notice(fields: ReportFields): void;
  ready(status: string): void;
}

/** Cuts a stream of bytes into messages and hands them on; may be fed at any boundary. */
export class WireAnswers {
  readonly #sink: AnswerSink;
  #rest: Buffer | undefined;

  constructor(sink: AnswerSink) {
    this.#sink = sink;
  }

  /** Throws an Error on bytes that are no message. */
  push(chunk: Buffer): void {
    const bytes = this.#rest === undefined ? chunk : Buffer.concat([this.#rest, chunk]);
    let offset = 0;
    while (bytes.length - offset >= 5) {
      const length = bytes.readInt32BE(offset + 1) + 1;
      if (length < 5 || length > MOST_MESSAGE_BYTES) throw new Error(`a message of ${length} bytes`);
      if (bytes.length - offset < length) break;
      this.#message(bytes, offset, offset + length);
      offset += length;
    }
    this.#rest = offset < bytes.length ? bytes.subarray(offset) : undefined;
  }

  #message(bytes: Buffer, start: number, end: number): void {
    switch (bytes.readUInt8(start)) {
      case DATA_ROW:
        if (this.#sink.wantsRows) this.#sink.row(rowValues(bytes, start + 5));
        return;
      case COMMAND_COMPLETE:
        this.#sink.complete(bytes.toString("latin1", start + 5, end - 1));
        return;
      case EMPTY_QUERY:
        this.#sink.complete("");
        return;
      case ERROR:
        this.#sink.error(reportFields(bytes, start + 5, end));
        return;
      case NOTICE:
        this.#sink.notice(reportFields(bytes, start + 5, end));
        return;
      case PARAMETER_DESCRIPTION:
        this.#sink.parameters?.(
          Array.from({ length: bytes.readInt16BE(start + 5) }, (_, index) => bytes.readInt32BE(start + 7 + 4 * index)),
        );
        return;
      case ROW_DESCRIPTION:
        this.#sink.columns?.(resultColumns(bytes, start + 5));
        return;
      case READY:
        this.#sink.ready(String.fromCharCode(bytes[start + 5] ?? 0));
        return;
      default:
    }
  }
}

function resultColumns(bytes: Buffer, start: number): ResultColumn[] {
  const columns: ResultColumn[] = [];
  let offset = start + 2;
  for (let left = bytes.readInt16BE(start); left > 0; left--) {
    const stop = bytes.indexOf(0, offset);
    columns.push({ name: bytes.toString("utf8", offset, stop), type: bytes.readInt32BE(stop + 1 + COLUMN_TYPE_OFFSET) });
    offset = stop + 1 + COLUMN_BYTES;
  }
  return columns;
}

function rowValues(bytes: Buffer, start: number): (string | null)[] {
  const values: (string | null)[] = [];
  let offset = start + 2;
  for (let left = bytes.readInt16BE(start); left > 0; left--) {
    const length = bytes.readInt32BE(offset);
    offset += 4;
    values.push(length < 0 ? null : bytes.toString("utf8", offset, offset + length));
    if (length > 0) offset += length;
  }
  return values;
}

function reportFields(bytes: Buffer, start: number, end: number): ReportFields {
  const fields: Record<string, string> = {};
  for (let offset = start; offset < end && bytes[offset] !== 0;) {
    const stop = bytes.indexOf(0, offset + 1);
    if (stop < 0) break;
    fields[String.fromCharCode(bytes[offset] ?? 0)] = bytes.toString("utf8", offset + 1, stop);
    offset = stop + 1;
  }
  return fields;
}
