/** Owns Intercom's error answers: their statuses, codes and wording. */

/** An error to answer with. Thrown by handlers, turned into an answer by the server. */
export interface ApiError {
  status: number;
  headers: Record<string, string>;
  error: { code: string; message: string } & Record<string, unknown>;
}

/**
 * How GET of a merged contact answers. `link` is what Intercom documents for its newest version: 410
 * `contact_merged` with the survivor in the `Link` header only. `link_and_body` names it in the
 * body too. `not_found` is the 404 documented for 2.7 to 2.15.
 */
export type MergedGone = 'link' | 'link_and_body' | 'not_found';

const MARK = Symbol('intercom api error');

/** True for what `apiError` made. */
export const isApiError = (value: unknown): value is ApiError =>
  typeof value === 'object' && value !== null && MARK in value;

const apiError = (
  status: number,
  code: string,
  message: string,
  more: { headers?: Record<string, string>; fields?: Record<string, unknown> } = {},
): ApiError & { [MARK]: true } => ({
  [MARK]: true,
  status,
  headers: more.headers ?? {},
  error: { code, message, ...more.fields },
});

const notFound = (what: string): ApiError => {
  if (what === 'company') return apiError(404, 'company_not_found', 'Company Not Found');
  if (what === 'admin') return apiError(404, 'admin_not_found', 'Admin not found');
  if (what === 'contact') return apiError(404, 'not_found', 'User Not Found');
  return apiError(404, 'not_found', 'Resource Not Found');
};

/** The errors this fake answers with. */
export const errors = {
  unauthorized: () => apiError(401, 'unauthorized', 'Access Token Invalid'),
  revoked: () => apiError(401, 'token_revoked', 'Access Token Revoked'),
  forbidden: (resource: string) =>
    apiError(403, 'forbidden', `The access token has no permission for '${resource}'`),
  badVersion: (version: string) =>
    apiError(
      400,
      'intercom_version_invalid',
      `The requested version could not be found: '${version}'`,
    ),
  noRoute: () => apiError(404, 'not_found', 'The requested resource was not found'),
  notFound,
  /** Everything about a merged contact's answer is here. */
  merged(survivor: string, how: MergedGone): ApiError {
    if (how === 'not_found') return notFound('contact');
    const path = `/contacts/${survivor}`;
    return apiError(
      410,
      'contact_merged',
      "This contact has been merged. See the 'Link' header for the canonical contact.",
      {
        headers: { link: `<${path}>; rel="canonical"` },
        ...(how === 'link' ? {} : {
          fields: { data: { type: 'contact', id: survivor }, links: { canonical: path } },
        }),
      },
    );
  },
  invalid: (message: string) => apiError(400, 'parameter_invalid', message),
  pageLimit: () => apiError(400, 'bad_request', 'page limit reached, please use scroll API'),
  scrollExists: () => apiError(400, 'scroll_exists', 'scroll already exists for this workspace'),
  scrollGone: () => apiError(404, 'not_found', 'scroll parameter not found'),
  rateLimited: () =>
    apiError(429, 'rate_limit_exceeded', 'The rate limit for the App has been exceeded'),
  /** What a fault of kind `status` says when it brings no body. */
  forStatus(status: number): ApiError {
    if (status === 401) return errors.unauthorized();
    if (status === 403) return apiError(403, 'forbidden', 'Forbidden');
    if (status === 404) return notFound('');
    if (status === 429) return errors.rateLimited();
    if (status === 503) return apiError(503, 'service_unavailable', 'Sorry, the API is down');
    if (status >= 500) return apiError(status, 'server_error', 'Sorry, something went wrong');
    return apiError(status, 'client_error', 'Bad request');
  },
};

/** The body of an error answer. */
export const errorBody = (error: ApiError, requestId: string): string =>
  JSON.stringify({ type: 'error.list', request_id: requestId, errors: [error.error] });
