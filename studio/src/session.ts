/** Who the page is: a visitor, or a user of the project's Auth. supabase-js comes when it is needed. */
import type { SupabaseClient } from "@supabase/supabase-js";
import { config } from "./config.ts";

let made: Promise<SupabaseClient> | undefined;

/** The project's client, signed in as the configuration has it. */
export function supabase(): Promise<SupabaseClient> {
  made ??= make();
  made.catch(() => (made = undefined));
  return made;
}

async function make(): Promise<SupabaseClient> {
  const { project_url, publishable_key, sign_in } = await config();
  const { createClient } = await import("@supabase/supabase-js");
  if (sign_in === "none") {
    return createClient(project_url, publishable_key, { auth: { persistSession: false, autoRefreshToken: false } });
  }
  const client = createClient(project_url, publishable_key);
  const { data } = await client.auth.getSession();
  if (!data.session && sign_in === "anonymous") {
    const { error } = await client.auth.signInAnonymously();
    if (error) throw error;
  }
  return client;
}

/** The access token, or null of a visitor. */
export async function token(): Promise<string | null> {
  if ((await config()).sign_in === "none") return null;
  const { data } = await (await supabase()).auth.getSession();
  return data.session?.access_token ?? null;
}
