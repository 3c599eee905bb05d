// Wires worker: POST worker {job_id?, max_tasks?}, with Authorization: Bearer ADMIN_API_KEY.

import { serve } from '../_shared/serve.ts';
import { handle } from './handler.ts';

serve(handle);
