// Wires job-status: GET job-status/{id}?include_tasks=true, with Authorization: Bearer ADMIN_API_KEY.

import { serve } from '../_shared/serve.ts';
import { handle } from './handler.ts';

serve(handle);
