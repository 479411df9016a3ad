import { describe, expect, it } from "vitest";
import { MOST_ITERATIONS, clientFinal, clientFirst } from "./scram.ts";

// The example of RFC 7677, section 3.
const LOGIN = { user: "user", password: "pencil", nonce: "rOprNGfwEbeRWgbNEkqO" };
const SERVER_FIRST = "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";

describe("SCRAM-SHA-256", () => {
  it("answers the example of RFC 7677 as the RFC does", async () => {
    expect(clientFirst(LOGIN)).toBe("n,,n=user,r=rOprNGfwEbeRWgbNEkqO");
    const final = await clientFinal(LOGIN, SERVER_FIRST);
    expect(final.message).toBe(
      "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
    );
    expect(() => final.verify("v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=")).not.toThrow();
  });

  it("refuses a server that does not know the password", async () => {
    const final = await clientFinal(LOGIN, SERVER_FIRST);
    for (const answer of ["v=7rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=", "v=", "v=AA==", "e=other-error", ""]) {
      expect(() => final.verify(answer)).toThrow(expect.objectContaining({ code: "TM-PG-AUTHENTICATION" }));
    }
  });

  it("refuses a challenge that repeats, replaces or shortens the client's nonce, asks for absurd work, or is malformed", async () => {
    const refused = [
      "r=rOprNGfwEbeRWgbNEkqO,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
      "r=somebodyElses,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
      SERVER_FIRST.replace("4096", String(MOST_ITERATIONS + 1)),
      SERVER_FIRST.replace("4096", "0"),
      SERVER_FIRST.replace("4096", "-1"),
      SERVER_FIRST.replace("s=", "t="),
      "",
    ];
    for (const challenge of refused) await expect(clientFinal(LOGIN, challenge)).rejects.toMatchObject({ code: "TM-PG-AUTHENTICATION" });
  });
});
