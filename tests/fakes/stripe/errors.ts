/** Owns Stripe's error answers: their wording, codes and statuses. */

/** An error body to answer with. Thrown by handlers, turned into an answer by the server. */
export interface ApiError {
  status: number;
  headers: Record<string, string>;
  error: {
    type: string;
    message: string;
    code?: string;
    param?: string;
    doc_url?: string;
  };
}

const MARK = Symbol('stripe api error');

/** True for what `apiError` made. */
export const isApiError = (value: unknown): value is ApiError =>
  typeof value === 'object' && value !== null && MARK in value;

const apiError = (
  status: number,
  message: string,
  extra: { code?: string; param?: string; type?: string; headers?: Record<string, string> } = {},
): ApiError & { [MARK]: true } => ({
  [MARK]: true,
  status,
  headers: extra.headers ?? {},
  error: {
    ...(extra.code === undefined ? {} : {
      code: extra.code,
      doc_url: `https://stripe.com/docs/error-codes/${extra.code.replaceAll('_', '-')}`,
    }),
    message,
    ...(extra.param === undefined ? {} : { param: extra.param }),
    type: extra.type ?? 'invalid_request_error',
  },
});

/** A key as Stripe shows it: its prefix and its last four characters. */
export const redactKey = (key: string): string => {
  const prefix = /^(sk|rk|pk)_(test|live)_/.exec(key)?.[0] ?? '';
  const hidden = Math.max(key.length - prefix.length - 4, 0);
  return hidden === 0 ? `${prefix}****` : `${prefix}${'*'.repeat(hidden)}${key.slice(-4)}`;
};

/** The errors this fake answers with. */
export const errors = {
  noKey: () =>
    apiError(
      401,
      "You did not provide an API key. You need to provide your API key in the Authorization header, using Bearer auth (e.g. 'Authorization: Bearer YOUR_SECRET_KEY'). See https://stripe.com/docs/api#authentication for details, or we can help at https://support.stripe.com/.",
      { headers: { 'www-authenticate': 'Basic realm="Stripe"' } },
    ),
  badKey: (key: string) =>
    apiError(401, `Invalid API Key provided: ${redactKey(key)}`, {
      headers: { 'www-authenticate': 'Basic realm="Stripe"' },
    }),
  expiredKey: (key: string) =>
    apiError(401, `Expired API Key provided: ${redactKey(key)}`, { code: 'api_key_expired' }),
  noPermission: (key: string, account: string, permission: string) =>
    apiError(
      403,
      `The provided key '${
        redactKey(key)
      }' does not have the required permissions for this endpoint on account '${account}'. Having the '${permission}' permission would allow this request to continue.`,
      { code: 'more_permissions_required' },
    ),
  noConnectedAccount: (key: string, account: string) =>
    apiError(
      403,
      `The provided key '${
        redactKey(key)
      }' does not have access to account '${account}' (or that account does not exist). Application access may have been revoked.`,
      { code: 'account_invalid' },
    ),
  badVersion: (version: string) =>
    apiError(
      400,
      `Invalid Stripe API version: ${version}. You can find the list of versions at https://stripe.com/docs/upgrades.`,
    ),
  noRoute: (method: string, path: string) =>
    apiError(
      404,
      `Unrecognized request URL (${method}: ${path}). Please see https://stripe.com/docs or we can help at https://support.stripe.com/.`,
    ),
  /** 404 for the object asked for, 400 for one named in a parameter. */
  missing: (kind: string, id: string, param = 'id') =>
    apiError(param === 'id' ? 404 : 400, `No such ${kind}: '${id}'`, {
      code: 'resource_missing',
      param,
    }),
  unknownParam: (param: string) =>
    apiError(400, `Received unknown parameter: ${param}`, { code: 'parameter_unknown', param }),
  missingParam: (param: string) =>
    apiError(400, `Missing required param: ${param}.`, { code: 'parameter_missing', param }),
  invalidInteger: (param: string, value: string) =>
    apiError(400, `Invalid integer: ${value}`, { code: 'parameter_invalid_integer', param }),
  invalidBoolean: (param: string, value: string) =>
    apiError(400, `Invalid boolean: ${value}`, { param }),
  invalidHash: (param: string) => apiError(400, 'Invalid object', { param }),
  invalidArray: (param: string) => apiError(400, 'Invalid array', { param }),
  tooSmall: (param: string, least: number) =>
    apiError(400, `This value must be greater than or equal to ${least}.`, {
      code: 'parameter_invalid_integer',
      param,
    }),
  tooLarge: (param: string, most: number, value: number) =>
    apiError(
      400,
      `This value must be less than or equal to ${most} (it currently is '${value}').`,
      { code: 'parameter_invalid_integer', param },
    ),
  notOneOf: (param: string, allowed: readonly string[]) =>
    apiError(
      400,
      `Invalid ${param}: must be one of ${allowed.slice(0, -1).join(', ')}, or ${allowed.at(-1)}`,
      {
        param,
      },
    ),
  invalid: (message: string, param?: string) =>
    apiError(400, message, param === undefined ? {} : { param }),
  /** 429 by rate. `reason` goes into `Stripe-Rate-Limited-Reason`. */
  rateLimited: (reason: string) =>
    apiError(
      429,
      'Request rate limit exceeded. Learn more about rate limits here https://stripe.com/docs/rate-limits.',
      { code: 'rate_limit', headers: { 'stripe-rate-limited-reason': reason } },
    ),
  lockTimeout: () =>
    apiError(
      429,
      'This object cannot be accessed right now because another API request or Stripe process is currently accessing it. If you see this error intermittently, retry the request. If you see this error frequently and are making multiple concurrent requests to a single object, make your requests serially or at a lower rate. For more details, see https://stripe.com/docs/rate-limits#object-lock-timeouts.',
      { code: 'lock_timeout' },
    ),
  /** The body Stripe gives for a status of its own making, as fault injection needs. */
  forStatus: (status: number) => {
    if (status === 429) return errors.rateLimited('global-rate');
    if (status === 401) return errors.badKey('sk_test_000000000000');
    if (status === 403) {
      return apiError(
        403,
        'The provided key does not have the required permissions for this endpoint.',
      );
    }
    return apiError(
      status,
      status >= 500
        ? 'Sorry! There was an error while talking to one of our backends. Support has been notified.'
        : `Request failed with status ${status}.`,
      { type: status >= 500 ? 'api_error' : 'invalid_request_error' },
    );
  },
};
