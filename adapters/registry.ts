/** The one list that names every vendor. A new one costs its folder and a line here. */
import type { SourceAdapter, TargetAdapter } from '../src/domain/adapter.ts';
import { filesSource } from './sources/files/adapter.ts';
import { libvirtSource } from './sources/libvirt/adapter.ts';
import { awsTarget } from './targets/aws/aws.ts';
import { azureTarget } from './targets/azure/azure.ts';

export const sources: Readonly<Record<string, SourceAdapter>> = {
  files: filesSource,
  libvirt: libvirtSource,
};

export const targets: Readonly<Record<string, TargetAdapter>> = {
  aws: awsTarget,
  azure: azureTarget,
};
