/** What RunInstances takes. */
import {
  booleanParameter,
  integerParameter,
  listParameter,
  structParameter,
  textParameter,
} from '../query-form.ts';
import { blockDeviceParameters } from './block-devices.ts';
import type { Tags } from './state.ts';
import { tagSpecificationParameters, takeTags } from './tags.ts';

const TAGGABLE = ['instance', 'volume', 'network-interface'] as const;

export const runParameters = {
  ImageId: textParameter,
  InstanceType: textParameter,
  MinCount: integerParameter,
  MaxCount: integerParameter,
  ClientToken: textParameter.optional(),
  SubnetId: textParameter.optional(),
  SecurityGroupId: listParameter(textParameter).optional(),
  PrivateIpAddress: textParameter.optional(),
  NetworkInterface: listParameter(
    structParameter({
      DeviceIndex: integerParameter,
      SubnetId: textParameter.optional(),
      SecurityGroupId: listParameter(textParameter).optional(),
      PrivateIpAddress: textParameter.optional(),
      Description: textParameter.optional(),
      AssociatePublicIpAddress: booleanParameter.optional(),
      DeleteOnTermination: booleanParameter.optional(),
      InterfaceType: textParameter.optional(),
    }),
  ).optional(),
  KeyName: textParameter.optional(),
  UserData: textParameter.optional(),
  EbsOptimized: booleanParameter.optional(),
  DisableApiTermination: booleanParameter.optional(),
  DisableApiStop: booleanParameter.optional(),
  InstanceInitiatedShutdownBehavior: textParameter.optional(),
  IamInstanceProfile: structParameter({
    Arn: textParameter.optional(),
    Name: textParameter.optional(),
  }).optional(),
  Monitoring: structParameter({ Enabled: booleanParameter }).optional(),
  Placement: structParameter({
    AvailabilityZone: textParameter.optional(),
    Tenancy: textParameter.optional(),
  }).optional(),
  CreditSpecification: structParameter({ CpuCredits: textParameter }).optional(),
  MetadataOptions: structParameter({
    HttpTokens: textParameter.optional(),
    HttpEndpoint: textParameter.optional(),
    HttpPutResponseHopLimit: integerParameter.optional(),
    HttpProtocolIpv6: textParameter.optional(),
    InstanceMetadataTags: textParameter.optional(),
  }).optional(),
  ...blockDeviceParameters,
  ...tagSpecificationParameters,
};

export type RunInput = (typeof runShape)['_output'];
const runShape = structParameter(runParameters);

export function tagsFor(
  { TagSpecification: specifications }: RunInput,
  type: (typeof TAGGABLE)[number],
): Tags {
  return takeTags({ specifications, type, allowed: TAGGABLE });
}
