// synchronous_standby_names as PostgreSQL reads it: `FIRST n (a, b)`, `ANY n (a, b)`, `n (a, b)`, or a bare list, which means FIRST 1.
// https://www.postgresql.org/docs/18/runtime-config-replication.html#GUC-SYNCHRONOUS-STANDBY-NAMES

export interface StandbyNames {
  readonly method: "first" | "any";
  /** How many have to confirm. */
  readonly needed: number;
  /** In lower case: PostgreSQL compares without regard to it. `*` matches every name. */
  readonly names: readonly string[];
}

/** Undefined: the list is empty (nothing is waited for), or it is not in a form that is known here. */
export function parseStandbyNames(text: string): StandbyNames | undefined {
  const trimmed = text.trim();
  if (trimmed === "") return undefined;
  const counted = /^(?:(first|any)\s*)?(\d+)\s*\((.*)\)$/is.exec(trimmed);
  const list = splitNames(counted === null ? trimmed : (counted[3] ?? ""));
  if (list === undefined || list.length === 0) return undefined;
  return {
    method: counted?.[1]?.toLowerCase() === "any" ? "any" : "first",
    needed: counted === null ? 1 : Number(counted[2]),
    names: list,
  };
}

/** Whether an application_name is meant by a name of the list. */
export function matches(name: string, applicationName: string): boolean {
  return name === "*" || name === applicationName.toLowerCase();
}

function splitNames(text: string): string[] | undefined {
  const names: string[] = [];
  const item = /\s*(?:"((?:[^"]|"")*)"|([^\s",()]+))\s*(,|$)/gy;
  while (item.lastIndex < text.length) {
    const match = item.exec(text);
    if (match === null) return undefined;
    // In quotes `*` is a name as any other.
    names.push(
      match[1] === undefined ? (match[2] ?? "").toLowerCase() : match[1] === "*" ? '"*"' : match[1].replaceAll('""', '"').toLowerCase(),
    );
  }
  return names;
}
