/** Owns what faults do to answers: those they give by themselves, and how the others travel. */

import type { Fault } from '../_shared/faults.ts';
import type { Delivery, Reply } from '../_shared/http.ts';
import { type ApiError, errorBody, errors } from './errors.ts';

const json = { 'content-type': 'application/json; charset=utf-8' };

/** An error as an answer. */
export const errorReply = (error: ApiError, requestId: string): Reply => ({
  status: error.status,
  headers: { ...json, ...error.headers },
  body: errorBody(error, requestId),
});

/** JSON text as an answer. */
export const jsonReply = (body: string): Reply => ({ status: 200, headers: json, body });

/** The answer a fault gives without the endpoint being run; null for other faults. */
export const answerOfFault = (fault: Fault | null, requestId: string): Reply | null => {
  switch (fault?.kind) {
    case 'status': {
      if (fault.body === undefined && fault.status >= 400) {
        const own = errorReply(errors.forStatus(fault.status), requestId);
        return { ...own, headers: { ...own.headers, ...fault.headers } };
      }
      const body = typeof fault.body === 'string' ? fault.body : JSON.stringify(fault.body ?? {});
      return { status: fault.status, headers: { ...json, ...fault.headers }, body };
    }
    case 'lock_timeout':
      return errorReply(errors.rateLimited(), requestId);
    case 'timeout':
      return { ...jsonReply('{}'), delivery: { how: 'never' } };
    case 'reset':
      return fault.when === 'before'
        ? { ...jsonReply('{}'), delivery: { how: 'reset', afterHeaders: false } }
        : null;
    case 'malformed':
      return jsonReply(JSON.stringify(fault.body ?? { data: 'nope' }));
    case 'not_json':
      return {
        status: 200,
        headers: { 'content-type': 'text/html' },
        body: fault.body ?? '<!DOCTYPE html><html><body><h1>Bad gateway</h1></body></html>',
      };
    case 'replace_body':
      return { status: fault.status, headers: { ...json, ...fault.headers }, body: fault.body };
    default:
      return null;
  }
};

/** How an answer travels under a fault. */
export const deliveryOfFault = (fault: Fault | null): Delivery => {
  if (fault?.kind === 'reset') {
    return { how: 'reset', afterHeaders: fault.when === 'after_headers' };
  }
  if (fault?.kind === 'truncate') {
    return { how: 'cut', bytes: fault.bytes ?? null, close: fault.close };
  }
  return { how: 'whole' };
};
