// The environment, read once in index.ts. Supabase sets what starts with SUPABASE_; the rest is `supabase secrets set`.

export interface Settings {
  databaseUrl: URL;
  /** Where this project answers, as the function reaches it, without a slash at its end. */
  supabaseUrl: string;
  /** The same as browsers and workers reach it; differs under `supabase start`. */
  publicUrl: string;
  secretKey: string;
  publishableKey: string;
  jwtSecret: string | undefined;
  requireAuth: boolean;
  commercialOnly: boolean;
  corsOrigins: string[];
  mergeWaitS: number;
  /** The header in which the gateway before us writes the client's address; none: the peer is the client. */
  clientHeader: string | undefined;
  /** What stands before /api/v1 in the paths that clients see. */
  base: string;
  /** The same in whole addresses; undefined: where each request says that it was sent. */
  origin: string | undefined;
}

/** The gateway answers 504 after 150 s of silence. */
const LONGEST_MERGE_WAIT_S = 140;

/** Throws an Error that names the variable. `hosted`: whether Supabase's gateway stands before us. */
export function readSettings(env: Record<string, string | undefined>, hosted: boolean): Settings {
  const supabaseUrl = required(env, "SUPABASE_URL").replace(/\/+$/, "");
  if (!URL.canParse(supabaseUrl)) throw new Error("SUPABASE_URL is malformed: write it like https://REF.supabase.co");
  // Elsewhere a client could write Cloudflare's header itself.
  const behindCloudflare = hosted && new URL(supabaseUrl).hostname.endsWith(".supabase.co");
  const jwtSecret = env.JWT_SECRET || undefined;
  if (jwtSecret !== undefined && jwtSecret.length < 32) throw new Error("JWT_SECRET must have at least 32 characters");
  const mergeWaitS = Number(env.MERGE_WAIT_S || 50);
  if (!(mergeWaitS >= 0)) throw new Error("MERGE_WAIT_S must be a number of seconds");
  const given = env.PUBLIC_URL?.replace(/\/+$/, "");
  const publicUrl = given || supabaseUrl;
  const base = hosted ? "/functions/v1" : "";
  return {
    databaseUrl: databaseUrl(env),
    supabaseUrl,
    publicUrl,
    secretKey: env.SUPABASE_KEY || named(env.SUPABASE_SECRET_KEYS) ||
      required(env, "SUPABASE_SECRET_KEY", "SUPABASE_SERVICE_ROLE_KEY"),
    publishableKey: named(env.SUPABASE_PUBLISHABLE_KEYS) || env.SUPABASE_PUBLISHABLE_KEY || env.SUPABASE_ANON_KEY || "",
    jwtSecret,
    requireAuth: flag(env, "REQUIRE_AUTH"),
    commercialOnly: flag(env, "COMMERCIAL_ONLY"),
    corsOrigins: origins(env.CORS_ORIGINS || "*"),
    mergeWaitS: Math.min(mergeWaitS, LONGEST_MERGE_WAIT_S),
    clientHeader: env.CLIENT_ADDRESS_HEADER || (behindCloudflare ? "cf-connecting-ip" : undefined),
    base,
    origin: hosted ? publicUrl + base : given || undefined,
  };
}

function required(env: Record<string, string | undefined>, ...names: string[]): string {
  const name = names.find((each) => env[each]);
  if (name === undefined) throw new Error(`${names.join(" or ")} is not set`);
  return env[name]!;
}

/** Postgres; DATABASE_URL first, because the platform always sets the other one. No error repeats it: it holds a password. */
function databaseUrl(env: Record<string, string | undefined>): URL {
  const names = ["DATABASE_URL", "SUPABASE_DB_URL"];
  const text = required(env, ...names);
  const name = names.find((each) => env[each])!;
  const authority = text.replace(/^[^:]*:\/\//, "").split(/[/?#]/)[0]!;
  if (authority.split("@").at(-1)!.includes(",")) throw new Error(`${name} names several hosts: name one of them`);
  try {
    const url = new URL(text);
    decodeURIComponent(url.username + url.password);
    const rest = url.pathname + url.search + url.hash; // an @ in it: the password ended too early
    if (/^postgres(ql)?(\+\w+)?:$/.test(url.protocol) && url.hostname && !/[@#]/.test(rest)) return url;
  } catch {
    // told below, without the value
  }
  throw new Error(
    `${name} is malformed: write postgresql://USER:PASSWORD@HOST:PORT/DATABASE, the password percent-encoded`,
  );
}

/** The words that edge_api takes, and no others: what is not understood must not leave anything open. */
function flag(env: Record<string, string | undefined>, name: string): boolean {
  const word = (env[name] || "false").toLowerCase();
  if (/^(1|on|t|true|y|yes)$/.test(word)) return true;
  if (/^(0|off|f|false|n|no)$/.test(word)) return false;
  throw new Error(`${name} is malformed: write true or false`);
}

function origins(listed: string): string[] {
  const found = listed.toLowerCase().split(",").map((origin) => origin.trim()).filter(Boolean);
  const odd = found.find((origin) => origin !== "*" && !/^https?:\/\//.test(origin));
  if (odd !== undefined) {
    throw new Error(
      `CORS_ORIGINS is malformed: ${odd} is not an origin; write it like https://example.com, or * for all`,
    );
  }
  return found.map((origin) => origin.replace(/\/+$/, ""));
}

/** The key named `default` of a JSON dictionary of keys. */
function named(keys: string | undefined): string {
  try {
    return JSON.parse(keys || "{}").default ?? "";
  } catch {
    return "";
  }
}
