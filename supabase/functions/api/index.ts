// RhythmAI's API on Supabase Edge Functions: the contract of edge_api/openapi.yaml, over the same SQL functions.
//
//   https://REF.supabase.co/functions/v1/api/v1/gen       and so on; also /functions/v1/api/healthz and .../api/openapi.json
//
// docs/contract.md tells how to deploy it and where the two hosts differ.
import { readSettings } from "./settings.ts";
import { Routes } from "./routes.ts";
import { answering } from "./shell.ts";

const hosted = "EdgeRuntime" in globalThis;
const settings = readSettings(Deno.env.toObject(), hosted);
const routes = new Routes(settings);
const answer = answering(routes.table(), settings.corsOrigins, settings.origin);

// The wall clock of the platform: whoever waits gets an answer before it strikes.
addEventListener("beforeunload", () => routes.watches.close());

Deno.serve((request, info) => answer(request, (info?.remoteAddr as Deno.NetAddr | undefined)?.hostname ?? ""));
