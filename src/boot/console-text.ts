/** Reads a serial console as a person would: firmware and boot loaders paint it with terminal escapes. */

// biome-ignore-start lint/suspicious/noControlCharactersInRegex: terminal control is what is looked for
/** CSI cursor position (H, f), which starts a new piece of text somewhere else on the screen. */
const CURSOR_MOVE = /(?:\u001b\[|\u009b)[0-9;]*[Hf]/g;
/** Any other CSI sequence; ECMA-48 §5.4. */
const CONTROL_SEQUENCE = /(?:\u001b\[|\u009b)[0-?]*[ -/]*[@-~]/g;
/** Linux resets and sets its palette by these, alone among OSC without a terminator; console_codes(4). */
const PALETTE = /\u001b\](?:R|P[0-9a-fA-F]{7})/g;
/** OSC, DCS, APC, PM and SOS strings, ended by BEL or ST in their line: none may hide the lines after it. */
const CONTROL_STRING = /\u001b[\]P_^X][^\u0007\u001b\r\n]*(?:\u0007|\u001b\\)/g;
/** Two characters or more, but none that begins a longer sequence. */
const OTHER_ESCAPE = /\u001b(?:[ -/]+[0-~]|[0-Z\\-~])/g;
/** A sequence that was cut at the end of what was read so far. */
const CUT_ESCAPE = /\u001b(?:\[[0-?]*[ -/]*)?$/;
/** What remains of C0 and C1 but tab and line feed. */
const CONTROL = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/g;
// biome-ignore-end lint/suspicious/noControlCharactersInRegex: see above

/** Plain lines: no escapes, no carriage returns; text painted at another place of the screen starts a line. */
export function decodeConsole(bytes: Uint8Array): string {
  return new TextDecoder()
    .decode(bytes)
    .replace(PALETTE, '')
    .replace(CONTROL_STRING, '')
    .replace(CURSOR_MOVE, '\n')
    .replace(CONTROL_SEQUENCE, '')
    .replace(OTHER_ESCAPE, '')
    .replace(CUT_ESCAPE, '')
    .replace(CONTROL, '')
    .replace(/[ \t]+$/gm, '')
    .replace(/\n{3,}/g, '\n\n')
    .replace(/^\n+/, '');
}
