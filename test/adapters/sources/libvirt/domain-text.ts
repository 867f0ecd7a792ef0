/** The XML of domains, as text for tests. */
import { readDomainXml } from '../../../../adapters/sources/libvirt/domain-xml.ts';

export const UUID = 'f02b4464-e91d-4b69-86c2-77b299e1cb8d';

/** As `virsh dumpxml --inactive` prints it. */
export function domain(parts: {
  os?: string;
  body?: string;
  devices?: string;
  size?: string;
  attributes?: string;
}): string {
  return `<domain type='kvm'${parts.attributes ?? ''}>
  <name>web01</name>
  <uuid>${UUID}</uuid>
  ${parts.size ?? "<memory unit='KiB'>4194304</memory><currentMemory unit='KiB'>2097152</currentMemory><vcpu placement='static'>2</vcpu>"}
  <os>${parts.os ?? "<type arch='x86_64' machine='pc-q35-7.2'>hvm</type><boot dev='hd'/>"}</os>
  ${parts.body ?? ''}
  <devices>
    <emulator>/usr/bin/qemu-system-x86_64</emulator>
    ${parts.devices ?? ''}
  </devices>
</domain>`;
}

export const read = (parts: Parameters<typeof domain>[0]) => readDomainXml(domain(parts), 'web01');

export function disk(target: string, inner: string, attributes = "type='file' device='disk'"): string {
  return `<disk ${attributes}>${inner}<target dev='${target}' bus='virtio'/></disk>`;
}
