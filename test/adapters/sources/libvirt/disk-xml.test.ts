import { describe, expect, it } from 'vitest';
import { disk, read } from './domain-text.ts';

describe('disks', () => {
  it.each<[string, string, string | undefined, unknown]>([
    [
      'a block device',
      "<source dev='/dev/vg/web'/>",
      "type='block' device='disk'",
      { kind: 'block', path: '/dev/vg/web' },
    ],
    [
      'a volume',
      "<source pool='default' volume='web.qcow2'/>",
      "type='volume' device='disk'",
      { kind: 'volume', pool: 'default', volume: 'web.qcow2' },
    ],
    [
      'RBD',
      "<source protocol='rbd' name='p/web'><host name='c1'/></source>",
      "type='network' device='disk'",
      { kind: 'other', what: 'rbd storage' },
    ],
    [
      'an NVMe device',
      "<source type='pci' namespace='1'/>",
      "type='nvme' device='disk'",
      { kind: 'other', what: 'storage of the type nvme' },
    ],
    [
      'a LUN',
      "<source dev='/dev/sdx'/>",
      "type='block' device='lun'",
      { kind: 'other', what: 'a lun of its host' },
    ],
    ['no medium', '', undefined, { kind: 'other', what: 'no medium at all' }],
    [
      'a slice',
      "<source file='/a'><slices><slice type='storage' offset='0' size='1'/></slices></source>",
      undefined,
      { kind: 'other', what: 'a slice of a file' },
    ],
  ])('on %s', (_, inner, attributes, source) => {
    expect(read({ devices: disk('vda', inner, attributes) }).disks).toMatchObject([{ source }]);
  });

  it('without a word of their format are raw, whatever a guest wrote onto them', () => {
    expect(read({ devices: disk('vda', "<source file='/a.qcow2'/>") }).disks).toMatchObject([
      { format: 'raw', backing: null },
    ]);
  });

  it('say of themselves that they are shared, read-only, dropped at the end, or encrypted', () => {
    const devices = [
      disk('vda', "<source file='/a'/><shareable/>"),
      disk('vdb', "<source file='/b'/><readonly/>"),
      disk('vdc', "<source file='/c'/><transient/>"),
      disk('vdd', "<source file='/d'><encryption format='luks'/></source>"),
      disk('vde', "<source file='/e'/><encryption format='luks'/>"),
    ].join('');
    expect(
      read({ devices }).disks.map(({ isShareable, isReadOnly, isTransient, isEncrypted }) => [
        isShareable,
        isReadOnly,
        isTransient,
        isEncrypted,
      ]),
    ).toEqual([
      [true, false, false, false],
      [false, true, false, false],
      [false, false, true, false],
      [false, false, false, true],
      [false, false, false, true],
    ]);
  });

  it('keep the order of their buses, and the one with the lowest boot order boots', () => {
    const devices = [
      disk('sda', '', "type='file' device='cdrom'"),
      disk('vda', "<source file='/a'/>"),
      disk('vdb', "<source file='/b'/><boot order='3'/>"),
      disk('vdc', "<source file='/c'/><boot order='2'/>"),
      disk('fda', '', "type='file' device='floppy'"),
    ].join('');
    const found = read({ devices });
    expect(found.disks.map(({ target, boots }) => [target, boots])).toEqual([
      ['vda', false],
      ['vdb', false],
      ['vdc', true],
    ]);
    expect(found.leftOut).toEqual([
      { target: 'sda', what: 'CD drive', why: 'it is empty' },
      { target: 'fda', what: 'floppy drive', why: 'it is empty' },
    ]);
  });

  it('that end their chain differ from those that say nothing of it', () => {
    expect(read({ devices: disk('vda', "<source file='/a'/><backingStore/>") }).disks[0]?.backing).toEqual(
      [],
    );
    const deep = `${"<backingStore type='file'><format type='qcow2'/><source file='/b'/>".repeat(500)}${'</backingStore>'.repeat(500)}`;
    const read500 = () =>
      read({ devices: disk('vda', `<source file='/a'/>${deep}`) }).disks[0]?.backing?.length;
    expect(attempt(read500)).toBeLessThanOrEqual(64);
  });
});

/** 0 where it was refused as too deep. */
function attempt(read: () => number | undefined): number {
  try {
    return read() ?? Number.POSITIVE_INFINITY;
  } catch (error) {
    expect(error).toMatchObject({ code: expect.stringMatching(/^image-/) });
    return 0;
  }
}
