/** Key pairs: the account has none. Migrated machines bring their users' keys with them. */
import { booleanParameter } from '../query-form.ts';
import { defineEc2Action, type QueryActions } from '../query-protocol.ts';
import { filterParameters, idsParameter } from './query.ts';
import { refuse } from './refusals.ts';

export function keyPairActions(): QueryActions {
  return {
    DescribeKeyPairs: defineEc2Action(
      {
        KeyName: idsParameter,
        KeyPairId: idsParameter,
        IncludePublicKey: booleanParameter.optional(),
        ...filterParameters,
      },
      ({ KeyName: names = [], KeyPairId: ids = [] }) => {
        const [name] = names;
        if (name !== undefined) throw unknownKeyPair(name);
        const [id] = ids;
        if (id !== undefined) {
          throw refuse('InvalidKeyPair.NotFound', `The key pair ID '${id}' does not exist`);
        }
        return { keySet: [] };
      },
    ),
  };
}

export function unknownKeyPair(name: string) {
  return refuse('InvalidKeyPair.NotFound', `The key pair '${name}' does not exist`);
}
