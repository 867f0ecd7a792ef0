/** Moments in a time zone, as a person reads them. English, 24 hours: the same words as the command line's. */

export type MomentStyle = 'time' | 'seconds' | 'day' | 'full';

const STYLES: Readonly<Record<MomentStyle, Intl.DateTimeFormatOptions>> = {
  time: { hour: '2-digit', minute: '2-digit', hourCycle: 'h23' },
  seconds: { hour: '2-digit', minute: '2-digit', second: '2-digit', hourCycle: 'h23' },
  day: { weekday: 'short', day: 'numeric', month: 'short' },
  full: {
    weekday: 'short',
    day: 'numeric',
    month: 'short',
    hour: '2-digit',
    minute: '2-digit',
    hourCycle: 'h23',
  },
};

const formats = new Map<string, Intl.DateTimeFormat>();

/** The viewer's own zone where `zone` is null, or is none that the browser knows. */
export function formatMoment(at: number, style: MomentStyle, zone: string | null): string {
  return formatOf(style, zone).format(at);
}

/** `14:30 Europe/Berlin`; where the viewer's clock shows something else: `14:30 Europe/Berlin (08:30 for you)`. */
export function formatInBothZones(at: number, style: MomentStyle, zone: string | null): string {
  const there = formatMoment(at, style, zone);
  if (zone === null) return there;
  const here = formatMoment(at, style, null);
  return here === there ? `${there} ${zone}` : `${there} ${zone} (${here} for you)`;
}

/** The viewer's clock beside the zone's: the day only where it is another one. */
export function formatOwn(at: number, style: MomentStyle, zone: string): string {
  const isOtherDay = formatMoment(at, 'day', zone) !== formatMoment(at, 'day', null);
  return formatMoment(at, isOtherDay || style !== 'full' ? style : 'time', null);
}

/** Does the zone's clock show now what the viewer's shows? */
export function isSameClock(at: number, zone: string | null): boolean {
  return zone === null || formatMoment(at, 'full', zone) === formatMoment(at, 'full', null);
}

export function ownZone(): string {
  return new Intl.DateTimeFormat().resolvedOptions().timeZone;
}

/** `Europe/Berlin` → `Berlin`: what fits into a label. */
export function shortZone(zone: string): string {
  return (zone.split('/').at(-1) ?? zone).replaceAll('_', ' ');
}

function formatOf(style: MomentStyle, zone: string | null): Intl.DateTimeFormat {
  const key = `${style} ${zone ?? ''}`;
  const known = formats.get(key);
  if (known !== undefined) return known;
  const made = makeFormat(style, zone);
  formats.set(key, made);
  return made;
}

function makeFormat(style: MomentStyle, zone: string | null): Intl.DateTimeFormat {
  const options = STYLES[style];
  try {
    return new Intl.DateTimeFormat('en-GB', zone === null ? options : { ...options, timeZone: zone });
  } catch {
    // A zone of the server's that this browser is too old to know: the viewer's own is better than nothing.
    return new Intl.DateTimeFormat('en-GB', options);
  }
}
