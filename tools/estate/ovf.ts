/** An OVF descriptor as vSphere exports one: OVF 1.1 with VMware's own additions. */

export type OvfMachine = {
  name: string;
  cpus: number;
  memoryBytes: number;
  firmware: 'bios' | 'efi';
  network: string;
  mac: string;
  disks: readonly OvfDisk[];
};

export type OvfDisk = {
  /** File name beside the descriptor. */
  file: string;
  fileBytes: number;
  capacityBytes: number;
  populatedBytes: number;
};

const MIB = 1024 * 1024;
const STREAM_OPTIMIZED = 'http://www.vmware.com/interfaces/specifications/vmdk.html#streamOptimized';

/** Names are those of the builder and need no escaping. */
export function writeOvf(machine: OvfMachine): string {
  return `<?xml version="1.0" encoding="UTF-8"?>
<Envelope vmw:buildId="build-22617221" xmlns="http://schemas.dmtf.org/ovf/envelope/1" xmlns:cim="http://schemas.dmtf.org/wbem/wscim/1/common" xmlns:ovf="http://schemas.dmtf.org/ovf/envelope/1" xmlns:rasd="http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_ResourceAllocationSettingData" xmlns:vmw="http://www.vmware.com/schema/ovf" xmlns:vssd="http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_VirtualSystemSettingData" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">
  <References>
${machine.disks.map(fileReference).join('\n')}
  </References>
  <DiskSection>
    <Info>Virtual disk information</Info>
${machine.disks.map(diskEntry).join('\n')}
  </DiskSection>
  <NetworkSection>
    <Info>The list of logical networks</Info>
    <Network ovf:name="${machine.network}">
      <Description>The ${machine.network} network</Description>
    </Network>
  </NetworkSection>
  <VirtualSystem ovf:id="${machine.name}">
    <Info>A virtual machine</Info>
    <Name>${machine.name}</Name>
    <OperatingSystemSection ovf:id="96" vmw:osType="debian12_64Guest">
      <Info>The kind of installed guest operating system</Info>
      <Description>Debian GNU/Linux 12 (64-bit)</Description>
    </OperatingSystemSection>
    <VirtualHardwareSection>
      <Info>Virtual hardware requirements</Info>
      <System>
        <vssd:ElementName>Virtual Hardware Family</vssd:ElementName>
        <vssd:InstanceID>0</vssd:InstanceID>
        <vssd:VirtualSystemIdentifier>${machine.name}</vssd:VirtualSystemIdentifier>
        <vssd:VirtualSystemType>vmx-19</vssd:VirtualSystemType>
      </System>
${hardware(machine).join('\n')}
      <vmw:Config ovf:required="false" vmw:key="firmware" vmw:value="${machine.firmware}"/>
      <vmw:Config ovf:required="false" vmw:key="bootOptions.efiSecureBootEnabled" vmw:value="false"/>
    </VirtualHardwareSection>
  </VirtualSystem>
</Envelope>
`;
}

function fileReference({ file, fileBytes }: OvfDisk, index: number): string {
  return `    <File ovf:href="${file}" ovf:id="file${index + 1}" ovf:size="${fileBytes}"/>`;
}

function diskEntry({ capacityBytes, populatedBytes }: OvfDisk, index: number): string {
  const capacity = `ovf:capacity="${capacityBytes / MIB}" ovf:capacityAllocationUnits="byte * 2^20"`;
  const content = `ovf:format="${STREAM_OPTIMIZED}" ovf:populatedSize="${populatedBytes}"`;
  return `    <Disk ${capacity} ovf:diskId="vmdisk${index + 1}" ovf:fileRef="file${index + 1}" ${content}/>`;
}

/** Item elements keep CIM's own order, alphabetical by element, as the schema wants. */
function hardware({ cpus, memoryBytes, network, mac, disks }: OvfMachine): string[] {
  const memoryMib = memoryBytes / MIB;
  return [
    item(`<rasd:AllocationUnits>hertz * 10^6</rasd:AllocationUnits>
        <rasd:Description>Number of Virtual CPUs</rasd:Description>
        <rasd:ElementName>${cpus} virtual CPU(s)</rasd:ElementName>
        <rasd:InstanceID>1</rasd:InstanceID>
        <rasd:ResourceType>3</rasd:ResourceType>
        <rasd:VirtualQuantity>${cpus}</rasd:VirtualQuantity>`),
    item(`<rasd:AllocationUnits>byte * 2^20</rasd:AllocationUnits>
        <rasd:Description>Memory Size</rasd:Description>
        <rasd:ElementName>${memoryMib}MB of memory</rasd:ElementName>
        <rasd:InstanceID>2</rasd:InstanceID>
        <rasd:ResourceType>4</rasd:ResourceType>
        <rasd:VirtualQuantity>${memoryMib}</rasd:VirtualQuantity>`),
    item(`<rasd:Address>0</rasd:Address>
        <rasd:Description>SCSI Controller</rasd:Description>
        <rasd:ElementName>SCSI Controller 0</rasd:ElementName>
        <rasd:InstanceID>3</rasd:InstanceID>
        <rasd:ResourceSubType>lsilogic</rasd:ResourceSubType>
        <rasd:ResourceType>6</rasd:ResourceType>`),
    ...disks.map((_disk, index) =>
      item(`<rasd:AddressOnParent>${index}</rasd:AddressOnParent>
        <rasd:ElementName>Hard Disk ${index + 1}</rasd:ElementName>
        <rasd:HostResource>ovf:/disk/vmdisk${index + 1}</rasd:HostResource>
        <rasd:InstanceID>${10 + index}</rasd:InstanceID>
        <rasd:Parent>3</rasd:Parent>
        <rasd:ResourceType>17</rasd:ResourceType>`),
    ),
    item(`<rasd:Address>${mac}</rasd:Address>
        <rasd:AddressOnParent>7</rasd:AddressOnParent>
        <rasd:AutomaticAllocation>true</rasd:AutomaticAllocation>
        <rasd:Connection>${network}</rasd:Connection>
        <rasd:Description>VmxNet3 ethernet adapter on "${network}"</rasd:Description>
        <rasd:ElementName>Ethernet 1</rasd:ElementName>
        <rasd:InstanceID>4</rasd:InstanceID>
        <rasd:ResourceSubType>VmxNet3</rasd:ResourceSubType>
        <rasd:ResourceType>10</rasd:ResourceType>`),
  ];
}

function item(content: string): string {
  return `      <Item>\n        ${content}\n      </Item>`;
}
