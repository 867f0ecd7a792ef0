/** Waits for a long-running operation. */

/** What the SDK's pollers share; awaited by themselves they sit out Azure's `Retry-After` before they see an abort. */
type Poller<T> = { pollUntilDone(options: { abortSignal: AbortSignal }): Promise<T> };

/** Ends with the signal at once, also between two polls. */
export function awaitOperation<T>(poller: Poller<T>, signal: AbortSignal): Promise<T> {
  return poller.pollUntilDone({ abortSignal: signal });
}
