// Who asks: the user of a Supabase access token, or a visitor.
//
// Two signing schemes hold side by side, so that a project may change its keys and nobody has to sign in again: HS256 for
// JWT_SECRET, and for each key that the project publishes (JWKS) its own asymmetric algorithm. No key has a second algorithm.
// A publishable or anon key as Bearer, as supabase-js sends it before sign-in, is a visitor.
import {
  createLocalJWKSet,
  createRemoteJWKSet,
  decodeJwt,
  decodeProtectedHeader,
  errors,
  type JSONWebKeySet,
  type JWTHeaderParameters,
  type JWTPayload,
  jwtVerify,
} from "jose";
import { Problem } from "./problems.ts";

const LEEWAY_S = 10;
const REST_AFTER_FAILURE_S = 5;
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

/** Checks a token's signature and claims. Throws errors of jose, Problem auth_unavailable. */
export type Verify = (token: string) => Promise<JWTPayload>;

const claims = { audience: "authenticated", clockTolerance: LEEWAY_S, requiredClaims: ["exp", "sub"] };

/** Both: the shared secret, where there is one, and the published keys. */
export function byProjectKeys(supabaseUrl: string, secret: string | undefined): Verify {
  const published = byPublishedKeys(supabaseUrl);
  const shared = secret === undefined ? published : bySecret(secret);
  return (token) => decodeProtectedHeader(token).alg === "HS256" ? shared(token) : published(token);
}

/** One shared secret, HS256. */
function bySecret(secret: string): Verify {
  const key = new TextEncoder().encode(secret);
  const find = ({ kid = "" }: JWTHeaderParameters) => {
    if (typeof kid !== "string") throw new errors.JWTInvalid("the token names no key");
    return key;
  };
  return async (token) => (await jwtVerify(token, find, { ...claims, algorithms: ["HS256"] })).payload;
}

/** The project's published signing keys: cached five minutes, fetched again for an unknown key id at most every 30 s. */
function byPublishedKeys(supabaseUrl: string): Verify {
  const address = new URL(`${supabaseUrl}/auth/v1/.well-known/jwks.json`);
  const keys = createRemoteJWKSet(address, { timeoutDuration: 5000, cooldownDuration: 30_000, cacheMaxAge: 300_000 });
  let restUntil = 0;

  async function find(header: JWTHeaderParameters) {
    if (typeof header.kid !== "string") throw new errors.JWTInvalid("the token names no key");
    // Keys that are known outlive an Auth that is away.
    const known = keys.jwks();
    if (Date.now() < restUntil) return among(known, header);
    try {
      return await keys(header);
    } catch (error) {
      const broken = error instanceof errors.JWKSTimeout || error instanceof errors.JWKSInvalid;
      const refused = error instanceof errors.JOSEError && error.code !== "ERR_JOSE_GENERIC" && !broken;
      if (refused) throw error;
      // Callers queue up behind a fetch that hangs: let them go at once for a moment.
      restUntil = Date.now() + REST_AFTER_FAILURE_S * 1000;
      return among(known, header);
    }
  }

  async function among(known: JSONWebKeySet | undefined, header: JWTHeaderParameters) {
    if (known === undefined) throw keysAway();
    try {
      return await createLocalJWKSet(known)(header);
    } catch {
      throw keysAway();
    }
  }

  return async (token) =>
    (await jwtVerify(token, find, { ...claims, algorithms: ["ES256", "RS256", "EdDSA"] })).payload;
}

/** The id of the server's key with this SHA-256, in hexadecimal digits; null when it is unknown or revoked. */
export type KeyOf = (hash: string) => Promise<string | null>;

/** Turns an Authorization header into a user id, null for a visitor. A server's key is a user whose id `keyOf` finds. */
export class Authenticator {
  constructor(
    private readonly verify: Verify,
    private readonly publishableKey: string,
    private readonly requireAuth: boolean,
    private readonly keyOf: KeyOf,
  ) {}

  /** Throws Problem: unauthorized, auth_unavailable, database_unavailable. */
  async user(authorization: string | null): Promise<string | null> {
    const user = await this.#user(authorization);
    if (user === null && this.requireAuth) {
      throw unauthorized(
        "Sign in: this server takes requests of signed-in users only (Authorization: Bearer <access token>)",
      );
    }
    return user;
  }

  async #user(authorization: string | null): Promise<string | null> {
    if (authorization === null) return null;
    const token = /^bearer +([!-~]+) *$/i.exec(authorization)?.[1];
    if (token === undefined) {
      throw unauthorized("The Authorization header must be `Bearer <access token>`, or be left out");
    }
    if (token.startsWith("rk_")) {
      const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(token)));
      const known = await this.keyOf(hash.toHex());
      if (known === null) throw unauthorized("This key is unknown or revoked; `rhythmai keys add` makes one");
      return known;
    }
    if (this.#isPublicKey(token)) return null;
    let payload: JWTPayload;
    try {
      payload = await this.verify(token);
    } catch (error) {
      if (error instanceof errors.JWTExpired) {
        throw unauthorized("The access token has expired; refresh the session and try again");
      }
      if (error instanceof Problem) throw error;
      throw invalid();
    }
    if (typeof payload.sub !== "string") throw invalid();
    if (payload.role !== "authenticated" || !UUID.test(payload.sub)) {
      throw unauthorized("The access token is not one of a signed-in user; sign in, or leave it out");
    }
    return payload.sub;
  }

  #isPublicKey(token: string): boolean {
    if (token.startsWith("sb_") || token === this.publishableKey) return true;
    try {
      return decodeProtectedHeader(token) && decodeJwt(token).role === "anon"; // unverified on purpose: being taken for a visitor gives nothing
    } catch {
      return false;
    }
  }
}

function invalid(): Problem {
  return unauthorized("The access token is not valid; sign in again, or leave the Authorization header out");
}

export function unauthorized(detail: string): Problem {
  return new Problem("unauthorized", detail, { "WWW-Authenticate": "Bearer" });
}

function keysAway(): Problem {
  return new Problem("auth_unavailable", "Access tokens cannot be checked right now; try again in a few seconds", {
    "Retry-After": String(REST_AFTER_FAILURE_S),
  });
}
