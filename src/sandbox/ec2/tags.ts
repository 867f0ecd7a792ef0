/** Tags: on creation (TagSpecification), later (CreateTags, DeleteTags), and listed (DescribeTags). */
import { listParameter, structParameter, textParameter } from '../query-form.ts';
import { defineEc2Action, type QueryActions } from '../query-protocol.ts';
import type { XmlValue } from '../xml.ts';
import type { Ec2Desk } from './cloud.ts';
import { cutPage, filterMembers, filterParameters, pageParameters } from './query.ts';
import { kindOfId, notFound, type ResourceKind, refuse, requireMember } from './refusals.ts';
import type { Ec2State, Tags } from './state.ts';

const MAX_TAGS = 50;
const MAX_KEY_LENGTH = 128;
const MAX_VALUE_LENGTH = 256;

export const tagSpecificationParameters = {
  TagSpecification: listParameter(
    structParameter({
      ResourceType: textParameter,
      Tag: listParameter(structParameter({ Key: textParameter, Value: textParameter.optional() })),
    }),
  ).optional(),
};

type TagInput = { Key: string; Value?: string | undefined };
type TagSpecification = { ResourceType: string; Tag: TagInput[] };

export function tagActions({ store }: Ec2Desk): QueryActions {
  return {
    CreateTags: defineEc2Action(
      {
        ResourceId: listParameter(textParameter),
        Tag: listParameter(structParameter({ Key: textParameter, Value: textParameter.optional() })),
      },
      async ({ ResourceId: ids, Tag: given }) => {
        const tags = readTags(given);
        await store.update((state) => {
          const holders = ids.map((id) => requireTagged(state, id));
          for (const holder of holders) Object.assign(holder.tags, tags);
          for (const holder of holders) checkCount(holder.tags);
        });
        return { return: true };
      },
    ),
    DeleteTags: defineEc2Action(
      {
        ResourceId: listParameter(textParameter),
        Tag: listParameter(
          structParameter({ Key: textParameter, Value: textParameter.optional() }),
        ).optional(),
      },
      async ({ ResourceId: ids, Tag: given }) => {
        await store.update((state) => {
          for (const { tags } of ids.map((id) => requireTagged(state, id))) removeTags(tags, given);
        });
        return { return: true };
      },
    ),
    DescribeTags: defineEc2Action({ ...filterParameters, ...pageParameters }, (input) => {
      const page = cutPage({
        members: filterMembers({
          members: listTags(store.read()),
          filters: input.Filter,
          tags: (entry) => ({ [entry.key]: entry.value }),
          fields: {
            key: (entry) => entry.key,
            value: (entry) => entry.value,
            'resource-id': (entry) => entry.resourceId,
            'resource-type': (entry) => entry.resourceType,
          },
        }),
        orderOf: (entry) => `${entry.resourceId} ${entry.key}`,
        maxResults: input.MaxResults,
        nextToken: input.NextToken,
      });
      return { tagSet: page.members, nextToken: page.nextToken };
    }),
  };
}

/** The tags for one resource type; types that this action does not create are refused. */
export function takeTags({
  specifications = [],
  type,
  allowed,
}: {
  specifications: readonly TagSpecification[] | undefined;
  type: string;
  allowed: readonly string[];
}): Tags {
  const stranger = specifications.find(({ ResourceType }) => !allowed.includes(ResourceType));
  if (stranger !== undefined) {
    throw refuse(
      'InvalidParameterValue',
      `'${stranger.ResourceType}' is not a valid taggable resource type for this operation.`,
    );
  }
  return readTags(
    specifications.filter(({ ResourceType }) => ResourceType === type).flatMap(({ Tag }) => Tag),
  );
}

export function describeTags(tags: Tags): XmlValue {
  return Object.entries(tags).map(([key, value]) => ({ key, value }));
}

function readTags(given: readonly TagInput[]): Tags {
  const tags: Tags = {};
  for (const { Key: key, Value: value = '' } of given) {
    if (key === '' || key.length > MAX_KEY_LENGTH) {
      throw refuse(
        'InvalidParameterValue',
        `Tag key exceeds the maximum length of ${MAX_KEY_LENGTH} characters`,
      );
    }
    if (value.length > MAX_VALUE_LENGTH) {
      throw refuse(
        'InvalidParameterValue',
        `Tag value exceeds the maximum length of ${MAX_VALUE_LENGTH} characters`,
      );
    }
    if (/^aws:/i.test(key)) {
      throw refuse('InvalidParameterValue', 'Tag keys starting with "aws:" are reserved for internal use');
    }
    if (Object.hasOwn(tags, key))
      throw refuse('InvalidParameterValue', `Duplicate tag key '${key}' specified.`);
    tags[key] = value;
  }
  checkCount(tags);
  return tags;
}

function checkCount(tags: Tags): void {
  if (Object.keys(tags).length <= MAX_TAGS) return;
  throw refuse('TagLimitExceeded', `The maximum number of Tags for a resource has been reached.`);
}

/** Without a list, all; without a value, whatever it is; with one, only where it is the same. */
function removeTags(tags: Tags, given: readonly TagInput[] | undefined): void {
  for (const { Key, Value } of given ?? Object.keys(tags).map((Key): TagInput => ({ Key }))) {
    if (Value === undefined || tags[Key] === Value) delete tags[Key];
  }
}

function requireTagged(state: Ec2State, id: string): { tags: Tags } {
  const kind = kindOfId(id);
  if (kind === null) throw refuse('InvalidID', `The ID '${id}' is not valid`);
  if (kind === 'interface') {
    const owner = Object.values(state.instances).find((instance) => instance.interface.id === id);
    if (owner === undefined) throw notFound(kind, id);
    return owner.interface;
  }
  return requireMember<{ tags: Tags }>({ members: membersOf(state, kind), kind, id });
}

function membersOf(
  state: Ec2State,
  kind: Exclude<ResourceKind, 'interface'>,
): Readonly<Record<string, { tags: Tags }>> {
  switch (kind) {
    case 'image':
      return state.images;
    case 'instance':
      return state.instances;
    case 'snapshot':
      return state.snapshots;
    case 'volume':
      return state.volumes;
    case 'group':
      return state.groups;
    case 'subnet':
      return state.subnets;
    case 'vpc':
      return state.vpcs;
    case 'import-snapshot':
    case 'import-image':
      return state.importTasks;
    default:
      return kind satisfies never;
  }
}

type TagEntry = { resourceId: string; resourceType: string; key: string; value: string };

const TYPE_NAMES: Readonly<Record<ResourceKind, string>> = {
  image: 'image',
  instance: 'instance',
  snapshot: 'snapshot',
  volume: 'volume',
  group: 'security-group',
  subnet: 'subnet',
  vpc: 'vpc',
  interface: 'network-interface',
  'import-snapshot': 'import-snapshot-task',
  'import-image': 'import-image-task',
};

function listTags(state: Readonly<Ec2State>): TagEntry[] {
  const holders: { id: string; tags: Tags }[] = [
    ...Object.values(state.importTasks),
    ...Object.values(state.snapshots),
    ...Object.values(state.images),
    ...Object.values(state.instances),
    ...Object.values(state.instances).map((instance) => instance.interface),
    ...Object.values(state.volumes),
    ...Object.values(state.groups),
    ...Object.values(state.subnets),
    ...Object.values(state.vpcs),
  ];
  return holders.flatMap(({ id, tags }) => {
    const kind = kindOfId(id);
    if (kind === null) return [];
    const resourceType = TYPE_NAMES[kind];
    return Object.entries(tags).map(([key, value]) => ({ resourceId: id, resourceType, key, value }));
  });
}
