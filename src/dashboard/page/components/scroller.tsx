import type { ReactNode, Ref, UIEventHandler } from 'react';

/** Something that scrolls by itself: it can have the focus, so that the keyboard scrolls it, and says what it is. */
export function Scroller(props: {
  label: string;
  className: string | undefined;
  children: ReactNode;
  ref?: Ref<HTMLElement>;
  onScroll?: UIEventHandler<HTMLElement>;
  /** As CSS has it; where the class does not say. */
  height?: string;
}) {
  const { label, className, children, ref, onScroll, height } = props;
  return (
    <section
      ref={ref}
      className={className}
      aria-label={label}
      onScroll={onScroll}
      style={height === undefined ? {} : { height }}
      // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reached by the keyboard.
      tabIndex={0}
    >
      {children}
    </section>
  );
}
