// Names of series and their numbers. New ones are written with the next record.
import type { HistoryFile } from "./history-file.ts";

export interface SeriesName {
  readonly metric: string;
  readonly labels: Readonly<Record<string, string>>;
}

interface Entry {
  readonly name: SeriesName;
  /** Labels as they stand in the file: JSON in the order of their names. */
  readonly labels: string;
  /** The hour before which every hour has its bucket, hours since 1970; 0: none has. */
  rolled: number;
  /** It was asked for since the start: not forgotten, though nothing of it may be left. */
  used: boolean;
}

export class SeriesBook {
  readonly #most: number;
  readonly #byName = new Map<string, number>();
  readonly #byId = new Map<number, Entry>();
  readonly #unsaved = new Set<number>();
  #nextId = 1;
  #refused = 0;

  /** @param most series; beyond them {@link register} refuses. */
  constructor(most: number) {
    this.#most = most;
  }

  get size(): number {
    return this.#byId.size;
  }

  get refused(): number {
    return this.#refused;
  }

  register(name: SeriesName): number | undefined {
    const labels = canonical(name.labels);
    const key = `${name.metric}\n${labels}`;
    const found = this.#byName.get(key);
    if (found !== undefined) {
      const entry = this.#byId.get(found);
      if (entry !== undefined) entry.used = true;
      return found;
    }
    if (this.#byId.size >= this.#most) {
      this.#refused++;
      return undefined;
    }
    const id = this.#nextId++;
    this.#byName.set(key, id);
    this.#byId.set(id, { name, labels, rolled: 0, used: true });
    this.#unsaved.add(id);
    return id;
  }

  find(name: SeriesName): number | undefined {
    return this.#byName.get(`${name.metric}\n${canonical(name.labels)}`);
  }

  has(id: number): boolean {
    return this.#byId.has(id);
  }

  ids(): Iterable<number> {
    return this.#byId.keys();
  }

  list(metric: string | undefined, labels: Readonly<Record<string, string>>): SeriesName[] {
    const wanted = Object.entries(labels);
    return [...this.#byId.values()]
      .map(({ name }) => name)
      .filter((name) => (metric === undefined || name.metric === metric) && wanted.every(([label, value]) => name.labels[label] === value));
  }

  rolled(id: number): number {
    return this.#byId.get(id)?.rolled ?? 0;
  }

  setRolled(id: number, hour: number): void {
    const entry = this.#byId.get(id);
    if (entry !== undefined) entry.rolled = hour;
  }

  isUsed(id: number): boolean {
    return this.#byId.get(id)?.used ?? false;
  }

  drop(id: number): void {
    const entry = this.#byId.get(id);
    if (entry === undefined) return;
    this.#byId.delete(id);
    this.#byName.delete(`${entry.name.metric}\n${entry.labels}`);
  }

  load(name: SeriesName, row: { readonly id: number; readonly rolled: number }): void {
    const labels = canonical(name.labels);
    this.#byName.set(`${name.metric}\n${labels}`, row.id);
    this.#byId.set(row.id, { name, labels, rolled: row.rolled, used: false });
    this.#nextId = Math.max(this.#nextId, row.id + 1);
  }

  /** Writes what is new. Repeats what a fault prevented. */
  save(file: HistoryFile): void {
    if (this.#unsaved.size === 0) return;
    file.transaction(() => {
      for (const id of this.#unsaved) {
        const entry = this.#byId.get(id);
        if (entry !== undefined) file.run("addSeries", id, entry.name.metric, entry.labels, entry.rolled);
      }
    });
    this.#unsaved.clear();
  }

  /** The file is a new one: nothing in it is rolled up, and all series are to be written again. */
  forgetFile(): void {
    for (const [id, entry] of this.#byId) {
      entry.rolled = 0;
      this.#unsaved.add(id);
    }
  }
}

function canonical(labels: Readonly<Record<string, string>>): string {
  return JSON.stringify(Object.fromEntries(Object.entries(labels).toSorted(([one], [other]) => (one < other ? -1 : 1))));
}
