import { describe, expect, it } from 'vitest';
import { parseOvf } from '../../src/images/ovf.ts';
import { unitBytes } from '../../src/images/ovf-units.ts';
import { item, type OvfDiskText, type OvfSystemText, ovfText } from './make-appliance.ts';

const GIB = 2 ** 30;
const DISK: OvfDiskText = { id: 'd0', href: 'd0.vmdk', capacity: '4', units: 'byte * 2^30' };

function parse(text: string) {
  return parseOvf(Buffer.from(text), 'm.ovf');
}

function parseSystem(system: Partial<OvfSystemText> = {}, disks: readonly OvfDiskText[] = [DISK]) {
  const [found] = parse(
    ovfText({ disks, systems: [{ id: 'vm', disks: disks.map(({ id }) => id), ...system }] }),
  );
  if (found === undefined) throw new Error('no system');
  return found;
}

function refusal(code: string, message: RegExp) {
  return expect.objectContaining({ code, message: expect.stringMatching(message) });
}

describe('a machine in an OVF', () => {
  it('is read with its hardware', () => {
    expect(parseSystem({ name: 'Shop &amp; DB &#x31;' })).toMatchObject({
      name: 'Shop & DB 1',
      id: 'vm',
      firmware: 'bios',
      secureBoot: false,
      cpus: 2,
      memoryBytes: 512 * 2 ** 20,
      os: 'debian12_64Guest',
      disks: [
        {
          id: 'd0',
          file: { name: 'd0.vmdk', isCompressed: false },
          capacity: { bytes: 4 * GIB },
          boots: true,
        },
      ],
      nics: [{ network: 'VM Network', model: 'VmxNet3', mac: '00:50:56:ab:cd:ef' }],
    });
  });

  it('goes by its id where it has no name', () => {
    expect(parseSystem().name).toBe('vm');
  });

  it('takes whatever prefixes a writer chose, and UTF-16', () => {
    const text = ovfText({ disks: [DISK], systems: [{ id: 'vm', disks: ['d0'] }] })
      .replaceAll('rasd:', 'r:')
      .replaceAll('ovf:', 'o:')
      .replace(/<(\/?)(VirtualSystem|VirtualHardwareSection|Item)\b/g, '<$1o:$2')
      .replace('o:/disk/', '/disk/');
    expect(parse(text)[0]).toMatchObject({ cpus: 2, disks: [{ id: 'd0' }] });
    const utf16 = Buffer.concat([Buffer.from([0xff, 0xfe]), Buffer.from(text, 'utf16le')]);
    expect(parseOvf(utf16, 'm.ovf')[0]).toMatchObject({ name: 'vm' });
  });

  it('boots by UEFI where VMware says so, with secure boot', () => {
    const hardware =
      '<vmw:Config vmw:key="firmware" vmw:value="efi"/><vmw:Config vmw:key="bootOptions.efiSecureBootEnabled" vmw:value="true"/>';
    expect(parseSystem({ hardware })).toMatchObject({ firmware: 'uefi', secureBoot: true });
  });

  it('boots by UEFI where VirtualBox says so, and has its uuid', () => {
    const extra =
      '<vbox:Machine uuid="{AB34cd12-0000-4000-8000-000000000001}"><Hardware><Firmware type="EFI"/></Hardware></vbox:Machine>';
    expect(parseSystem({ extra })).toMatchObject({
      firmware: 'uefi',
      uuid: 'ab34cd12-0000-4000-8000-000000000001',
    });
  });

  it('says Windows where only the description does', () => {
    const text = ovfText({ disks: [DISK], systems: [{ id: 'vm', disks: ['d0'] }] }).replace(
      'vmw:osType="debian12_64Guest"><Info/>',
      'vmw:osType="winNetStandardGuest"><Info/><Description>Microsoft Windows Server 2003</Description>',
    );
    expect(parse(text)[0]?.os).toBe('winNetStandardGuest (Microsoft Windows Server 2003)');
  });

  it('sums memory items in whatever units they are', () => {
    const hardware = item({
      AllocationUnits: 'MegaBytes',
      InstanceID: 77,
      ResourceType: 4,
      VirtualQuantity: 512,
    });
    expect(parseSystem({ hardware }).memoryBytes).toBe(GIB);
  });

  it('takes the default deployment option and leaves bounds out', () => {
    const hardware = [
      item({ InstanceID: 1, ResourceType: 3, VirtualQuantity: 16 }, 'ovf:configuration="big"'),
      item({ InstanceID: 1, ResourceType: 3, VirtualQuantity: 6 }, 'ovf:configuration="small medium"'),
      item({ InstanceID: 50, ResourceType: 3, VirtualQuantity: 64 }, 'ovf:bound="max"'),
    ].join('');
    const text = ovfText({ disks: [DISK], systems: [{ id: 'vm', disks: ['d0'], hardware }] }).replace(
      '<DiskSection>',
      '<DeploymentOptionSection><Info/><Configuration ovf:id="big"/><Configuration ovf:id="medium" ovf:default="true"/></DeploymentOptionSection><DiskSection>',
    );
    expect(parse(text)[0]?.cpus).toBe(6);
  });
});

describe('disks in an OVF', () => {
  const disks: OvfDiskText[] = ['a', 'b', 'c', 'd', 'e'].map((id) => ({ ...DISK, id, href: `${id}.vmdk` }));
  const drive = (id: string, fields: Record<string, string | number>) =>
    item({ HostResource: `/disk/${id}`, ResourceType: 17, ...fields });

  it('come in bus order: by kind of controller, its address, then the place on it', () => {
    const hardware = [
      item({ Address: 1, InstanceID: 30, ResourceType: 6 }),
      item({ Address: 0, InstanceID: 31, ResourceType: 6 }),
      item({ Address: 0, InstanceID: 40, ResourceType: 20, ResourceSubType: 'vmware.nvme.controller' }),
      item({ Address: 0, InstanceID: 41, ResourceType: 20, ResourceSubType: 'AHCI' }),
      drive('a', { InstanceID: 60, Parent: 41, AddressOnParent: 0 }),
      drive('b', { InstanceID: 61, Parent: 40, AddressOnParent: 0 }),
      drive('c', { InstanceID: 62, Parent: 30, AddressOnParent: 0 }),
      drive('d', { InstanceID: 63, Parent: 31, AddressOnParent: 10 }),
      drive('e', { InstanceID: 64, Parent: 31, AddressOnParent: 9 }),
    ].join('');
    const found = parseSystem({ disks: [], hardware }, disks).disks;
    expect(found.map(({ id }) => id)).toEqual(['e', 'd', 'c', 'b', 'a']);
    expect(found.map(({ boots }) => boots)).toEqual([true, false, false, false, false]);
  });

  it('boot by the disk that VMware’s boot order names', () => {
    const extra = '<vmw:BootOrderSection vmw:instanceId="21" vmw:type="disk"><Info/></vmw:BootOrderSection>';
    const found = parseSystem({ disks: ['a', 'b'], extra }, disks).disks;
    expect(found.map(({ id, boots }) => [id, boots])).toEqual([
      ['a', false],
      ['b', true],
    ]);
  });

  it('may be blank, compressed, and sized in old units', () => {
    const found = parseSystem({}, [
      { ...DISK, fileAttributes: 'ovf:compression="gzip"' },
      { id: 'blank', href: null, capacity: '10', units: 'GigaBytes' },
      { id: 'plain', href: 'p%20q.vmdk', capacity: '1024' },
    ]).disks;
    expect(found).toMatchObject([
      { file: { isCompressed: true } },
      { file: null, capacity: { bytes: 10 * GIB } },
      { file: { name: 'p q.vmdk' }, capacity: { bytes: 1024, unitBytes: 1 } },
    ]);
  });

  it.each([
    ['lies in another folder', [{ ...DISK, href: '../secret.vmdk' }], 'image-hostile', /line 4.*secret/],
    ['is absolute', [{ ...DISK, href: '/etc/shadow' }], 'image-hostile', /line 4/],
    ['is absolute in disguise', [{ ...DISK, href: '%2Fetc%2Fshadow' }], 'image-hostile', /line 4/],
    ['is a URL', [{ ...DISK, href: 'http://10.0.0.1/d.vmdk' }], 'image-hostile', /line 4/],
    [
      'is in chunks',
      [{ ...DISK, fileAttributes: 'ovf:chunkSize="1000"' }],
      'image-unreadable',
      /line 4.*chunks.*cat/,
    ],
    [
      'is compressed otherwise',
      [{ ...DISK, fileAttributes: 'ovf:compression="bzip2"' }],
      'image-unreadable',
      /bzip2/,
    ],
    ['has a senseless unit', [{ ...DISK, units: 'furlong' }], 'image-corrupt', /line 8.*furlong/],
    ['has a senseless capacity', [{ ...DISK, capacity: '-4' }], 'image-corrupt', /line 8/],
    [
      'is blank without a capacity',
      [{ id: 'd0', href: null, capacity: '' }],
      'image-corrupt',
      /line 8.*neither/,
    ],
    ['is listed twice', [DISK, { ...DISK, href: null }], 'image-corrupt', /second disk/],
  ])('are refused, with the line, where one %s', (_, list, code, message) => {
    expect(() => parseSystem({ disks: ['d0'] }, list)).toThrow(refusal(code, message));
  });

  it('are refused where one is a delta, refers to nothing, or is attached twice', () => {
    const text = ovfText({ disks: [DISK], systems: [{ id: 'vm', disks: ['d0'] }] });
    expect(() => parse(text.replace('<Disk ', '<Disk ovf:parentRef="p" '))).toThrow(
      refusal('image-corrupt', /Consolidate/),
    );
    expect(() => parse(text.replace('ovf:fileRef="file-d0"', 'ovf:fileRef="gone"'))).toThrow(
      refusal('image-corrupt', /gone/),
    );
    expect(() => parseSystem({ disks: ['d0', 'd0'] })).toThrow(refusal('image-corrupt', /twice/));
    expect(() => parseSystem({ disks: ['other'] })).toThrow(refusal('image-corrupt', /other/));
    expect(() => parseSystem({ disks: [] })).toThrow(refusal('image-corrupt', /no disk/));
  });
});

describe('several machines in an OVF', () => {
  it('are read in their order', () => {
    const disks = [DISK, { ...DISK, id: 'd1', href: 'd1.vmdk' }];
    const systems = [
      { id: 'one', name: 'web', disks: ['d0'] },
      { id: 'two', name: 'db', disks: ['d1'] },
    ];
    expect(parse(ovfText({ disks, systems })).map(({ name, disks: own }) => [name, own[0]?.id])).toEqual([
      ['web', 'd0'],
      ['db', 'd1'],
    ]);
  });

  it('are refused where two have one name', () => {
    const systems = [
      { id: 'one', name: 'web', disks: ['d0'] },
      { id: 'two', name: 'web', disks: ['d0'] },
    ];
    expect(() => parse(ovfText({ disks: [DISK], systems }))).toThrow(
      refusal('image-corrupt', /line \d+.*second virtual system is called web; the first is in line \d+/),
    );
  });
});

describe('hostile or broken XML', () => {
  it.each([
    [
      'a DOCTYPE',
      '<?xml version="1.0"?>\n<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]>\n<Envelope>&e;</Envelope>',
      'image-hostile',
      /line 2/,
    ],
    ['an entity in other letters', '<Envelope>\n\n<!Entity e "x"></Envelope>', 'image-hostile', /line 3/],
    [
      'absurd nesting',
      `<Envelope>${'<a>'.repeat(5_000)}${'</a>'.repeat(5_000)}</Envelope>`,
      'image-hostile',
      /nested/,
    ],
    ['a reserved name', '<Envelope><__proto__/></Envelope>', 'image-hostile', /./],
    ['no end', '<Envelope>\n<References>\n', 'image-corrupt', /line/],
    ['another root', '<html></html>', 'image-corrupt', /Envelope/],
    ['nothing', '', 'image-corrupt', /./],
    ['no system', '<Envelope></Envelope>', 'image-corrupt', /no virtual system/],
  ])('is refused: %s', (_, text, code, message) => {
    expect(() => parse(text)).toThrow(refusal(code, message));
  });

  it('is refused where it is no text', () => {
    expect(() => parseOvf(Buffer.from([0x3c, 0xff, 0xfe, 0x80]), 'm.ovf')).toThrow(
      refusal('image-corrupt', /UTF-8/),
    );
  });
});

describe('units', () => {
  it.each([
    ['byte', 1],
    ['byte * 2^20', 2 ** 20],
    ['bytes*2^30', GIB],
    ['byte * 10^9', 1e9],
    ['byte * 1024 * 3', 3072],
    ['MegaBytes', 2 ** 20],
    ['KB', 1024],
    ['byte * 2^80', null],
    ['hertz * 10^6', null],
    ['constructor', null],
  ])('%s is %s bytes', (text, bytes) => {
    expect(unitBytes(text)).toBe(bytes);
  });
});
