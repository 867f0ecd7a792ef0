/** A page that listens to server-sent events, as a browser would, over real HTTP. */

export type Told = { name: string; id: string | null; data: Record<string, unknown> };

export type LivePage = AsyncDisposable & {
  status: number;
  told: readonly Told[];
  /** Resolves with the first message that fits, also one that was told before. */
  until(fits: (told: Told) => boolean): Promise<Told>;
  /** Resolves once the server has ended it. */
  ended: Promise<void>;
};

const TIMEOUT_MS = 15_000;

export async function openLivePage(
  url: string,
  { run, lastEventId }: { run?: string; lastEventId?: string } = {},
): Promise<LivePage> {
  const ending = new AbortController();
  const address = new URL('/api/live', url);
  if (run !== undefined) address.searchParams.set('run', run);
  const response = await fetch(address, {
    signal: ending.signal,
    headers: lastEventId === undefined ? {} : { 'last-event-id': lastEventId },
  });
  const told: Told[] = [];
  const waiting = new Set<() => void>();
  const reading = (async () => {
    let rest = '';
    for await (const text of response.body?.pipeThrough(new TextDecoderStream()) ?? []) {
      const blocks = (rest + text).split('\n\n');
      rest = blocks.pop() ?? '';
      told.push(...blocks.flatMap(readBlock));
      for (const look of waiting) look();
    }
  })().catch(() => {});
  return {
    status: response.status,
    told,
    async until(fits) {
      const found = Promise.withResolvers<Told>();
      const look = (): void => {
        const first = told.find(fits);
        if (first !== undefined) found.resolve(first);
      };
      const late = setTimeout(
        () =>
          found.reject(new Error(`not told within ${TIMEOUT_MS} ms; told: ${told.map(({ name }) => name)}`)),
        TIMEOUT_MS,
      );
      waiting.add(look);
      look();
      try {
        return await found.promise;
      } finally {
        clearTimeout(late);
        waiting.delete(look);
      }
    },
    ended: reading,
    async [Symbol.asyncDispose]() {
      ending.abort();
      await reading;
    },
  };
}

function readBlock(block: string): Told[] {
  const fields = new Map(
    block.split('\n').map((line) => {
      const at = line.indexOf(': ');
      return [line.slice(0, at), line.slice(at + 2)] as const;
    }),
  );
  const [name, data] = [fields.get('event'), fields.get('data')];
  if (name === undefined || data === undefined) return [];
  return [{ name, id: fields.get('id') ?? null, data: JSON.parse(data) as Record<string, unknown> }];
}
