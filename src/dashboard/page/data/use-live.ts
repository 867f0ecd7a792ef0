import { useSyncExternalStore } from 'react';
import type { LiveState } from './live-state.ts';
import { liveStream } from './live-stream.ts';

/** What the server says of a run as it happens; `null`: of all runs. Whoever asks for the same shares one stream. */
export function useLive(run: string | null): LiveState {
  const stream = liveStream(run);
  return useSyncExternalStore(stream.subscribe, stream.read);
}
