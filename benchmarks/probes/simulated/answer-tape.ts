// What a real PostgreSQL said to the probes' questions, message by message: a simulated one says the same, with values of its own.

/** One question and its answer. Bodies of messages are base64, without type and length. */
export interface TapedAnswer {
  readonly sql: string;
  readonly parameterDescription: string;
  readonly rowDescription: string;
  /** The first row, as text; null is NULL. */
  readonly row: readonly (string | null)[];
  readonly commandTag: string;
}

export interface AnswerTape {
  /** As the server said them at the login, such as server_version. */
  readonly parameters: readonly (readonly [string, string])[];
  readonly answers: readonly TapedAnswer[];
}
