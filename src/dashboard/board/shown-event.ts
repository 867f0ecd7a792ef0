/** An event with the sentence that it is told in. */
import { eventSentence } from '../../domain/event-sentence.ts';
import type { StoredEvent } from '../../domain/events.ts';
import type { ShownEvent } from '../api/machine.ts';

export function showEvent(event: StoredEvent): ShownEvent {
  return { ...event, text: eventSentence(event) ?? offered(event) };
}

/** Logs leave it out: the step's start follows. */
function offered(event: StoredEvent): string {
  return event.type === 'step' ? `${event.machine} ${event.step} waits for a worker` : event.type;
}
