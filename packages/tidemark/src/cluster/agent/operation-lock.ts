/** One operation on the node at a time, in the order in which they were asked for. */
export class OperationLock {
  #last: Promise<unknown> = Promise.resolve();

  run<T>(operation: () => Promise<T>): Promise<T> {
    const mine = this.#last.then(operation, operation);
    // The next one waits for the end of this one, however it ends; the caller hears of a failure.
    this.#last = mine.then(
      () => undefined,
      () => undefined,
    );
    return mine;
  }
}
