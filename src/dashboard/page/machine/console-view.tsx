/** Console text as plain text. Only the lines in view are in the document; it follows the end until one scrolls up. */
import { useVirtualizer } from '@tanstack/react-virtual';
import { type UIEvent, useLayoutEffect, useRef, useState } from 'react';
import { Button } from '../components/button.tsx';
import { Loading } from '../components/loading.tsx';
import { ProblemNotice } from '../components/notice.tsx';
import { Scroller } from '../components/scroller.tsx';
import { plainLine } from '../view/console-buffer.ts';
import styles from './console-view.module.css';
import { useConsole } from './use-console.ts';

/** As in console-view.module.css. */
const LINE_PX = 18;
/** Above and below, with room for a scroll bar. */
const PADDING_PX = 36;
const OVERSCAN = 20;
/** So near to the top, what stood before is fetched. */
const NEAR_TOP_LINES = 30;
const AT_END_PX = 2 * LINE_PX;

export function ConsoleView({ of, isBooting }: { of: { run: string; machine: string }; isBooting: boolean }) {
  const { buffer, problem, isLive, totalChars, hasEarlier, loadEarlier } = useConsole(of, isBooting);
  const [isFollowing, setIsFollowing] = useState(true);
  const scroller = useRef<HTMLElement>(null);
  const lines = buffer?.lines ?? [];
  const virtual = useVirtualizer({
    count: lines.length,
    getScrollElement: () => scroller.current,
    estimateSize: () => LINE_PX,
    overscan: OVERSCAN,
  });

  // What is fetched before the first line must not move what one reads.
  const before = useRef<{ start: number; count: number } | null>(null);
  const start = buffer?.start ?? 0;
  useLayoutEffect(() => {
    const element = scroller.current;
    const old = before.current;
    if (element === null || buffer === null) return;
    if (old !== null && start < old.start && !isFollowing)
      element.scrollTop += (lines.length - old.count) * LINE_PX;
    else if (isFollowing) element.scrollTop = element.scrollHeight;
    before.current = { start, count: lines.length };
  }, [buffer, start, lines.length, isFollowing]);

  const onScroll = ({ currentTarget }: UIEvent<HTMLElement>): void => {
    const { scrollTop, scrollHeight, clientHeight } = currentTarget;
    setIsFollowing(scrollHeight - scrollTop - clientHeight <= AT_END_PX);
    if (scrollTop < NEAR_TOP_LINES * LINE_PX && scrollHeight > clientHeight) loadEarlier();
  };

  if (buffer === null) {
    return problem === null ? (
      <Loading what="Fetching what it said …" />
    ) : (
      <ProblemNotice what="The console cannot be shown." problem={problem} />
    );
  }
  return (
    <div className={styles.console}>
      <div className={styles.bar}>
        <span role="status">
          {isLive ? 'Live' : 'As it was kept'}, {totalChars.toLocaleString('en')} characters
          {hasEarlier && ', earlier ones as you scroll up'}
        </span>
        <span className={styles.buttons}>
          {hasEarlier && (
            <Button look="quiet" onClick={loadEarlier}>
              Fetch earlier
            </Button>
          )}
          <Button
            aria-pressed={isFollowing}
            onClick={() => {
              setIsFollowing(!isFollowing);
              const element = scroller.current;
              if (!isFollowing && element !== null) element.scrollTop = element.scrollHeight;
            }}
          >
            Follow the end
          </Button>
        </span>
      </div>
      {problem !== null && <ProblemNotice what="What is shown may be old." problem={problem} />}
      <Scroller
        ref={scroller}
        className={styles.scroller}
        height={`min(${virtual.getTotalSize() + PADDING_PX}px, 26rem, 60dvh)`}
        label={`Console of ${of.machine}`}
        onScroll={onScroll}
      >
        <div className={styles.all} style={{ height: virtual.getTotalSize() }}>
          <pre
            className={styles.window}
            style={{ transform: `translateY(${virtual.getVirtualItems()[0]?.start ?? 0}px)` }}
          >
            {virtual.getVirtualItems().map(({ index }) => (
              <span key={index} className={styles.line}>
                {plainLine(lines[index] ?? '')}
                {'\n'}
              </span>
            ))}
          </pre>
        </div>
      </Scroller>
    </div>
  );
}
