import { describe, expect, it } from 'vitest';
import {
  booleanParameter,
  integerParameter,
  listParameter,
  parseForm,
  readForm,
  structParameter,
  textParameter,
} from '../../src/sandbox/query-form.ts';

const shape = structParameter({
  Name: textParameter,
  Count: integerParameter.optional(),
  DryRun: booleanParameter.optional(),
  Filter: listParameter(
    structParameter({ Name: textParameter, Value: listParameter(textParameter).optional() }),
  ).optional(),
});

function read(query: string) {
  return readForm(parseForm(new URLSearchParams(query)), shape);
}

describe('a form', () => {
  it('becomes a tree, with lists in the order of their numbers', () => {
    expect(
      read(
        'Name=x&Count=12&DryRun=True&Filter.2.Name=b&Filter.1.Name=a&Filter.1.Value.2=v2&Filter.1.Value.1=v1',
      ),
    ).toEqual({
      Name: 'x',
      Count: 12,
      DryRun: true,
      Filter: [{ Name: 'a', Value: ['v1', 'v2'] }, { Name: 'b' }],
    });
  });

  it('takes the lists of STS and IAM, also empty ones', () => {
    expect(read('Name=x&Filter.member.1.Name=a').Filter).toEqual([{ Name: 'a' }]);
    expect(read('Name=x&Filter=').Filter).toEqual([]);
  });

  it('cannot reach into prototypes', () => {
    const refused = { code: 'UnknownParameter' };
    expect(() => read('Name=x&__proto__.polluted=1')).toThrow(expect.objectContaining(refused));
    expect(() => read('Name=x&constructor.prototype.polluted=1')).toThrow(expect.objectContaining(refused));
    expect(({} as Record<string, unknown>).polluted).toBeUndefined();
  });
});

describe('what is wrong with a form is said by name', () => {
  it.each([
    ['Count=1', 'MissingParameter', 'The request must contain the parameter Name'],
    ['Name=x&Filter.1.Value.1=v', 'MissingParameter', 'The request must contain the parameter Filter.1.Name'],
    ['Name=x&Colour=red', 'UnknownParameter', 'The parameter Colour is not recognized'],
    [
      'Name=x&Filter.1.Name=a&Filter.2.Name=b&Filter.2.Vaule.1=v',
      'UnknownParameter',
      'The parameter Filter.2.Vaule is not recognized',
    ],
    ['Name=x&Count=many', 'InvalidParameterValue', 'Value (many) for parameter Count is invalid.'],
    ['Name=x&DryRun=maybe', 'InvalidParameterValue', 'Value (maybe) for parameter DryRun is invalid.'],
    ['Name.1=x', 'InvalidParameterValue', 'Value (structure) for parameter Name is invalid.'],
    ['Name=x&Name=y', 'MalformedQueryString', 'The query string contains a syntax error at "Name"'],
    ['Name=x&Name.1=y', 'MalformedQueryString', 'The query string contains a syntax error at "Name.1"'],
  ])('%s', (query, code, message) => {
    expect(() => read(query)).toThrow(expect.objectContaining({ code, message }));
  });
});
