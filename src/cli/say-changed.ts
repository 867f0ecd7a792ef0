/** The answer of commands that change machines: which ones, or why none. */
import type { Terminal } from './terminal.ts';

export function sayChanged(
  terminal: Terminal,
  said: {
    json: boolean;
    run: string;
    changed: readonly string[];
    done: string;
    nothing: string;
    next: string;
  },
): void {
  if (said.json) terminal.json({ run: said.run, machines: said.changed });
  else if (said.changed.length === 0) terminal.out(said.nothing);
  else terminal.out(`${said.changed.join(', ')}: ${said.done}. ${said.next}`);
}
