// JSON lines: what happened and to which request, never what a user sent.

export function log(level: "info" | "warning" | "error", event: string, fields: Record<string, unknown> = {}): void {
  console.log(JSON.stringify({ event, level, ...fields, timestamp: new Date().toISOString() }));
}
