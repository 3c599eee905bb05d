/**
 * Owns the shapes: one builder per Stripe object, with every field that API version
 * 2026-10-28.endive renders and sensible values in it. Builders are pure; ids and times come in.
 */

/** The API version whose shapes these are. */
export const API_VERSION = '2026-10-28.endive';

/** Any object with an id. `created` is in whole unix seconds. */
export interface StripeObject {
  id: string;
  object: string;
  created: number;
  [field: string]: unknown;
}

/** What is billed, how often. */
export interface Recurring {
  interval: string;
  interval_count: number;
  meter: string | null;
  trial_period_days: number | null;
  usage_type: string;
}

/** `recurring` is null for a one-time price; only recurring prices have a plan. */
export interface Price extends StripeObject {
  active: boolean;
  currency: string;
  product: string;
  recurring: Recurring | null;
  unit_amount: number | null;
}

/** One line of a subscription. Its period is its own: a subscription has none. */
export interface SubscriptionItem extends StripeObject {
  subscription: string;
  price: Price;
  plan: StripeObject;
  quantity: number;
  current_period_start: number;
  current_period_end: number;
}

/** `items` holds every item here; the API renders at most the cap. */
export interface Subscription extends StripeObject {
  customer: string;
  status: string;
  canceled_at: number | null;
  ended_at: number | null;
  items: { object: 'list'; data: SubscriptionItem[]; has_more: boolean; url: string };
}

type Fields = Record<string, unknown>;
type Base = { id: string; created: number; livemode: boolean };

/** The account a key belongs to. */
export const buildAccount = (base: Base & { name: string; country: string }): StripeObject => ({
  id: base.id,
  object: 'account',
  business_profile: {
    annual_revenue: null,
    estimated_worker_count: null,
    mcc: '5734',
    minority_owned_business_designation: null,
    name: base.name,
    product_description: null,
    support_address: null,
    support_email: null,
    support_phone: null,
    support_url: null,
    url: 'https://billing.example',
  },
  business_type: 'company',
  capabilities: { card_payments: 'active', transfers: 'active' },
  charges_enabled: true,
  controller: { type: 'account' },
  country: base.country,
  created: base.created,
  default_currency: 'usd',
  details_submitted: true,
  email: 'billing@billing.example',
  external_accounts: {
    object: 'list',
    data: [],
    has_more: false,
    url: `/v1/accounts/${base.id}/external_accounts`,
  },
  future_requirements: noRequirements(),
  metadata: {},
  payouts_enabled: true,
  requirements: noRequirements(),
  settings: {
    bacs_debit_payments: { display_name: null, service_user_number: null },
    branding: { icon: null, logo: null, primary_color: null, secondary_color: null },
    card_issuing: { tos_acceptance: { date: null, ip: null } },
    card_payments: {
      decline_on: { avs_failure: false, cvc_failure: true },
      statement_descriptor_prefix: null,
      statement_descriptor_prefix_kana: null,
      statement_descriptor_prefix_kanji: null,
    },
    dashboard: { display_name: base.name, timezone: 'Etc/UTC' },
    invoices: { default_account_tax_ids: null, hosted_payment_method_save: 'offer' },
    payments: {
      statement_descriptor: null,
      statement_descriptor_kana: null,
      statement_descriptor_kanji: null,
      statement_descriptor_prefix_kana: null,
      statement_descriptor_prefix_kanji: null,
    },
    payouts: {
      debit_negative_balances: true,
      schedule: { delay_days: 2, interval: 'daily' },
      statement_descriptor: null,
    },
    sepa_debit_payments: {},
  },
  tos_acceptance: { date: null, ip: null, user_agent: null },
  type: 'standard',
});

const noRequirements = (): Fields => ({
  alternatives: [],
  current_deadline: null,
  currently_due: [],
  disabled_reason: null,
  errors: [],
  eventually_due: [],
  past_due: [],
  pending_verification: [],
});

/** A customer; `fields` override the defaults. */
export const buildCustomer = (base: Base, fields: Fields = {}): StripeObject => ({
  id: base.id,
  object: 'customer',
  address: null,
  balance: 0,
  created: base.created,
  currency: null,
  default_source: null,
  delinquent: false,
  description: null,
  discount: null,
  email: null,
  invoice_prefix: base.id.slice(-8).toUpperCase(),
  invoice_settings: {
    custom_fields: null,
    default_payment_method: null,
    footer: null,
    rendering_options: null,
  },
  livemode: base.livemode,
  metadata: {},
  name: null,
  next_invoice_sequence: 1,
  phone: null,
  preferred_locales: [],
  shipping: null,
  tax_exempt: 'none',
  test_clock: null,
  ...fields,
});

/** A product. */
export const buildProduct = (base: Base, fields: Fields = {}): StripeObject => ({
  id: base.id,
  object: 'product',
  active: true,
  created: base.created,
  default_price: null,
  description: null,
  images: [],
  livemode: base.livemode,
  marketing_features: [],
  metadata: {},
  name: '',
  package_dimensions: null,
  shippable: null,
  statement_descriptor: null,
  tax_code: null,
  type: 'service',
  unit_label: null,
  updated: base.created,
  url: null,
  ...fields,
});

/** A recurring part with its defaults. */
export const buildRecurring = (fields: Partial<Recurring> = {}): Recurring => ({
  interval: 'month',
  interval_count: 1,
  meter: null,
  trial_period_days: null,
  usage_type: 'licensed',
  ...fields,
});

/** A price; `unit_amount_decimal` and `type` follow from the amount and `recurring`. */
export const buildPrice = (
  base: Base,
  fields: Fields & {
    product: string;
    currency: string;
    unit_amount: number | null;
    recurring: Recurring | null;
  },
): Price => ({
  id: base.id,
  object: 'price',
  active: true,
  billing_scheme: 'per_unit',
  created: base.created,
  custom_unit_amount: null,
  livemode: base.livemode,
  lookup_key: null,
  metadata: {},
  nickname: null,
  tax_behavior: 'unspecified',
  tiers_mode: null,
  transform_quantity: null,
  type: fields.recurring === null ? 'one_time' : 'recurring',
  unit_amount_decimal: fields.unit_amount === null ? null : String(fields.unit_amount),
  ...fields,
});

/** The legacy mirror of a recurring price, under the same id. Throws for a one-time price. */
export const buildPlan = (price: Price): StripeObject => {
  if (price.recurring === null) throw new TypeError(`price '${price.id}' is not recurring`);
  return {
    id: price.id,
    object: 'plan',
    active: price.active,
    amount: price.unit_amount,
    amount_decimal: price['unit_amount_decimal'],
    billing_scheme: price['billing_scheme'],
    created: price.created,
    currency: price.currency,
    interval: price.recurring.interval,
    interval_count: price.recurring.interval_count,
    livemode: price['livemode'],
    metadata: price['metadata'],
    meter: price.recurring.meter,
    nickname: price['nickname'],
    product: price.product,
    tiers_mode: price['tiers_mode'],
    transform_usage: price['transform_quantity'],
    trial_period_days: price.recurring.trial_period_days,
    usage_type: price.recurring.usage_type,
  };
};

/** One item; the whole price and plan are in it. */
export const buildSubscriptionItem = (
  base: { id: string; created: number },
  fields: Fields & {
    subscription: string;
    price: Price;
    quantity: number;
    current_period_start: number;
    current_period_end: number;
  },
): SubscriptionItem => ({
  id: base.id,
  object: 'subscription_item',
  billing_thresholds: null,
  created: base.created,
  discounts: [],
  metadata: {},
  plan: buildPlan(fields.price),
  tax_rates: [],
  ...fields,
});

/** A subscription with all its items. */
export const buildSubscription = (
  base: Base,
  fields: Fields & { customer: string; currency: string },
  items: SubscriptionItem[],
): Subscription => ({
  id: base.id,
  object: 'subscription',
  application: null,
  application_fee_percent: null,
  automatic_tax: { disabled_reason: null, enabled: false, liability: null },
  billing_cycle_anchor: base.created,
  billing_cycle_anchor_config: null,
  billing_mode: { flexible: null, type: 'classic' },
  billing_schedules: [],
  billing_thresholds: null,
  cancel_at: null,
  cancel_at_period_end: false,
  canceled_at: null,
  cancellation_details: { comment: null, feedback: null, reason: null },
  collection_method: 'charge_automatically',
  created: base.created,
  customer_account: null,
  days_until_due: null,
  default_payment_method: null,
  default_source: null,
  default_tax_rates: [],
  description: null,
  discounts: [],
  ended_at: null,
  invoice_settings: {
    account_tax_ids: null,
    custom_fields: null,
    description: null,
    footer: null,
    issuer: { type: 'self' },
  },
  items: {
    object: 'list',
    data: items,
    has_more: false,
    url: `/v1/subscription_items?subscription=${base.id}`,
  },
  latest_invoice: null,
  livemode: base.livemode,
  managed_payments: { enabled: false },
  metadata: {},
  next_pending_invoice_item_invoice: null,
  on_behalf_of: null,
  pause_collection: null,
  payment_settings: {
    payment_method_options: null,
    payment_method_types: null,
    save_default_payment_method: 'off',
  },
  pending_invoice_item_interval: null,
  pending_setup_intent: null,
  pending_update: null,
  schedule: null,
  start_date: base.created,
  status: 'active',
  test_clock: null,
  transfer_data: null,
  trial_end: null,
  trial_settings: { end_behavior: { missing_payment_method: 'create_invoice' } },
  trial_start: null,
  ...fields,
});

/** Adds calendar intervals (day, week, month, year) to a unix second, in UTC. */
export const addInterval = (at: number, interval: string, count: number): number => {
  const date = new Date(at * 1000);
  if (interval === 'day') date.setUTCDate(date.getUTCDate() + count);
  else if (interval === 'week') date.setUTCDate(date.getUTCDate() + 7 * count);
  else if (interval === 'month') date.setUTCMonth(date.getUTCMonth() + count);
  else date.setUTCFullYear(date.getUTCFullYear() + count);
  return Math.floor(date.getTime() / 1000);
};
