import { wrap, type Paint } from "./terminal.ts";

/** Where a status is shown. */
export interface Layout {
  readonly columns: number;
  readonly paint: Paint;
}

const NAME_WIDTH = 13;

/** A name and what there is to say of it; what does not fit goes on below, indented. */
export function field(name: string, value: string, { columns, paint }: Layout): string {
  const width = Math.max(NAME_WIDTH, name.length + 1);
  return `${paint.dim(name.padEnd(width))}${wrap(value, columns - width, " ".repeat(Math.min(width, NAME_WIDTH)))}`;
}
