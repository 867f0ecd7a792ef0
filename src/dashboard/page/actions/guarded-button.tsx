import type { ComponentProps } from 'react';
import { Button } from '../components/button.tsx';
import { Tooltip } from '../components/tooltip.tsx';

/**
 * A button that says why it cannot be used. It can have the focus all the same: what is `disabled` is passed over by the
 * keyboard, and its why is then heard by nobody.
 */
export function GuardedButton({
  whyNot,
  onClick,
  ...rest
}: ComponentProps<typeof Button> & { whyNot: string | null }) {
  if (whyNot === null) return <Button {...rest} onClick={onClick} />;
  return (
    <Tooltip text={whyNot}>
      <Button {...rest} aria-disabled="true" onClick={(event) => event.preventDefault()} />
    </Tooltip>
  );
}
