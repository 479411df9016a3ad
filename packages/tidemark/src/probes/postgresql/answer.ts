// Reads a server's answer with nothing taken for granted: what is missing or of another type is garbage, never 0.
import type { Lsn } from "@tidemark/kernel/lsn";
import { parseLsn } from "@tidemark/kernel/lsn";
import { ProbeFault } from "./postgresql-fault.ts";

export class Answer {
  readonly #fields: Readonly<Record<string, unknown>>;

  /** Throws {@link ProbeFault} (garbage) unless `value` is an object. */
  constructor(value: unknown) {
    if (typeof value !== "object" || value === null || Array.isArray(value)) throw garbage("answer");
    this.#fields = value as Readonly<Record<string, unknown>>;
  }

  number(name: string): number {
    const value = this.optionalNumber(name);
    if (value === undefined) throw garbage(name);
    return value;
  }

  optionalNumber(name: string): number | undefined {
    const value = this.#optional(name);
    if (value === undefined) return undefined;
    if (typeof value !== "number" || !Number.isFinite(value)) throw garbage(name);
    return value;
  }

  text(name: string): string {
    const value = this.optionalText(name);
    if (value === undefined) throw garbage(name);
    return value;
  }

  optionalText(name: string): string | undefined {
    const value = this.#optional(name);
    if (value === undefined || typeof value === "string") return value;
    throw garbage(name);
  }

  flag(name: string): boolean {
    const value = this.optionalFlag(name);
    if (value === undefined) throw garbage(name);
    return value;
  }

  optionalFlag(name: string): boolean | undefined {
    const value = this.#optional(name);
    if (value === undefined || typeof value === "boolean") return value;
    throw garbage(name);
  }

  /** Counts and sizes come as text: they may not fit a JSON number. */
  whole(name: string): bigint {
    const value = this.optionalWhole(name);
    if (value === undefined) throw garbage(name);
    return value;
  }

  optionalWhole(name: string): bigint | undefined {
    const text = this.optionalText(name);
    if (text === undefined) return undefined;
    if (!/^-?\d{1,20}$/.test(text)) throw garbage(name);
    return BigInt(text);
  }

  lsn(name: string): Lsn {
    const value = this.optionalLsn(name);
    if (value === undefined) throw garbage(name);
    return value;
  }

  optionalLsn(name: string): Lsn | undefined {
    const text = this.optionalText(name);
    if (text === undefined) return undefined;
    try {
      return parseLsn(text);
    } catch (cause) {
      throw garbage(name, cause);
    }
  }

  part(name: string): Answer {
    return new Answer(this.#fields[name]);
  }

  optionalPart(name: string): Answer | undefined {
    const value = this.#optional(name);
    return value === undefined ? undefined : new Answer(value);
  }

  list(name: string): Answer[] {
    const value = this.#optional(name);
    if (!Array.isArray(value)) throw garbage(name);
    return value.map((item) => new Answer(item));
  }

  texts(): Record<string, string> {
    const texts: Record<string, string> = {};
    for (const [name, value] of Object.entries(this.#fields)) if (typeof value === "string") texts[name] = value;
    return texts;
  }

  #optional(name: string): unknown {
    const value = this.#fields[name];
    return value === null ? undefined : value;
  }
}

function garbage(name: string, cause?: unknown): ProbeFault {
  return new ProbeFault("TM-PROBE-GARBAGE", `its answer has no usable "${name}"`, { cause });
}
