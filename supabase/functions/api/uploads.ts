// Uploads: signed addresses to which a browser puts its video, straight into the Storage bucket.
import { StorageClient } from "@supabase/storage-js";
import { decodeJwt } from "jose";
import { Problem } from "../_shared/problems.ts";
import type { Schemas } from "../_shared/schema.ts";
import { log } from "./log.ts";
import type { Queue } from "./queue.ts";
import { randomHex } from "./random.ts";
import type { Settings } from "./settings.ts";

export const MAX_UPLOAD_BYTES = 512 * 2 ** 20;
const BUCKET = "uploads";
/** What all is called that nobody calls a video; its content decides. */
const OTHER = "application/octet-stream";
const SUFFIX: Record<string, string> = {
  "video/mp4": ".mp4",
  "video/quicktime": ".mov",
  "video/webm": ".webm",
  "video/x-matroska": ".mkv",
  "video/x-msvideo": ".avi",
  "video/mp2t": ".ts",
  "video/x-flv": ".flv",
  "video/ogg": ".ogv",
};
/** How long Supabase's signed uploads hold when the token does not say. */
const USUAL_LIFE_S = 2 * 3600;
const TIMEOUT_MS = 10_000;
/** Supabase wants pieces of exactly this size. */
const CHUNK = 6 * 2 ** 20;
/** An upload never changes: whoever fetched it may keep it for an hour. */
const KEPT_S = "3600";

/** Signs uploads with the secret key, which stays here; paths hold 128 random bits and nothing of the user. */
export class Uploads {
  readonly #storage: StorageClient;

  constructor(private readonly settings: Settings, private readonly queue: Queue) {
    const key = settings.secretKey;
    this.#storage = new StorageClient(
      `${settings.supabaseUrl}/storage/v1`,
      { apikey: key, Authorization: `Bearer ${key}` },
      (input, init) => fetch(input, { ...init, signal: AbortSignal.timeout(TIMEOUT_MS) }),
    );
  }

  /** The answer of POST /api/v1/upload. Throws Problem: too_many_uploads, storage_unavailable. */
  async sign(asked: Schemas["Upload"], owner: string | null, client: string): Promise<Schemas["Signed"]> {
    const type = asked.content_type.split(";")[0]!.trim().toLowerCase();
    const contentType = /^video\/[a-z0-9][a-z0-9.+-]*$/.test(type) ? type : OTHER;
    const path = randomHex() + (SUFFIX[contentType] ?? "");
    await this.queue.takeUpload(path, asked.size, owner, client);
    const { data, error } = await this.#storage.from(BUCKET).createSignedUploadUrl(path);
    if (error) {
      log("warning", "storage.away", { error: error.name });
      await this.queue.returnUpload(path);
      const detail = "Storage does not take uploads right now; try again in a few seconds";
      throw new Problem("storage_unavailable", detail, { "Retry-After": "5" });
    }
    const { supabaseUrl, publicUrl } = this.settings;
    return {
      upload_url: data.signedUrl.replace(supabaseUrl, publicUrl),
      method: "PUT",
      headers: { "content-type": contentType, "x-upsert": "false" },
      video_url: `${publicUrl}/storage/v1/object/public/${BUCKET}/${path}`,
      expires_at: endOf(data.token),
      resumable: {
        endpoint: `${publicUrl}/storage/v1/upload/resumable/sign`,
        headers: { "x-signature": data.token },
        metadata: { bucketName: BUCKET, objectName: path, contentType, cacheControl: KEPT_S },
        chunk_size: CHUNK,
      },
    };
  }
}

function endOf(token: string): string {
  let end = Date.now() / 1000 + USUAL_LIFE_S;
  try {
    end = decodeJwt(token).exp ?? end;
  } catch {
    // a token of another make holds for the usual time
  }
  return new Date(end * 1000).toISOString().replace(/\.\d+Z$/, "+00:00");
}
