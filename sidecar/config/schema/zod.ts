/** Nothing else imports zod. */
export { z } from 'zod';
