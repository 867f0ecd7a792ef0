/** An event as a sentence, without its time: what logs and the dashboard show of it. */
import type { RunEvent } from './events.ts';

/** null for events that say no more than how the machine stands. */
export function eventSentence(event: RunEvent): string | null {
  switch (event.type) {
    case 'run':
      return `run ${event.run} ${event.status}`;
    case 'machine':
      // Its step, just above, has said why.
      return `${event.machine} ${event.status}${event.error === null ? '' : ` (${event.error.code})`}`;
    case 'step':
      if (event.state === 'offered') return null;
      return `${event.machine} ${event.step} ${describeStep(event)}`;
    case 'log':
      return `${event.machine} ${event.step} ${event.level === 'info' ? '' : `${event.level}: `}${event.message}`;
    case 'remark':
      return `run ${event.run} ${event.level === 'info' ? '' : `${event.level}: `}${event.message}`;
    case 'operator':
      return `${event.machine ?? event.run} ${event.action} by ${event.by}${event.reason === null ? '' : ` (${event.reason})`}`;
    default:
      return event satisfies never;
  }
}

function describeStep(event: Extract<RunEvent, { type: 'step' }>): string {
  const why = event.error === null ? '' : `: ${event.error.message}`;
  switch (event.state) {
    case 'retrying':
      return `is tried again (try ${event.try})${why}`;
    case 'failed':
      return `failed${why}`;
    case 'started':
    case 'done':
    case 'offered':
      return event.state;
  }
}
