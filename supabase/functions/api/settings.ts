// The environment, read once in index.ts. Supabase sets what starts with SUPABASE_; the rest is `supabase secrets set`.

export interface Settings {
  databaseUrl: string;
  /** Where this project answers, as the function reaches it, without a slash at its end. */
  supabaseUrl: string;
  /** The same as browsers and workers reach it; differs under `supabase start`. */
  publicUrl: string;
  secretKey: string;
  publishableKey: string;
  jwtSecret: string | undefined;
  requireAuth: boolean;
  corsOrigins: string[];
  mergeWaitS: number;
  /** The header in which the gateway before us writes the client's address; none: the peer is the client. */
  clientHeader: string | undefined;
  /** What stands before /api/v1 in the addresses that clients see. */
  base: string;
}

/** The gateway answers 504 after 150 s of silence. */
const LONGEST_MERGE_WAIT_S = 140;

/** Throws an Error that names the variable. `hosted`: whether Supabase's gateway stands before us. */
export function readSettings(env: Record<string, string | undefined>, hosted: boolean): Settings {
  const supabaseUrl = required(env, "SUPABASE_URL").replace(/\/+$/, "");
  const jwtSecret = env.JWT_SECRET || undefined;
  if (jwtSecret !== undefined && jwtSecret.length < 32) throw new Error("JWT_SECRET must have at least 32 characters");
  const mergeWaitS = Number(env.MERGE_WAIT_S || 50);
  if (!(mergeWaitS >= 0)) throw new Error("MERGE_WAIT_S must be a number of seconds");
  return {
    databaseUrl: required(env, "SUPABASE_DB_URL", "DATABASE_URL"),
    supabaseUrl,
    publicUrl: env.PUBLIC_URL?.replace(/\/+$/, "") || supabaseUrl,
    secretKey: env.SUPABASE_KEY || named(env.SUPABASE_SECRET_KEYS) ||
      required(env, "SUPABASE_SECRET_KEY", "SUPABASE_SERVICE_ROLE_KEY"),
    publishableKey: named(env.SUPABASE_PUBLISHABLE_KEYS) || env.SUPABASE_PUBLISHABLE_KEY || env.SUPABASE_ANON_KEY || "",
    jwtSecret,
    requireAuth: ["true", "1"].includes(env.REQUIRE_AUTH?.toLowerCase() ?? ""),
    corsOrigins: (env.CORS_ORIGINS || "*").split(",").map((origin) => origin.trim().replace(/\/$/, "")).filter(Boolean),
    mergeWaitS: Math.min(mergeWaitS, LONGEST_MERGE_WAIT_S),
    clientHeader: env.CLIENT_ADDRESS_HEADER || (hosted ? "cf-connecting-ip" : undefined),
    base: hosted ? "/functions/v1" : "",
  };
}

function required(env: Record<string, string | undefined>, ...names: string[]): string {
  const name = names.find((each) => env[each]);
  if (name === undefined) throw new Error(`${names.join(" or ")} is not set`);
  return env[name]!;
}

/** The key named `default` of a JSON dictionary of keys. */
function named(keys: string | undefined): string {
  try {
    return JSON.parse(keys || "{}").default ?? "";
  } catch {
    return "";
  }
}
