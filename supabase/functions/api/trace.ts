// The trace of a job, from the request through its row and its worker to the webhook: W3C trace context.
import { randomHex } from "./random.ts";

const SHAPE = /^00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}$/;

/** The traceparent of a caller; a new one, marked as sampled, where the header has not the shape. */
export function continued(header: string): string {
  return SHAPE.test(header) ? header : `00-${randomHex()}-${randomHex().slice(16)}-01`;
}
