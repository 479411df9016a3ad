// A vault whose main thread stops for a while when told to, as a long garbage collection would make it: `{ pauseMs }`.
process.on("message", ({ pauseMs }: { pauseMs: number }) => {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, pauseMs);
  process.send?.({ paused: pauseMs });
});

await import("../../testing/vault-process.ts");
