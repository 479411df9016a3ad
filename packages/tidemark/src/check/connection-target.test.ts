import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { inspect } from "node:util";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { readTarget, withoutPassword } from "./connection-target.ts";
import { parseStandbyNames } from "./standby-names.ts";

describe("a connection string", () => {
  it("is read as libpq reads it, with the environment for what it leaves out", () => {
    const target = readTarget("postgresql://app:s%20e@[::1]:6543/shop?sslmode=verify-full&sslrootcert=/ca.pem", { PGUSER: "other" });
    expect(target).toMatchObject({ host: "::1", port: 6543, user: "app", database: "shop", sslMode: "verify-full", rootCert: "/ca.pem" });
    expect(target.password?.reveal()).toBe("s e");
    const pairs = readTarget(String.raw`host=db1 dbname='my shop' password='it\'s'`, { PGPORT: "7", PGUSER: "app" });
    expect(pairs).toMatchObject({ host: "db1", port: 7, database: "my shop", user: "app", shown: "db1:7/my shop as app" });
    expect(pairs.password?.reveal()).toBe("it's");
    expect(readTarget(undefined, { PGHOST: "/run/sockets", PGUSER: "u", PGPASSWORD: "p" })).toMatchObject({
      host: "/run/sockets",
      database: "u",
      sslMode: "prefer",
    });
  });

  it("takes a password from the password file when nobody else may read it", () => {
    const folder = mkdtempSync(join(tmpdir(), "tidemark-passfile-"));
    const passfile = join(folder, "pass");
    try {
      writeFileSync(passfile, "# a comment\nother:*:*:*:wrong\ndb1:5432:*:app:se\\:cret\n", { mode: 0o600 });
      const read = (): string | undefined => readTarget("postgres://app@db1/shop", { PGPASSFILE: passfile }).password?.reveal();
      expect(read()).toBe("se:cret");
      chmodSync(passfile, 0o644);
      expect(read()).toBeUndefined();
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  it.each([
    "mysql://x@y/z",
    "postgres://u:hush@h:99999/d",
    "postgres://u:hush%zz@h/d",
    "postgres://u:hush@a,b/d",
    "postgres://u:hush@h/d?sslmode=maybe",
    "host=h password='hush",
  ])("is refused without repeating it: %s", (text) => {
    let thrown: unknown;
    try {
      readTarget(text, {});
    } catch (error) {
      thrown = error;
    }
    expect(thrown).toMatchObject({ code: "TM-CHECK-TARGET" });
    expect(inspect(thrown, { depth: 9 })).not.toContain("hush");
  });

  it("shows its password nowhere, whatever is in it and however it was written", () => {
    fc.assert(
      fc.property(
        fc.string({ minLength: 4, maxLength: 12 }).filter((text) => /^[!-~]+$/.test(text) && !text.includes("%")),
        (password) => {
          const secret = `@${password}@`;
          for (const written of [secret, encodeURIComponent(secret)]) {
            const target = readTarget(`postgres://u:${written}@h/d`, {});
            expect(target.password?.reveal()).toBe(secret);
            expect(inspect(target, { depth: 9 }) + JSON.stringify(target)).not.toContain(password);
            expect(withoutPassword(`x ${secret} y ${encodeURIComponent(secret)}`, target)).toBe("x [redacted] y [redacted]");
          }
        },
      ),
    );
  });
});

describe("synchronous_standby_names", () => {
  it("is read in every form that PostgreSQL takes", () => {
    expect(parseStandbyNames("")).toBeUndefined();
    expect(parseStandbyNames("a, B")).toEqual({ method: "first", needed: 1, names: ["a", "b"] });
    expect(parseStandbyNames("2 (a,b , c)")).toEqual({ method: "first", needed: 2, names: ["a", "b", "c"] });
    expect(parseStandbyNames('any 1("odd ""one""", *)')).toEqual({ method: "any", needed: 1, names: ['odd "one"', "*"] });
    expect(parseStandbyNames("FIRST 1 (a")).toBeUndefined();
  });
});
