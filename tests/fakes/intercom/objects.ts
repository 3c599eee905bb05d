/**
 * Owns the shapes of Intercom's objects (API 2.14): every field the API shows, with its default.
 * What depends on other objects (a contact's lists, a conversation's parts) is added in state.ts.
 */

/** The API version this fake speaks unless a request names another. */
export const API_VERSION = '2.14';

/** JSON fields. */
export type Fields = Record<string, unknown>;

/** An object as it is stored and shown. Times are unix seconds. */
export interface IntercomObject extends Fields {
  type: string;
  id: string;
}

/** What every builder needs. */
export interface Base {
  id: string;
  created: number;
  updated?: number;
}

const CONTACT_NULLS = (
  'external_id email phone name avatar owner_id signed_up_at last_seen_at last_replied_at ' +
  'last_contacted_at last_email_opened_at last_email_clicked_at language_override browser ' +
  'browser_version browser_language os android_app_name android_app_version android_device ' +
  'android_os_version android_sdk_version android_last_seen_at ios_app_name ios_app_version ' +
  'ios_device ios_os_version ios_sdk_version ios_last_seen_at utm_campaign utm_content ' +
  'utm_medium utm_source utm_term referrer enabled_push_messaging'
).split(' ');

/** A user or a lead, without its lists of tags, companies, notes and subscriptions. */
export const buildContact = (base: Base, workspace: string, fields: Fields): IntercomObject => {
  const contact: Fields = {};
  for (const name of CONTACT_NULLS) contact[name] = null;
  return {
    ...contact,
    type: 'contact',
    id: base.id,
    workspace_id: workspace,
    role: 'user',
    social_profiles: { type: 'list', data: [] },
    has_hard_bounced: false,
    marked_email_as_spam: false,
    unsubscribed_from_emails: false,
    created_at: base.created,
    updated_at: base.updated ?? base.created,
    location: {
      type: 'location',
      country: null,
      region: null,
      city: null,
      country_code: null,
      continent_code: null,
    },
    custom_attributes: {},
    ...fields,
  };
};

/** A company. The API lists it only while `user_count` is above 0. */
export const buildCompany = (base: Base, workspace: string, fields: Fields): IntercomObject => ({
  type: 'company',
  company_id: `remote_${base.id.slice(-8)}`,
  id: base.id,
  app_id: workspace,
  name: null,
  remote_created_at: base.created,
  created_at: base.created,
  updated_at: base.updated ?? base.created,
  monthly_spend: 0,
  session_count: 0,
  user_count: 1,
  tags: { type: 'tag.list', tags: [] },
  segments: { type: 'segment.list', segments: [] },
  plan: {},
  custom_attributes: {},
  ...fields,
});

/** Who wrote something, as messages and parts name it. */
export interface Author {
  type: 'user' | 'lead' | 'admin' | 'bot';
  id: string;
  name: string | null;
  email: string | null;
}

/** The numbers Intercom keeps about a conversation; `count_conversation_parts` is kept in ops. */
export const buildStatistics = (fields: Fields): Fields => ({
  type: 'conversation_statistics',
  time_to_assignment: null,
  time_to_admin_reply: null,
  time_to_first_close: null,
  time_to_last_close: null,
  median_time_to_reply: null,
  first_contact_reply_at: null,
  first_assignment_at: null,
  first_admin_reply_at: null,
  first_close_at: null,
  last_assignment_at: null,
  last_assignment_admin_reply_at: null,
  last_contact_reply_at: null,
  last_admin_reply_at: null,
  last_close_at: null,
  last_closed_by_id: null,
  count_reopens: 0,
  count_assignments: 0,
  count_conversation_parts: 0,
  ...fields,
});

/** A conversation as lists show it: without its parts. */
export const buildConversation = (
  base: Base,
  about: { contact: Fields; author: Author; messageId: string; body: string },
  fields: Fields,
): IntercomObject => ({
  type: 'conversation',
  id: base.id,
  created_at: base.created,
  updated_at: base.updated ?? base.created,
  waiting_since: null,
  snoozed_until: null,
  source: {
    type: 'conversation',
    id: about.messageId,
    delivered_as: about.author.type === 'admin' ? 'admin_initiated' : 'customer_initiated',
    subject: '',
    body: about.body,
    author: about.author,
    attachments: [],
    url: null,
    redacted: false,
  },
  contacts: {
    type: 'contact.list',
    contacts: [{
      type: 'contact',
      id: about.contact['id'],
      external_id: about.contact['external_id'] ?? null,
    }],
  },
  first_contact_reply: about.author.type === 'admin'
    ? null
    : { created_at: base.created, type: 'conversation', url: null },
  admin_assignee_id: null,
  team_assignee_id: null,
  open: true,
  state: 'open',
  read: false,
  tags: { type: 'tag.list', tags: [] },
  priority: 'not_priority',
  sla_applied: null,
  statistics: buildStatistics({}),
  conversation_rating: null,
  teammates: { type: 'admin.list', teammates: [] },
  title: null,
  custom_attributes: {},
  topics: {},
  ticket: null,
  linked_objects: { type: 'list', data: [], total_count: 0, has_more: false },
  ai_agent: null,
  ai_agent_participated: false,
  ...fields,
});

/** One part of a conversation. */
export const buildPart = (base: Base, author: Author, fields: Fields): IntercomObject => ({
  type: 'conversation_part',
  id: base.id,
  part_type: 'comment',
  body: null,
  created_at: base.created,
  updated_at: base.updated ?? base.created,
  notified_at: base.created,
  assigned_to: null,
  author,
  attachments: [],
  external_id: null,
  redacted: false,
  email_message_metadata: null,
  state: 'open',
  tags: [],
  event_details: null,
  app_package_code: null,
  ...fields,
});

/** A teammate. */
export const buildAdmin = (id: string, fields: Fields): IntercomObject => ({
  type: 'admin',
  email: null,
  id,
  name: null,
  away_mode_enabled: false,
  away_mode_reassign: false,
  has_inbox_seat: true,
  team_ids: [],
  ...fields,
});

/** A tag. */
export const buildTag = (id: string, name: string): IntercomObject => ({ type: 'tag', id, name });

/** A team. */
export const buildTeam = (id: string, name: string, admins: number[]): IntercomObject => ({
  type: 'team',
  id,
  name,
  admin_ids: admins,
  admin_priority_level: {},
  assignment_limit: null,
  distribution_method: null,
});

/** What `GET /me` answers: the token's admin with the workspace it belongs to. */
export const buildMe = (
  admin: IntercomObject,
  app: { id: string; name: string; region: string; timezone: string; created: number },
): Fields => ({
  type: 'admin',
  id: admin.id,
  email: admin['email'],
  name: admin['name'],
  email_verified: true,
  app: {
    type: 'app',
    id_code: app.id,
    name: app.name,
    created_at: app.created,
    secure: false,
    identity_verification: false,
    timezone: app.timezone,
    region: app.region,
  },
  avatar: {
    type: 'avatar',
    image_url: 'https://static.intercomassets.example/default-avatars/admins/128.png',
  },
  has_inbox_seat: admin['has_inbox_seat'],
});

/** An author out of a contact or an admin. */
export const authorOf = (object: IntercomObject): Author => ({
  type: object.type === 'admin' ? 'admin' : object['role'] === 'lead' ? 'lead' : 'user',
  id: object.id,
  name: typeof object['name'] === 'string' ? object['name'] : null,
  email: typeof object['email'] === 'string' ? object['email'] : null,
});

/** HTML as `display_as=plaintext` shows it. */
export const toPlaintext = (html: unknown): unknown =>
  typeof html === 'string'
    ? html.replace(/<br\s*\/?>|<\/p>\s*(?=<p)/g, '\n').replace(/<[^>]*>/g, '')
    : html;
