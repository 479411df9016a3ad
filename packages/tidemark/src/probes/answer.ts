// Reads what a target answered: JSON of which nothing is taken on trust. What is missing or of another type is TM-PROBE-GARBAGE with the
// field's name, never with its value, which may be a secret; it never becomes 0 or an empty text.
import { parseLsn, type Lsn } from "@tidemark/kernel/lsn";
import { ProbeFault } from "./postgresql/postgresql-fault.ts";

export class Answer {
  readonly #fields: Readonly<Record<string, unknown>>;
  readonly #where: string;

  private constructor(fields: Readonly<Record<string, unknown>>, where: string) {
    this.#fields = fields;
    this.#where = where;
  }

  /** @param where what the object is, for messages. Throws TM-PROBE-GARBAGE when it is none. */
  static of(value: unknown, where: string): Answer {
    if (typeof value !== "object" || value === null || Array.isArray(value)) throw garbage(`${where} is no object`);
    return new Answer(value as Record<string, unknown>, where);
  }

  /** An array of objects. */
  static listOf(value: unknown, where: string): Answer[] {
    if (!Array.isArray(value)) throw garbage(`${where} is no list`);
    return value.map((one, at) => Answer.of(one, `${where}[${at}]`));
  }

  /** Present, and not null. */
  has(field: string): boolean {
    return Object.hasOwn(this.#fields, field) && this.#fields[field] !== null && this.#fields[field] !== undefined;
  }

  /** A finite number. */
  number(field: string): number {
    const value = this.#own(field);
    if (typeof value !== "number" || !Number.isFinite(value)) throw garbage(`${this.#where}.${field} is no number`);
    return value;
  }

  /** A finite number of at least 0. */
  count(field: string): number {
    const value = this.number(field);
    if (value < 0) throw garbage(`${this.#where}.${field} is below 0`);
    return value;
  }

  text(field: string): string {
    const value = this.#own(field);
    if (typeof value !== "string") throw garbage(`${this.#where}.${field} is no text`);
    return value;
  }

  /** A whole number of at least 0 that stands there as text. */
  countText(field: string): number {
    const value = this.text(field);
    if (!/^\d{1,20}$/.test(value)) throw garbage(`${this.#where}.${field} is no whole number`);
    return Number(value);
  }

  flag(field: string): boolean {
    const value = this.#own(field);
    if (typeof value !== "boolean") throw garbage(`${this.#where}.${field} is neither true nor false`);
    return value;
  }

  lsn(field: string): Lsn {
    const value = this.text(field);
    if (!/^[0-9A-F]{1,8}\/[0-9A-F]{1,8}$/i.test(value)) throw garbage(`${this.#where}.${field} is no WAL position`);
    return parseLsn(value);
  }

  /** As it is: for what has a form of its own. */
  value(field: string): unknown {
    return this.#own(field);
  }

  object(field: string): Answer {
    return Answer.of(this.#own(field), `${this.#where}.${field}`);
  }

  list(field: string): Answer[] {
    return Answer.listOf(this.#own(field), `${this.#where}.${field}`);
  }

  get fields(): readonly string[] {
    return Object.keys(this.#fields);
  }

  #own(field: string): unknown {
    return Object.hasOwn(this.#fields, field) ? this.#fields[field] : undefined;
  }
}

export function garbage(what: string): ProbeFault {
  return new ProbeFault("TM-PROBE-GARBAGE", what);
}
