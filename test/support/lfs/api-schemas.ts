/** The schemas of git-lfs's API as its documents state them: a member too many is as wrong as one that is missing. */
import * as z from "zod";

const oid = z.string();
const size = z.number().min(0);
/** Of errors, also beside other members. */
const explanation = { request_id: z.string().optional(), documentation_url: z.string().optional() };

export const errorSchema = z.looseObject({ message: z.string(), ...explanation });

export const batchRequestSchema = z.looseObject({
  operation: z.string(),
  transfers: z.array(z.string()).optional(),
  objects: z.array(z.strictObject({ oid, size, authenticated: z.boolean().optional() })),
});

const action = z
  .strictObject({
    href: z.string(),
    header: z.looseObject({}).optional(),
    expires_in: z
      .number()
      .min(-(2 ** 31 - 1))
      .max(2 ** 31 - 1)
      .optional(),
    expires_at: z.string().optional(),
  })
  .optional();

export const batchResponseSchema = z.looseObject({
  transfer: z.string().optional(),
  objects: z.array(
    z.strictObject({
      oid,
      size,
      authenticated: z.boolean().optional(),
      actions: z.strictObject({ download: action, upload: action, verify: action }).optional(),
      error: z.strictObject({ code: z.number(), message: z.string() }).optional(),
    }),
  ),
  message: z.string().optional(),
  ...explanation,
});

const owner = z.looseObject({ name: z.string().optional() }).optional();
const lock = z.looseObject({ id: z.string(), path: z.string(), locked_at: z.string().optional(), owner });

export const lockResponseSchema = z.looseObject({
  lock: lock.required({ locked_at: true }),
  message: z.string().optional(),
  ...explanation,
});
export const lockListSchema = z.looseObject({ locks: z.array(lock), next_cursor: z.string().optional() });
export const lockVerifySchema = z.looseObject({
  ours: z.array(lock),
  theirs: z.array(lock),
  next_cursor: z.string().optional(),
});
