// What must hold of what is looked at beyond the form of the file: one source for each copy, no server under two names, no token on
// an open line.
import type { StoreFile } from "./config-file.ts";
import type { ConfigPath, Finding } from "./config-problem.ts";
import { durationMs } from "./config-values.ts";
import { isLoopback, parseAddress } from "./listen-address.ts";
import type { BarmanSourceFile, CopyFile, DocumentFile, ObservedStoreFile } from "./observed-file.ts";
import { SOURCE_KINDS, sourceKindsOf } from "./observed-defaults.ts";

const LEAST_PERIOD_MS = 100;
const MOST_PERIOD_MS = 86_400_000;

/** What can be deleted or overwritten while it runs, whoever promises what. */
const LIVE = ["postgresql", "patroni", "prometheus"] as const;

/** The journal's name among the copies of a store that Tidemark runs. */
const JOURNAL_COPY = "journal";

/** What is wrong with the copies of a store together; `path` is the store's. */
export function checkCopies(store: StoreFile | ObservedStoreFile, path: ConfigPath): Finding[] {
  const findings: Finding[] = [];
  if (store.kind === "observed") {
    if (store.canary === "write" && !Object.values(store.copies).some((copy) => copy.postgresql !== undefined))
      findings.push({
        path: [...path, "canary"],
        code: "TM-CONFIG-VALUE",
        message: "no copy is a PostgreSQL that the canary could be written to",
        expected: "a copy with `postgresql`, or `canary: off`",
      });
  } else findings.push(...checkNames(store, path));
  return [...findings, ...checkTwice(store, path)];
}

/** Whether anything that is looked at of a store can be a copy of it. */
export function canBeCopied(store: StoreFile | ObservedStoreFile): boolean {
  if (store.kind !== "observed") return true;
  return Object.values(store.copies).some(
    ({ prometheus, command, nats }) =>
      prometheus === undefined && command?.says !== "figure" && (nats === undefined || nats.isCopy === true),
  );
}

/** The keys of a copy; another one is a finding by itself, and may be a mistyped source. */
const KEYS: ReadonlySet<string> = new Set([...SOURCE_KINDS, "domain", "period", "lockedFor"]);

/** What is wrong with one copy; `path` is its place. */
export function checkCopy(copy: CopyFile, path: ConfigPath): Finding[] {
  const kinds = sourceKindsOf(copy);
  const findings: Finding[] = [];
  const [first, second] = kinds;
  const mistyped = Object.keys(copy).some((key) => !KEYS.has(key));
  if (second !== undefined || (first === undefined && !mistyped))
    findings.push({
      path: second === undefined ? path : [...path, second],
      at: "key",
      code: "TM-CONFIG-COPY-SOURCE",
      message: second === undefined ? "nothing says where this copy is looked at" : `this copy has ${kinds.join(" and ")}`,
      expected: `exactly one of ${SOURCE_KINDS.join(", ")}`,
    });
  if (copy.period !== undefined) {
    const periodMs = durationMs(copy.period, "0");
    if (periodMs < LEAST_PERIOD_MS || periodMs > MOST_PERIOD_MS)
      findings.push({ path: [...path, "period"], code: "TM-CONFIG-DURATION", message: "a period out of range", expected: "100ms to 24h" });
  }
  const live = LIVE.find((kind) => copy[kind] !== undefined);
  if (copy.lockedFor !== undefined && live !== undefined)
    findings.push(
      value([...path, "lockedFor"], `what ${live} looks at can be changed at any time: nothing locks it`, "no `lockedFor` here"),
    );
  return [...findings, ...checkSources(copy, path)];
}

function checkSources(copy: CopyFile, path: ConfigPath): Finding[] {
  const { postgresql, pgbackrest, barman, objects, prometheus, command } = copy;
  const findings: Finding[] = [];
  if (postgresql !== undefined && parseAddress(postgresql.address) === undefined)
    findings.push({
      path: [...path, "postgresql", "address"],
      code: "TM-CONFIG-ADDRESS",
      message: `"${postgresql.address}" is no address`,
      expected: "host:port with a port of 1 to 65535",
    });
  for (const kind of ["patroni", "nats", "prometheus"] as const) findings.push(...checkBearer(copy[kind], [...path, kind]));
  if (pgbackrest?.info !== undefined) findings.push(...checkDocument(pgbackrest.info, [...path, "pgbackrest", "info"]));
  if (barman !== undefined) findings.push(...checkBarman(barman, [...path, "barman"]));
  if (objects?.store.kind === "folder" && objects.store.directory === undefined)
    findings.push({
      path: [...path, "objects", "store"],
      at: "key",
      code: "TM-CONFIG-MISSING-KEY",
      message: 'the key "directory" is missing',
      expected: '"directory": the folder that is looked at',
    });
  if (objects?.store.kind === "s3") {
    for (const key of ["lock", "serverSideEncryption"] as const)
      if (objects.store[key] !== undefined)
        findings.push(
          value(
            [...path, "objects", "store", key],
            "nothing is written to what is looked at",
            "`lockedFor` for a lock that somebody else sets, or nothing",
          ),
        );
  }
  if (prometheus?.staleAfter !== undefined && prometheus.sampleTime === undefined)
    findings.push(
      value([...path, "prometheus", "staleAfter"], "without `sampleTime` nobody knows how old a sample is", "`sampleTime` as well"),
    );
  if (command?.says === "figure" && command.copyKind !== undefined)
    findings.push(
      value([...path, "command", "copyKind"], "a figure says nothing of a copy", "`says: age` or `says: time`, or no `copyKind`"),
    );
  return findings;
}

function checkBarman(barman: BarmanSourceFile, path: ConfigPath): Finding[] {
  return (["backups", "latest", "check"] as const).flatMap((key) => {
    const document = barman[key];
    return document === undefined ? [] : checkDocument(document, [...path, key]);
  });
}

function checkDocument(document: DocumentFile, path: ConfigPath): Finding[] {
  const { run, file, url, environment, bearerFile } = document;
  const given = [run, file, url].filter((one) => one !== undefined).length;
  if (given !== 1)
    return [
      value(
        path,
        given === 0 ? "nothing says where the document comes from" : "the document would come from two places",
        "exactly one of `run`, `file`, `url`",
      ),
    ];
  if (environment !== undefined && run === undefined)
    return [value([...path, "environment"], "there is no command that would get it", "`run`, or no `environment`")];
  if (bearerFile !== undefined && url === undefined)
    return [value([...path, "bearerFile"], "there is no address that it would be sent to", "`url`, or no `bearerFile`")];
  return url === undefined ? [] : checkBearer({ url, ...(bearerFile === undefined ? {} : { bearerFile }) }, path);
}

/** A token goes to another machine over TLS alone. */
export function checkBearer(source: { readonly url?: string; readonly bearerFile?: string } | undefined, path: ConfigPath): Finding[] {
  if (source?.bearerFile === undefined || source.url === undefined || !isOpenLine(source.url)) return [];
  return [
    {
      path: [...path, "url"],
      code: "TM-CONFIG-OPEN-LINE",
      message: "the token would go to another machine without TLS, where anybody on the way reads it",
      expected: "an address https://…, a loopback address, or no `bearerFile`",
    },
  ];
}

/** Whether what is sent there can be read on the way. */
export function isOpenLine(url: string): boolean {
  if (!URL.canParse(url)) return false;
  const { protocol, hostname } = new URL(url);
  return protocol === "http:" && !isLoopback(hostname.replace(/^\[(.*)\]$/, "$1"));
}

/** A copy has its name beside the nodes, the vaults and the journal of its store, which are copies as well. */
function checkNames(store: StoreFile, path: ConfigPath): Finding[] {
  const taken = new Map<string, string>([
    ...Object.keys(store.nodes).map((name): [string, string] => [name, "a node"]),
    ...Object.keys(store.vaults ?? {}).map((name): [string, string] => [name, "a vault"]),
    [JOURNAL_COPY, "the journal"],
  ]);
  return Object.keys(store.copies ?? {}).flatMap((name): Finding[] => {
    const other = taken.get(name);
    return other === undefined
      ? []
      : [
          {
            ...value([...path, "copies", name], `${other} of this store is called ${name}`, "a name of its own for every copy"),
            at: "key",
          },
        ];
  });
}

/** One server under two names would count as two copies, and a figure under one name would be two. */
function checkTwice(store: StoreFile | ObservedStoreFile, path: ConfigPath): Finding[] {
  const findings: Finding[] = [];
  const seen = new Map<string, string>();
  const nodes = store.kind === "observed" ? [] : Object.entries(store.nodes);
  for (const [name, { address }] of nodes) seen.set(`server ${serverOf(address)}`, name);
  for (const [name, { postgresql, prometheus }] of Object.entries(store.copies ?? {})) {
    const what =
      postgresql === undefined
        ? prometheus?.figure === undefined
          ? undefined
          : { text: `figure ${prometheus.figure}`, at: ["prometheus", "figure"] }
        : { text: `server ${serverOf(postgresql.address)}`, at: ["postgresql", "address"] };
    if (what === undefined) continue;
    const other = seen.get(what.text);
    if (other === undefined) seen.set(what.text, name);
    else
      findings.push(
        value(
          [...path, "copies", name, ...what.at],
          `${name} would be the same ${what.text} as ${other}`,
          "every server and every figure once",
        ),
      );
  }
  return findings;
}

function serverOf(address: string | number): string {
  const parsed = parseAddress(address);
  return parsed === undefined ? String(address) : `${isLoopback(parsed.host) ? "localhost" : parsed.host.toLowerCase()}:${parsed.port}`;
}

function value(path: ConfigPath, message: string, expected: string): Finding {
  return { path, code: "TM-CONFIG-VALUE", message, expected };
}
