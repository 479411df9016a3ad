// The repository tests itself: what a reviewer would say every time, said by a machine.
import { posix } from "node:path";
import { describe, expect, it } from "vitest";
import { importsOf, isTest, productSources, trackedFiles } from "./source-files.ts";

const MOST_LINES = 450;
const files = trackedFiles();
const sources = productSources(files);

/** Each banned call with what to use instead, and where it is allowed. */
const BANNED: readonly { pattern: RegExp; instead: string; allowed: RegExp }[] = [
  { pattern: /\bDate\.now\(/, instead: "Clock.wallMs()", allowed: /\/(platform|cli|prove)\// },
  { pattern: /\bnew Date\(\)/, instead: "new Date(clock.wallMs())", allowed: /\/(platform|cli|prove)\// },
  { pattern: /\bMath\.random\(/, instead: "Random.fraction()", allowed: /\/platform\// },
  {
    pattern: /(?<![.\w])setTimeout\(/,
    instead: "Clock.setTimer or sleep(clock, …)",
    allowed: /\/(platform|cli|prove)\/|^packages\/client\//,
  },
  { pattern: /(?<![.\w])setInterval\(/, instead: "Clock.setTimer", allowed: /\/(platform|cli|prove)\// },
  { pattern: /\bconsole\.(log|error|warn|info)\(/, instead: "the logger, or process.stdout in cli/", allowed: /\/cli\// },
  { pattern: /catch\s*(\([^)]*\))?\s*\{\s*\}/, instead: "handle the fault or let it pass", allowed: /^$/ },
  { pattern: /@ts-ignore|@ts-nocheck/, instead: "the right type", allowed: /^$/ },
];

describe("the repository", () => {
  it("has files that fit in a head", () => {
    const long = files
      .filter(({ path, text }) => /\.(ts|tsx|mjs)$/.test(path) && text.split("\n").length > MOST_LINES)
      .map(({ path, text }) => `${path}: ${text.split("\n").length} lines`);
    expect(long).toEqual([]);
  });

  it("takes clock, random, timers and output from the constructor", () => {
    const found = sources.flatMap(({ path, text }) =>
      text.split("\n").flatMap((line, index) => {
        if (/^\s*(\/\/|\*|\/\*)/.test(line)) return [];
        return BANNED.filter((ban) => !ban.allowed.test(path) && ban.pattern.test(line)).map(
          (ban) => `${path}:${index + 1}: use ${ban.instead}`,
        );
      }),
    );
    expect(found).toEqual([]);
  });

  it("opens no SQL client that asks for array types: postgres.js leaves that question's failure unhandled, which ends the process", () => {
    const count = (text: string, pattern: RegExp): number => text.match(pattern)?.length ?? 0;
    const asking = files
      .filter(({ path, text }) => path.endsWith(".ts") && /from "postgres"/.test(text))
      .filter(({ text }) => count(text, /(?<!\.|async )\bpostgres\(/g) > count(text, /\bfetch_types: false\b/g))
      .map(({ path }) => path);
    expect(asking).toEqual([]);
  });

  it("imports one way: kernel, postgres, tidemark; the client on its own", () => {
    const may: Readonly<Record<string, readonly string[]>> = {
      kernel: [],
      client: [],
      postgres: ["@tidemark/kernel"],
      simulator: ["@tidemark/kernel", "tidemark"],
      tidemark: ["@tidemark/kernel", "@tidemark/postgres", "@tidemark/client"],
    };
    const wrong = files
      .filter(({ path }) => /^packages\/[^/]+\/src\/.*\.ts$/.test(path))
      .flatMap(({ path, text }) => {
        const own = path.split("/")[1] ?? "";
        return importsOf(text).flatMap((specifier) => {
          if (specifier.startsWith(".")) {
            const target = posix.normalize(posix.join(posix.dirname(path), specifier));
            if (target.startsWith(`packages/${own}/`)) return [];
            if (own === "simulator" && target.startsWith("packages/tidemark/src/")) return [];
            return isTest(path) ? [] : [`${path}: ${specifier}`];
          }
          if (!/^(@tidemark\/|tidemark\b)/.test(specifier)) return [];
          return (may[own] ?? []).some((name) => specifier === name || specifier.startsWith(`${name}/`)) ? [] : [`${path}: ${specifier}`];
        });
      });
    expect(wrong).toEqual([]);
  });

  it("names adapters of the world in entry points and tests only", () => {
    const entry = /(\/main\.ts|-role\.ts|-process\.ts|-worker\.ts|\/(cli|platform|prove)\/)/;
    const wrong = sources
      .filter(({ path }) => path.startsWith("packages/tidemark/src/") && !entry.test(path))
      .flatMap(({ path, text }) =>
        importsOf(text)
          .filter((specifier) => /\/platform\//.test(specifier))
          .map((specifier) => `${path}: ${specifier}`),
      );
    expect(wrong).toEqual([]);
  });

  it("has no junk drawers", () => {
    const drawers = sources.map(({ path }) => path).filter((path) => /\/(utils?|common|helpers?|misc|types|index)(\.ts|\/)/.test(path));
    expect(drawers).toEqual([]);
  });

  it("names no machine's paths and no registry's host", () => {
    const found = files
      .filter(({ path }) => !path.startsWith("tools/tidy/"))
      .flatMap(({ path, text }) =>
        text
          .split("\n")
          .flatMap((line, index) =>
            /(^|[\s"'`(=])\/(work|farm|root)\/[A-Za-z.]/.test(line) ? [`${path}:${index + 1}: ${line.trim().slice(0, 100)}`] : [],
          ),
      );
    expect(found).toEqual([]);
  });

  it("switches no test off and retries none", () => {
    const off = files
      .filter(({ path }) => isTest(path))
      .flatMap(({ path, text }) => (/\b(it|test|describe)\.(only|todo)\b|\bretry:\s*[1-9]/.test(text) ? [path] : []));
    expect(off).toEqual([]);
  });

  it("gives every link between its pages a target", () => {
    const paths = new Set(files.map(({ path }) => path));
    const folders = new Set([...paths].flatMap((path) => path.split("/").map((_, index, parts) => parts.slice(0, index).join("/"))));
    const broken = files
      .filter(({ path }) => path.endsWith(".md"))
      .flatMap(({ path, text }) =>
        [...text.matchAll(/\]\((?!https?:|mailto:|#)([^)#\s]+)(#[^)]*)?\)/g)]
          .map((match) => match[1] ?? "")
          .filter((link) => {
            const target = posix.normalize(posix.join(posix.dirname(path), link)).replace(/\/$/, "");
            return !paths.has(target) && !folders.has(target) && !/\.(png|svg|LICENSE)$/.test(target) && target !== "LICENSE";
          })
          .map((link) => `${path}: ${link}`),
      );
    expect(broken).toEqual([]);
  });
});
