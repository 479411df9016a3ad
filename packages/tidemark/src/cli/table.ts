// Tables that stay readable in a narrow terminal: what does not fit beside the first column goes below it.

export interface Column {
  readonly title: string;
  /** Numbers stand on the right. */
  readonly right?: boolean;
}

/** A cell: what is shown and how many columns it takes without colours. */
export interface Cell {
  readonly text: string;
  readonly paint?: (text: string) => string;
}

const GAP = "  ";

/**
 * Lays rows out in `columns` columns of a terminal: side by side when that fits, else each row as a block, its first
 * cell as the head and the others below with their titles. Cells that are too long are cut with an ellipsis in blocks.
 */
export function layTable(
  columns: readonly Column[],
  rows: readonly (readonly Cell[])[],
  options: { columns: number; dim: (text: string) => string },
): string[] {
  const widths = columns.map(({ title }, index) => Math.max(title.length, ...rows.map((row) => row[index]?.text.length ?? 0)));
  const whole = widths.reduce((sum, width) => sum + width, 0) + GAP.length * (columns.length - 1);
  if (whole <= options.columns) {
    const line = (cells: readonly Cell[]): string =>
      cells
        .map(({ text, paint }, index) => {
          const width = widths[index] ?? 0;
          const padded = columns[index]?.right === true ? text.padStart(width) : index === cells.length - 1 ? text : text.padEnd(width);
          return paint === undefined ? padded : padded.replace(text, () => paint(text));
        })
        .join(GAP)
        .trimEnd();
    return [options.dim(line(columns.map(({ title }) => ({ text: title })))), ...rows.map(line)];
  }
  const titleWidth = Math.max(...columns.slice(1).map(({ title }) => title.length));
  return rows.flatMap((row) => [
    show(row[0], options.columns),
    ...row
      .slice(1)
      .flatMap((cell, index) =>
        cell.text === ""
          ? []
          : [`${GAP}${options.dim((columns[index + 1]?.title ?? "").padEnd(titleWidth))} ${show(cell, options.columns - titleWidth - 3)}`],
      ),
  ]);
}

function show(cell: Cell | undefined, room: number): string {
  const text = cell?.text ?? "";
  const cut = text.length > room ? `${text.slice(0, Math.max(0, room - 1))}…` : text;
  return cell?.paint === undefined ? cut : cell.paint(cut);
}
