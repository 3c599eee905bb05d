/**
 * Owns the control plane under `/_fake/`: the library's operations for tests and demos that run in
 * another process. It asks for no key; the fake listens on 127.0.0.1 only.
 */

import { z } from 'zod';
import type { Reply, WireRequest } from '../_shared/http.ts';
import { faultRuleSchema } from '../_shared/faults.ts';
import { isApiError } from './errors.ts';
import type { FakeAccount, FakeStripe } from './server.ts';
import { COLLECTIONS, type SnapshotName } from './state.ts';

const collection = z.enum(COLLECTIONS);
const anyCollection = z.enum([...COLLECTIONS, 'subscription_item', 'event']);
const fields = z.record(z.string(), z.unknown());
const id = z.string().min(1);

const opSchema = z.discriminatedUnion('op', [
  z.strictObject({ op: z.literal('create'), collection, fields }),
  z.strictObject({ op: z.literal('update'), collection, id, fields }),
  z.strictObject({ op: z.literal('delete'), collection, id }),
  z.strictObject({ op: z.literal('cancel'), id, at_period_end: z.boolean().default(false) }),
  z.strictObject({
    op: z.literal('add_item'),
    subscription: id,
    price: id,
    quantity: z.int().min(0).default(1),
    metadata: fields.default({}),
  }),
  z.strictObject({
    op: z.literal('update_item'),
    id,
    price: id.optional(),
    quantity: z.int().min(0).optional(),
    metadata: fields.optional(),
  }),
  z.strictObject({ op: z.literal('remove_item'), id }),
  z.strictObject({ op: z.literal('vanish'), collection, id }),
  z.strictObject({
    op: z.literal('put_raw'),
    collection,
    id,
    created: z.int(),
    text: z.string(),
  }),
  z.strictObject({ op: z.literal('churn'), count: z.int().min(0).max(1_000_000) }),
]);

const webhookSchema = z.strictObject({
  url: z.url().nullable(),
  secret: z.string().default(''),
  auto: z.boolean().default(false),
  delay_ms: z.number().min(0).default(0),
});

const deliverSchema = z.strictObject({
  event: id,
  times: z.int().min(1).default(1),
  delay_ms: z.number().min(0).default(0),
  sign_with: z.union([z.string(), z.array(z.string())]).optional(),
  timestamp: z.int().optional(),
  body: z.string().optional(),
});

type Op = z.infer<typeof opSchema>;

const runOp = (account: FakeAccount, op: Op): unknown => {
  const { ops, state } = account;
  switch (op.op) {
    case 'create':
      return ops.create(op.collection, op.fields);
    case 'update':
      return ops.update(op.collection, op.id, op.fields);
    case 'delete':
      return ops.delete(op.collection, op.id) ?? null;
    case 'cancel':
      return ops.cancel(op.id, { atPeriodEnd: op.at_period_end });
    case 'add_item':
      return ops.addItem(op.subscription, op);
    case 'update_item':
      return ops.updateItem(op.id, {
        ...(op.price === undefined ? {} : { price: op.price }),
        ...(op.quantity === undefined ? {} : { quantity: op.quantity }),
        ...(op.metadata === undefined ? {} : { metadata: op.metadata }),
      });
    case 'remove_item':
      return ops.removeItem(op.id) ?? null;
    case 'vanish':
      return ops.vanish(op.collection, op.id) ?? null;
    case 'put_raw':
      ops.putRaw(op.collection, op);
      return state.viewText(op.collection, op.id);
    case 'churn':
      return account.churn(op.count);
  }
};

const reply = (status: number, body: unknown): Reply => ({
  status,
  headers: { 'content-type': 'application/json' },
  body: typeof body === 'string' ? body : JSON.stringify(body ?? null),
});

const SNAPSHOTS: readonly SnapshotName[] = [...COLLECTIONS, 'subscription_item'];

const counts = (account: FakeAccount) => ({
  account: account.id,
  livemode: account.livemode,
  counts: Object.fromEntries(SNAPSHOTS.map((name) => [name, account.state.count(name)])),
  hidden: Object.fromEntries(
    COLLECTIONS.map((name) => [
      name,
      account.state.collections[name].rows.filter((row) => row.hidden).length,
    ]),
  ),
  deleted: Object.fromEntries(
    COLLECTIONS.map((name) => [name, account.state.collections[name].gone.size]),
  ),
  events: { all: account.events.all().length, visible: account.events.visible().length },
});

/** `?account=acct_x`, or `acct_x:live` and `acct_x:test` where one id is there in both modes. */
const pickAccount = (fake: FakeStripe, request: WireRequest): FakeAccount | null => {
  const wanted = request.query.get('account');
  if (wanted === null) return fake.account;
  const [accountId, mode] = wanted.split(':');
  return fake.accounts.find((account) =>
    account.id === accountId && (mode === undefined || (mode === 'live') === account.livemode)
  ) ?? null;
};

const answer = async (request: WireRequest, fake: FakeStripe): Promise<Reply> => {
  const { method, query } = request;
  const [, , what = '', name, ...idParts] = request.path.split('/').map(decodeURIComponent);
  const account = pickAccount(fake, request);
  if (account === null) {
    const known = fake.accounts.map((one) => `${one.id}:${one.livemode ? 'live' : 'test'}`);
    return reply(404, {
      error: `no account '${query.get('account')}'; there is ${known.join(', ')}`,
    });
  }
  const body = (): unknown => JSON.parse(request.body === '' ? '{}' : request.body);
  const listedOnly = query.get('listed') === 'true';
  switch (`${method} ${what}`) {
    case 'GET health':
      return reply(200, { ok: true });
    case 'GET accounts':
      return reply(
        200,
        fake.accounts.map((one) => ({ id: one.id, livemode: one.livemode, keys: one.keys.size })),
      );
    case 'GET counts':
      return reply(200, counts(account));
    case 'GET ids': {
      const wanted = anyCollection.parse(query.get('collection'));
      if (wanted === 'event') return reply(200, account.events.all().map((event) => event.id));
      if (!listedOnly) return reply(200, account.state.ids(wanted));
      return reply(200, [...account.state.snapshot(wanted, { listedOnly }).keys()]);
    }
    case 'GET snapshot': {
      const wanted = z.enum(SNAPSHOTS).parse(query.get('collection'));
      return reply(200, [...account.state.snapshot(wanted, { listedOnly }).values()]);
    }
    case 'GET object': {
      const wanted = anyCollection.parse(name);
      const objectId = idParts.join('/');
      const text = wanted === 'event'
        ? account.events.get(objectId)?.text ?? null
        : account.state.viewText(wanted, objectId);
      return text === null ? reply(404, { error: `no ${wanted} '${objectId}'` }) : reply(200, text);
    }
    case 'GET events':
      return reply(
        200,
        account.events.all().map(({ id, type, created, visibleAt, delivery }) => ({
          id,
          type,
          created,
          visible_at_ms: visibleAt,
          delivery,
        })),
      );
    case 'POST events':
      if (name !== 'settle') break;
      account.events.settle();
      return reply(200, { visible: account.events.visible().length });
    case 'GET log':
      return reply(200, { ...fake.log.counts(), requests: fake.log.entries() });
    case 'DELETE log':
      fake.log.clear();
      return reply(200, { cleared: true });
    case 'POST ops':
      return reply(200, runOp(account, opSchema.parse(body())));
    case 'GET faults':
      return reply(200, fake.faults.list());
    case 'POST faults': {
      const rules = z.union([faultRuleSchema, z.array(faultRuleSchema)]).parse(body());
      return reply(200, { ids: [rules].flat().map((rule) => fake.faults.add(rule)) });
    }
    case 'DELETE faults':
      if (name === undefined) fake.faults.clear();
      else if (!fake.faults.remove(Number(name))) {
        return reply(404, { error: `no fault '${name}'` });
      }
      return reply(200, { cleared: true });
    case 'POST webhook': {
      const target = webhookSchema.parse(body());
      account.webhooks.setWebhookTarget(target.url, target.secret, {
        auto: target.auto,
        delayMs: target.delay_ms,
      });
      return reply(200, { url: target.url, auto: target.auto });
    }
    case 'POST deliver': {
      const order = deliverSchema.parse(body());
      const results = await account.webhooks.deliver(order.event, {
        times: order.times,
        delayMs: order.delay_ms,
        ...(order.sign_with === undefined ? {} : { signWith: order.sign_with }),
        ...(order.timestamp === undefined ? {} : { timestamp: order.timestamp }),
        ...(order.body === undefined ? {} : { body: order.body }),
      });
      return reply(200, results);
    }
  }
  return reply(404, {
    error: `no ${method} ${request.path}; the routes of the control plane are in the README`,
  });
};

/** Answers a request under `/_fake/`. Wrong input is a 400 that names it. */
export const answerControl = async (request: WireRequest, fake: FakeStripe): Promise<Reply> => {
  try {
    return await answer(request, fake);
  } catch (error) {
    if (isApiError(error)) return reply(error.status, { error: error.error.message });
    if (error instanceof z.ZodError) return reply(400, { error: z.prettifyError(error) });
    if (error instanceof Error) return reply(400, { error: error.message });
    throw error;
  }
};
