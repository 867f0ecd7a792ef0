import { describe, expect, it } from 'vitest';
import { readDomainXml } from '../../../../adapters/sources/libvirt/domain-xml.ts';
import { disk, domain, read, UUID } from './domain-text.ts';

describe('a machine of virt-install', () => {
  // Debian 12, virt-install 4.1, after one external snapshot; shortened by controllers and addresses.
  const found = readDomainXml(
    `<domain type='kvm'>
  <name>erp-db-01</name>
  <uuid>${UUID.toUpperCase()}</uuid>
  <title>ERP database #weekend</title>
  <description>Ask Ann (#not here), it is issue #17.
#tier:db, #weekend.</description>
  <metadata>
    <landfall-tags:tags xmlns:landfall-tags="urn:landfall:tags">erp gold,weekend</landfall-tags:tags>
    <libosinfo:libosinfo xmlns:libosinfo="http://libosinfo.org/xmlns/libvirt/domain/1.0">
      <libosinfo:os id="http://debian.org/debian/12"/>
    </libosinfo:libosinfo>
  </metadata>
  <memory unit='GiB'>4</memory>
  <vcpu placement='static' current='2'>8</vcpu>
  <os firmware='efi'>
    <type arch='x86_64' machine='pc-q35-7.2'>hvm</type>
    <firmware>
      <feature enabled='yes' name='enrolled-keys'/>
      <feature enabled='yes' name='secure-boot'/>
    </firmware>
    <loader readonly='yes' secure='yes' type='pflash'>/usr/share/OVMF/OVMF_CODE_4M.ms.fd</loader>
    <nvram template='/usr/share/OVMF/OVMF_VARS_4M.ms.fd'>/var/lib/libvirt/qemu/nvram/erp-db-01_VARS.fd</nvram>
  </os>
  <features><acpi/><apic/><smm state='on'/></features>
  <clock offset='utc'/>
  <on_poweroff>destroy</on_poweroff>
  <devices>
    <emulator>/usr/bin/qemu-system-x86_64</emulator>
    <disk type='file' device='disk'>
      <driver name='qemu' type='qcow2' discard='unmap'/>
      <source file='/var/lib/libvirt/images/erp-db-01.snap1'/>
      <backingStore type='file'>
        <format type='qcow2'/>
        <source file='/var/lib/libvirt/images/erp-db-01.qcow2'/>
        <backingStore type='file'>
          <format type='raw'/>
          <source file='/var/lib/libvirt/images/golden &amp; co.img'/>
          <backingStore/>
        </backingStore>
      </backingStore>
      <target dev='vda' bus='virtio'/>
    </disk>
    <disk type='file' device='cdrom'>
      <driver name='qemu' type='raw'/>
      <source file='/isos/debian-12.iso'/>
      <target dev='sda' bus='sata'/>
      <readonly/>
    </disk>
    <interface type='network'>
      <mac address='52:54:00:AB:CD:EF'/>
      <source network='default' portgroup='erp'/>
      <model type='virtio'/>
    </interface>
    <interface type='bridge'><mac address='52:54:00:00:00:01'/><source bridge='br0'/></interface>
    <interface type='direct'><source dev='eno1' mode='bridge'/><model type='e1000e'/></interface>
    <interface type='user'/>
    <tpm model='tpm-crb'><backend type='emulator' version='2.0'/></tpm>
  </devices>
</domain>`,
    'erp-db-01',
  );

  it('is read whole', () => {
    expect(found).toEqual({
      uuid: UUID,
      name: 'erp-db-01',
      firmware: 'uefi',
      secureBoot: true,
      nvram: '/var/lib/libvirt/qemu/nvram/erp-db-01_VARS.fd',
      tpm: 'tpm-crb',
      cpus: 2,
      memoryBytes: 4 * 2 ** 30,
      os: 'debian/12',
      tags: ['weekend', 'tier:db', 'erp', 'gold'],
      looksLikeWindows: false,
      disks: [
        {
          target: 'vda',
          bus: 'virtio',
          source: { kind: 'file', path: '/var/lib/libvirt/images/erp-db-01.snap1' },
          format: 'qcow2',
          backing: [
            { path: '/var/lib/libvirt/images/erp-db-01.qcow2', format: 'qcow2' },
            { path: '/var/lib/libvirt/images/golden & co.img', format: 'raw' },
          ],
          boots: true,
          isReadOnly: false,
          isShareable: false,
          isTransient: false,
          isEncrypted: false,
        },
      ],
      leftOut: [
        {
          target: 'sda',
          what: 'CD drive',
          why: 'its medium /isos/debian-12.iso is no part of the machine',
        },
      ],
      nics: [
        { network: 'default', model: 'virtio', mac: '52:54:00:ab:cd:ef' },
        { network: 'br0', model: null, mac: '52:54:00:00:00:01' },
        { network: 'eno1', model: 'e1000e', mac: null },
        { network: null, model: null, mac: null },
      ],
      passedThrough: [],
      staysOff: true,
    });
  });
});

describe('firmware', () => {
  it.each<[string, string, 'bios' | 'uefi', boolean]>([
    ['nothing said', '', 'bios', false],
    ['a ROM', "<loader type='rom'>/usr/share/seabios/bios.bin</loader>", 'bios', false],
    ['flash', "<loader readonly='yes' type='pflash'>/fw/CODE.fd</loader>", 'uefi', false],
    [
      'flash that locks its keys',
      "<loader secure='yes' type='pflash'>/fw/CODE.secboot.fd</loader>",
      'uefi',
      true,
    ],
    ['OVMF as a ROM', "<loader type='rom'>/usr/share/ovmf/OVMF.fd</loader>", 'uefi', false],
    [
      'secure boot turned off',
      "<firmware><feature enabled='no' name='secure-boot'/></firmware><loader secure='yes' type='pflash'>/f</loader>",
      'uefi',
      false,
    ],
  ])('of %s', (_, os, firmware, secureBoot) => {
    expect(read({ os })).toMatchObject({ firmware, secureBoot });
  });

  it.each(['efi', 'bios'])('that libvirt chose as %s', (chosen) => {
    const xml = domain({}).replace('<os>', `<os firmware='${chosen}'>`);
    expect(readDomainXml(xml, 'web01').firmware).toBe(chosen === 'efi' ? 'uefi' : 'bios');
  });
});

describe('sizes', () => {
  it.each<[string, number]>([
    ['<memory>1048576</memory>', 2 ** 30],
    ["<memory unit='MiB'>512</memory>", 512 * 2 ** 20],
    ["<memory unit='M'>512</memory>", 512 * 2 ** 20],
    ["<memory unit='GB'>2</memory>", 2e9],
    ["<memory unit='bytes'>1073741824</memory>", 2 ** 30],
    ["<memory unit='GiB'>4</memory><currentMemory unit='GiB'>3</currentMemory>", 3 * 2 ** 30],
  ])('%s', (memory, memoryBytes) => {
    expect(read({ size: `${memory}<vcpu>1</vcpu>` })).toMatchObject({ memoryBytes, cpus: 1 });
  });

  it.each([
    "<memory unit='furlong'>1</memory>",
    '<memory>-1</memory>',
    '<memory>lots</memory>',
    '<memory>1</memory><vcpu>0</vcpu>',
    '<memory>1</memory><vcpu>1e999</vcpu>',
  ])('refuses %s', (size) => {
    expect(() => read({ size })).toThrow(expect.objectContaining({ code: 'image-unreadable' }));
  });
});

describe('the guest', () => {
  const note = (id: string) =>
    `<metadata><l:libosinfo xmlns:l="http://libosinfo.org/xmlns/libvirt/domain/1.0"><l:os id="${id}"/></l:libosinfo></metadata>`;

  it.each([
    ['http://microsoft.com/win/2k22', 'windows/2k22'],
    ['http://microsoft.com/win/11', 'windows/11'],
    ['http://redhat.com/rhel/9.2', 'rhel/9.2'],
    ['http://ubuntu.com/ubuntu/22.04', 'ubuntu/22.04'],
    ['mine', 'mine'],
  ])('%s is %s', (id, os) => {
    expect(read({ body: note(id) }).os).toBe(os);
  });

  it.each([
    ['<features><hyperv mode="custom"/></features>', true],
    ["<clock offset='localtime'/>", true],
    ["<features><acpi/></features><clock offset='utc'/>", false],
  ])('looks like Windows by %s: %s', (body, looksLikeWindows) => {
    expect(read({ body })).toMatchObject({ looksLikeWindows, os: null });
  });
});

describe('what else the guest uses', () => {
  it('is told', () => {
    const found = read({
      attributes: " xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'",
      devices: "<hostdev mode='subsystem' type='pci'/>",
      body: "<on_poweroff>restart</on_poweroff><qemu:commandline><qemu:arg value='-x'/></qemu:commandline>",
    });
    expect(found).toMatchObject({
      staysOff: false,
      passedThrough: ['a pci device of its host', 'arguments of qemu by hand'],
    });
  });
});

describe('XML that is meant to harm', () => {
  it.each([
    [
      'an entity',
      `<!DOCTYPE domain [<!ENTITY x SYSTEM "file:///etc/passwd">]>${domain({})}`,
      'image-hostile',
    ],
    ['no domain', '<network/>', 'image-corrupt'],
    ['a cut end', domain({}).slice(0, -20), 'image-corrupt'],
    ['no text', '', 'image-corrupt'],
    ['no uuid', domain({}).replace(UUID, ''), 'image-unreadable'],
  ])('%s is refused', (_, xml, code) => {
    expect(() => readDomainXml(xml, 'web01')).toThrow(expect.objectContaining({ code }));
  });

  it('may not reach for prototypes, and takes their names for names elsewhere', () => {
    expect(() => read({ body: '<constructor/>' })).toThrow(
      expect.objectContaining({ code: 'image-hostile' }),
    );
    const found = read({ devices: disk('__proto__', "<source file='/constructor'/>") });
    expect(found.disks).toMatchObject([{ target: '__proto__', source: { path: '/constructor' } }]);
  });
});
