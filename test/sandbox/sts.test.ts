import { GetCallerIdentityCommand, GetSessionTokenCommand } from '@aws-sdk/client-sts';
import { expect, it } from 'vitest';
import { startFixture } from './server-fixture.ts';

it('says whose key it is', async () => {
  await using fixture = await startFixture({ accountId: '210987654321' });
  const { Account, Arn, UserId } = await fixture.sts().send(new GetCallerIdentityCommand({}));
  expect(Account).toBe('210987654321');
  expect(Arn).toBe('arn:aws:iam::210987654321:user/landfall');
  expect(UserId).toMatch(/^AIDA/);
});

it('refuses what it lacks', async () => {
  await using fixture = await startFixture();
  await expect(fixture.sts().send(new GetSessionTokenCommand({}))).rejects.toMatchObject({
    name: 'InvalidAction',
  });
});
