import { describe, expect, it } from 'vitest';
import { parseVmx } from '../../src/images/vmx.ts';

const BASE = `.encoding = "UTF-8"
# a comment
displayName = "Shop |22web|22"
guestOS = "debian12-64"
numvcpus = "4"
memSize = "2048"
uuid.bios = "56 4d 8f aa bb cc dd ee-ff 00 11 22 33 44 55 66"
scsi0.present = "TRUE"
scsi0:0.present = "TRUE"
scsi0:0.fileName = "web.vmdk"
`;

function parse(...lines: string[]) {
  return parseVmx(Buffer.from(`${BASE}${lines.join('\n')}\n`), 'web.vmx');
}

describe('a VMX', () => {
  it('is read with its hardware', () => {
    const nics = [
      'ethernet0.present = "TRUE"',
      'ethernet0.networkName = "Shop LAN"',
      'ethernet0.virtualDev = "vmxnet3"',
      'ethernet0.generatedAddress = "00:0C:29:AA:BB:CC"',
      'ethernet1.present = "FALSE"',
    ];
    expect(parse('firmware = "efi"', 'uefi.secureBoot.enabled = "TRUE"', ...nics)).toEqual({
      name: 'Shop "web"',
      uuid: '564d8faa-bbcc-ddee-ff00-112233445566',
      firmware: 'uefi',
      secureBoot: true,
      cpus: 4,
      memoryBytes: 2 * 2 ** 30,
      os: 'debian12-64',
      disks: [{ place: 'scsi0:0', file: 'web.vmdk', line: 10, boots: true }],
      nics: [{ network: 'Shop LAN', model: 'vmxnet3', mac: '00:0c:29:aa:bb:cc' }],
    });
  });

  it('orders disks by bus, controller and unit as numbers, and leaves out drives that are none or absent', () => {
    const disks = ['scsi0:10', 'scsi0:2', 'scsi1:0', 'sata0:0', 'nvme0:0', 'ide0:0'].flatMap((place) => [
      `${place}.present = "TRUE"`,
      `${place}.fileName = "${place.replace(':', '-')}.vmdk"`,
    ]);
    const others = [
      'ide1:0.present = "TRUE"',
      'ide1:0.fileName = "debian.iso"',
      'ide1:0.deviceType = "cdrom-image"',
      'scsi0:3.present = "FALSE"',
      'scsi0:3.fileName = "old.vmdk"',
    ];
    const found = parse(...disks, ...others).disks;
    expect(found.map(({ place }) => place)).toEqual([
      'scsi0:0',
      'scsi0:2',
      'scsi0:10',
      'scsi1:0',
      'nvme0:0',
      'sata0:0',
      'ide0:0',
    ]);
    expect(found.filter(({ boots }) => boots).map(({ place }) => place)).toEqual(['scsi0:0']);
  });

  it('boots by the disk that the BIOS is told to try first', () => {
    const found = parse(
      'sata0:1.present = "true"',
      'sata0:1.fileName = "b.vmdk"',
      'bios.hddOrder = "sata0:1,scsi0:0"',
    ).disks;
    expect(found.filter(({ boots }) => boots).map(({ place }) => place)).toEqual(['sata0:1']);
  });

  it('is read in the encoding that it names', () => {
    const text =
      '.encoding = "windows-1252"\ndisplayName = "B\xfcro"\nmemSize = "4"\nide0:0.present = "TRUE"\nide0:0.fileName = "b.vmdk"';
    expect(parseVmx(Buffer.from(text, 'latin1'), 'b.vmx').name).toBe('Büro');
  });

  it('says Windows where the guest is an old one', () => {
    expect(parse('guestOS = "winnetstandard"').os).toBe('winnetstandard (Windows)');
  });

  it.each([
    ['is suspended', 'checkpoint.vmState = "web.vmss"', 'source-not-off', /suspended/],
    ['is encrypted', 'encryption.keySafe = "vmware:key/list"', 'image-unreadable', /encrypted/],
    ['reads a device of its host', 'scsi0:0.deviceType = "rawDisk"', 'image-hostile', /rawdisk/],
    ['has senseless memory', 'memSize = "lots"', 'image-corrupt', /line 11.*lots/],
    ['has a line that is no setting', 'oops', 'image-corrupt', /line 11/],
  ])('is refused where it %s', (_, line, code, message) => {
    expect(() => parse(line)).toThrow(
      expect.objectContaining({ code, message: expect.stringMatching(message) }),
    );
  });

  it('is refused where it has no disk', () => {
    expect(() => parseVmx(Buffer.from('memSize = "4"\n'), 'b.vmx')).toThrow(
      expect.objectContaining({ code: 'image-corrupt', message: expect.stringContaining('no disk') }),
    );
  });
});
