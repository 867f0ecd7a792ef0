import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { liveStream } from '../../../src/dashboard/page/data/live-stream.ts';
import { makeMachines, makeRun, NOW } from './fixture-run.ts';

/** What a browser's EventSource does as far as a page sees it; the test is the server. */
class FakeEventSource extends EventTarget {
  static readonly CLOSED = 2;
  static opened: FakeEventSource[] = [];
  readyState = 0;
  onerror: (() => void) | null = null;
  readonly url: string;

  constructor(url: string) {
    super();
    this.url = url;
    FakeEventSource.opened.push(this);
  }

  close(): void {
    this.readyState = FakeEventSource.CLOSED;
  }

  say(name: string, data: unknown, lastEventId = ''): void {
    this.dispatchEvent(new MessageEvent(name, { data: JSON.stringify(data), lastEventId }));
  }

  /** `isFinal`: it was answered with an error, and the browser gives up; else it tries again by itself. */
  fail(isFinal: boolean): void {
    this.readyState = isFinal ? FakeEventSource.CLOSED : 0;
    this.onerror?.();
  }
}

const page = Object.assign(new EventTarget(), { hidden: false });
const HEALTHY = { redis: 'ok', message: null };
/** Each test watches a run of its own: streams are shared by run. */
let run: string;
let unsubscribe: () => void;
let told: number;

beforeEach((context) => {
  vi.useFakeTimers();
  vi.stubGlobal('EventSource', FakeEventSource);
  vi.stubGlobal('document', page);
  vi.stubGlobal('requestAnimationFrame', (paint: () => void) => setTimeout(paint, 16));
  vi.stubGlobal('cancelAnimationFrame', clearTimeout);
  FakeEventSource.opened = [];
  page.hidden = false;
  run = context.task.name;
  told = 0;
  unsubscribe = liveStream(run).subscribe(() => {
    told += 1;
  });
});

afterEach(() => {
  unsubscribe();
  vi.runOnlyPendingTimers();
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

function source(): FakeEventSource {
  const latest = FakeEventSource.opened.at(-1);
  if (latest === undefined) throw new Error('no stream was opened');
  return latest;
}

function paint(): void {
  vi.advanceTimersByTime(20);
}

describe('a stream', () => {
  test('tells what came within a frame at once', () => {
    const machines = makeMachines(3);
    source().say('health', HEALTHY);
    source().say('run', { now: NOW, run: makeRun() });
    for (const line of machines) source().say('machines', { now: NOW, machines: [line] });
    expect(told).toBe(0);
    paint();
    expect(told).toBe(1);
    expect(liveStream(run).read()).toMatchObject({ link: 'open', run: { id: 'weekend-1' }, machines });
  });

  test('is one for all that watch the same run', () => {
    const other = liveStream(run).subscribe(() => {});
    expect(FakeEventSource.opened).toHaveLength(1);
    other();
  });

  test('is lost where the browser tries again, and open with the next message', () => {
    source().say('health', HEALTHY);
    paint();
    source().fail(false);
    expect(liveStream(run).read().link).toBe('lost');
    expect(FakeEventSource.opened).toHaveLength(1);
    source().say('health', HEALTHY);
    paint();
    expect(liveStream(run).read().link).toBe('open');
  });

  test('is opened anew where the browser gave up, saying the last id that it knows', () => {
    source().say('event', { id: '17-0' }, '17-0');
    source().fail(true);
    vi.advanceTimersByTime(2500);
    expect(FakeEventSource.opened).toHaveLength(2);
    expect(new URL(source().url, 'http://page').searchParams.get('lastEventId')).toBe('17-0');
    expect(new URL(source().url, 'http://page').searchParams.get('run')).toBe(run);
  });

  test('that is refused again and again is asked for less and less often', () => {
    const openedWithin = (ms: number): number => {
      const before = FakeEventSource.opened.length;
      for (let passed = 0; passed < ms; passed += 500) {
        if (source().readyState !== FakeEventSource.CLOSED) source().fail(true);
        vi.advanceTimersByTime(500);
      }
      return FakeEventSource.opened.length - before;
    };
    const early = openedWithin(30_000);
    expect(early).toBeGreaterThan(3);
    openedWithin(60_000);
    expect(openedWithin(30_000)).toBeLessThan(early);
  });

  test('that fell silent is opened anew, and is lost where nobody answers', () => {
    source().say('health', HEALTHY);
    paint();
    vi.advanceTimersByTime(36_000);
    expect(FakeEventSource.opened).toHaveLength(2);
    expect(liveStream(run).read().link).toBe('open');
    vi.advanceTimersByTime(9000);
    expect(liveStream(run).read().link).toBe('lost');
  });

  test('is let go while nobody sees the page, and taken up when somebody does', () => {
    page.hidden = true;
    page.dispatchEvent(new Event('visibilitychange'));
    vi.advanceTimersByTime(31_000);
    expect(source().readyState).toBe(FakeEventSource.CLOSED);
    page.hidden = false;
    page.dispatchEvent(new Event('visibilitychange'));
    expect(FakeEventSource.opened.length).toBeGreaterThan(1);
    expect(source().readyState).toBe(0);
  });

  test('ends a moment after its last watcher left, not on the way from one page to the next', () => {
    unsubscribe();
    const again = liveStream(run).subscribe(() => {});
    vi.advanceTimersByTime(5000);
    expect(FakeEventSource.opened).toHaveLength(1);
    again();
    vi.advanceTimersByTime(5000);
    expect(source().readyState).toBe(FakeEventSource.CLOSED);
  });
});
