/** Owns changes of prices and of their legacy mirrors, plans: the two always change together. */

import {
  buildPlan,
  buildPrice,
  buildRecurring,
  type Price,
  type Recurring,
  type StripeObject,
} from './objects.ts';
import { errors } from './errors.ts';
import { type Fields, mergeMetadata, type OpsKit } from './ops_kit.ts';

/** Operations on prices and plans. `createProduct` serves `product_data`. */
export const createPriceOps = (
  kit: OpsKit,
  createProduct: (fields: Fields) => StripeObject,
) => {
  const { store, events, shown, emit, need, needText, save, baseOf, insert } = kit;
  const createPrice = (fields: Fields): Price => {
    let product = fields['product'];
    if (product === undefined && fields['product_data'] !== undefined) {
      product = createProduct(fields['product_data'] as Fields).id;
    }
    if (typeof product !== 'string') throw errors.missingParam('product');
    need('product', product, 'product');
    const { product_data: _, recurring, unit_amount_decimal: decimal, ...rest } = fields;
    const amount = fields['unit_amount'] ?? (typeof decimal === 'string' ? Number(decimal) : null);
    const price = buildPrice(baseOf(fields, 'price'), {
      ...rest,
      product,
      currency: needText(fields, 'currency'),
      unit_amount: typeof amount === 'number' && Number.isInteger(amount) ? amount : null,
      recurring: recurring === undefined || recurring === null
        ? null
        : buildRecurring(recurring as Partial<Recurring>),
      ...(typeof decimal === 'string' ? { unit_amount_decimal: decimal } : {}),
      metadata: mergeMetadata({}, fields['metadata'] ?? {}),
    });
    insert('price', price);
    emit('price', 'created', price.id);
    if (price.recurring !== null) {
      insert('plan', buildPlan(price));
      emit('plan', 'created', price.id);
    }
    return price;
  };

  const createPlan = (fields: Fields): StripeObject => {
    const { amount, interval, interval_count, usage_type, trial_period_days, ...rest } = fields;
    const price = createPrice({
      ...rest,
      unit_amount: amount ?? null,
      recurring: {
        interval: needText({ interval }, 'interval'),
        ...(interval_count === undefined ? {} : { interval_count }),
        ...(usage_type === undefined ? {} : { usage_type }),
        ...(trial_period_days === undefined ? {} : { trial_period_days }),
      },
    });
    return need('plan', price.id);
  };

  const updatePrice = (id: string, fields: Fields): void => {
    const old = need<Price>('price', id);
    const next: Price = { ...old, ...fields };
    if (fields['metadata'] !== undefined) {
      next['metadata'] = mergeMetadata(old['metadata'], fields['metadata']);
    }
    save('price', id, next);
    if (next.recurring !== null && store.collections.plan.byId.has(id)) {
      save('plan', id, buildPlan(next));
    }
  };

  const deletePrice = (id: string): void => {
    const text = shown('price', id);
    const plan = store.viewText('plan', id);
    if (plan !== null) {
      store.remove('plan', id);
      events.record({ type: 'plan.deleted', object: plan });
    }
    store.remove('price', id);
    events.record({ type: 'price.deleted', object: text });
  };
  return { createPrice, createPlan, updatePrice, deletePrice };
};
