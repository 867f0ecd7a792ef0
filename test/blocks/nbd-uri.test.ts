import { describe, expect, it } from 'vitest';
import { parseNbdUri } from '../../src/blocks/nbd-uri.ts';

describe('parseNbdUri', () => {
  it.each([
    ['nbd://example.com', { kind: 'tcp', host: 'example.com', port: 10809 }, '', false],
    ['nbd://example.com:99/disk', { kind: 'tcp', host: 'example.com', port: 99 }, 'disk', false],
    ['nbd://example.com//disk', { kind: 'tcp', host: 'example.com', port: 10809 }, '/disk', false],
    ['nbd://h/hello%20w%C3%B6rld', { kind: 'tcp', host: 'h', port: 10809 }, 'hello wörld', false],
    ['nbds://[::1]:99/', { kind: 'tcp', host: '::1', port: 99 }, '', true],
    ['nbd+unix:///?socket=/tmp/a%20b', { kind: 'unix', socketPath: '/tmp/a b' }, '', false],
    ['nbds+unix:///sda?socket=s', { kind: 'unix', socketPath: 's' }, 'sda', true],
  ])('reads %s', (text, address, exportName, isTls) => {
    expect(parseNbdUri(text)).toEqual({ address, exportName, isTls, tlsHostname: null, text });
  });

  it('reads the name that a certificate must have', () => {
    expect(parseNbdUri('nbds+unix:///?socket=s&tls-hostname=web').tlsHostname).toBe('web');
  });

  it.each([
    ['disk.qcow2', 'not a URI'],
    ['http://h/disk', 'its scheme is http'],
    ['nbd:///disk', 'the host is missing'],
    ['nbd+unix:///disk', 'the parameter socket is missing'],
    ['nbd+unix://h/disk?socket=s', 'both a host and a socket'],
    ['nbd://h/disk?socket=s', 'both a host and a socket'],
    ['nbds://h/?tls-verify-peer=0', 'the parameter tls-verify-peer is not known'],
    ['nbd://h/%ff', 'not encoded'],
    [`nbd://h/${'x'.repeat(4097)}`, 'more than 4096 bytes'],
  ])('refuses %s', (text, why) => {
    expect(() => parseNbdUri(text)).toThrow(why);
  });
});
