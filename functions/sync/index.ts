// Wires sync: POST sync {app_key, mode, resource_types, immediate}, with Authorization: Bearer ADMIN_API_KEY.

import { serve } from '../_shared/serve.ts';
import { handle } from './handler.ts';

serve(handle);
