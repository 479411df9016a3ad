// Buffers of many megabytes are garbage a moment after they were made, while the JavaScript heap hardly grows: the engine sees
// no reason to collect before 64 MiB of them have come together, and then takes its time. Who knows that a buffer is done with
// gives its memory back at once, and the vault's memory stays bounded whatever the backlog.

/** Frees the memory of `bytes`, which nobody may use any more: it has no length after this. A part of a larger buffer is left alone. */
export function discard(bytes: Uint8Array): void {
  const { buffer } = bytes;
  if (buffer instanceof ArrayBuffer && !buffer.detached && bytes.byteOffset === 0 && bytes.byteLength === buffer.byteLength)
    buffer.transfer(0);
}
