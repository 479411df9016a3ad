import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { argumentText, arrayLiteral } from "./argument-text.ts";
import { resultValue } from "./result-value.ts";
import { WireAnswers, type AnswerSink } from "./wire-answers.ts";
import { WireBatch } from "./wire-batch.ts";

const message = (type: string, body: Buffer): Buffer => {
  const head = Buffer.alloc(5);
  head.write(type, "latin1");
  head.writeInt32BE(body.length + 4, 1);
  return Buffer.concat([head, body]);
};
const recording = (): { heard: unknown[]; sink: AnswerSink } => {
  const heard: unknown[] = [];
  return {
    heard,
    sink: {
      wantsRows: true,
      parameters: (types) => heard.push(["parameters", types]),
      columns: (columns) => heard.push(["columns", columns]),
      row: (values) => heard.push(["row", values]),
      complete: (tag) => heard.push(["complete", tag]),
      error: (fields) => heard.push(["error", fields]),
      notice: (fields) => heard.push(["notice", fields]),
      ready: (status) => heard.push(["ready", status]),
    },
  };
};

describe("answers to a batch", () => {
  const stream = Buffer.concat([
    message("2", Buffer.alloc(0)),
    message("t", Buffer.from([0, 2, 0, 0, 0, 25, 0, 0, 0, 23])),
    message(
      "T",
      Buffer.concat([
        Buffer.from([0, 1]),
        Buffer.from("näme\0"),
        Buffer.from([0, 0, 0, 0, 0, 0, 0, 0, 0, 23, 0, 4, 255, 255, 255, 255, 0, 0]),
      ]),
    ),
    message("D", Buffer.from([0, 3, 0, 0, 0, 1, 0x41, 255, 255, 255, 255, 0, 0, 0, 0])),
    message("C", Buffer.from("INSERT 0 1\0")),
    message("N", Buffer.from("VWARNING\0RSyncRepWaitForLSN\0\0")),
    message("E", Buffer.from("C23505\0Mthere\0nunique_thing\0\0")),
    message("Z", Buffer.from("E")),
  ]);
  const expected = [
    ["parameters", [25, 23]],
    ["columns", [{ name: "näme", type: 23 }]],
    ["row", ["A", null, ""]],
    ["complete", "INSERT 0 1"],
    ["notice", { V: "WARNING", R: "SyncRepWaitForLSN" }],
    ["error", { C: "23505", M: "there", n: "unique_thing" }],
    ["ready", "E"],
  ];

  it("are the same wherever the stream is cut", () => {
    for (let cut = 0; cut <= stream.length; cut++) {
      const { heard, sink } = recording();
      const answers = new WireAnswers(sink);
      answers.push(stream.subarray(0, cut));
      answers.push(stream.subarray(cut));
      expect(heard).toEqual(expected);
    }
  });

  it("that are none are refused, never read past", () => {
    const answers = new WireAnswers(recording().sink);
    expect(() => answers.push(Buffer.from([0x5a, 255, 255, 255, 255, 0]))).toThrow("a message of");
  });
});

describe("a batch", () => {
  it("carries every text as it is, whatever it holds", () => {
    fc.assert(
      fc.property(fc.array(fc.option(fc.string({ unit: "binary" }), { nil: null }), { maxLength: 20 }), (values) => {
        const batch = new WireBatch();
        batch.execute("s1", values);
        batch.sync();
        const bytes = batch.take();
        expect(String.fromCharCode(bytes[0] ?? 0)).toBe("B");
        let offset = 5 + 1 + 3 + 2 + 2;
        for (const value of values) {
          const length = bytes.readInt32BE(offset);
          offset += 4;
          if (value === null) expect(length).toBe(-1);
          else expect(bytes.subarray(offset, offset + length)).toEqual(Buffer.from(value, "utf8"));
          offset += Math.max(0, length);
        }
        expect(bytes.readInt32BE(1) + 1).toBe(offset + 2);
        expect(bytes.subarray(-5)).toEqual(Buffer.from([0x53, 0, 0, 0, 4]));
      }),
    );
  });

  it("grows beyond its first buffer", () => {
    const batch = new WireBatch();
    const long = "ü".repeat(100_000);
    batch.execute("s", [long, "end"]);
    expect(batch.take().includes(Buffer.from(long))).toBe(true);
    expect(batch.take().includes(Buffer.from("end"))).toBe(true);
  });
});

describe("arguments", () => {
  it("become what the parameter's type reads: JSON for JSON, literals for arrays, digits for numbers", () => {
    expect(argumentText({ a: [1, "x"] }, 3802)).toBe('{"a":[1,"x"]}');
    expect(argumentText("text", 3802)).toBe('"text"');
    expect(argumentText([1, 2], 3802)).toBe("[1,2]");
    expect(argumentText([1, 2], 1007)).toBe('{"1","2"}');
    expect(argumentText([1, 2], 25)).toBe("[1,2]");
    expect(argumentText(1.5e21, 1700)).toBe("1.5e+21");
    expect(argumentText(true, 16)).toBe("true");
    expect(argumentText(null, 3802)).toBeNull();
  });

  it("quote what an array literal could take for its own", () => {
    expect(arrayLiteral(['a"b', "c\\d", null, "NULL", "{}", ["x", "y"]])).toBe('{"a\\"b","c\\\\d",NULL,"NULL","{}",{"x","y"}}');
  });
});

describe("values of a result", () => {
  it("are numbers only where a number holds them", () => {
    expect(resultValue("7", 23)).toBe(7);
    expect(resultValue("9007199254740993", 20)).toBe("9007199254740993");
    expect(resultValue("t", 16)).toBe(true);
    expect(resultValue('{"a":1}', 3802)).toEqual({ a: 1 });
    expect(resultValue(null, 3802)).toBeNull();
  });
});
