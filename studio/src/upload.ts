/** A film into Storage: in pieces that go on after a break where the project takes them, else in one PUT. */
import { type Schemas, call } from "./api.ts";
import { words } from "./strings.ts";

type Signed = Schemas["Signed"];

const KEPT = "rhythmai.upload.";
const RETRIES_MS = [500, 1000, 2000, 4000, 8000, 15000, 30000];
const WINDOW_MS = 4000;

/** How fast it goes, by the last seconds. */
export class Pace {
  private readonly seen: { at: number; sent: number }[] = [];

  constructor(readonly total: number) {}

  /** Tells that so many bytes have gone by then. */
  tell(sent: number, at: number): void {
    this.seen.push({ at, sent });
    while (this.seen.length > 2 && this.seen[0]!.at < at - WINDOW_MS) this.seen.shift();
  }

  get sent(): number {
    return this.seen.at(-1)?.sent ?? 0;
  }

  /** Bytes a second; null while it cannot be said. */
  get rate(): number | null {
    const [first, last] = [this.seen[0], this.seen.at(-1)];
    return first && last && last.at > first.at ? ((last.sent - first.sent) / (last.at - first.at)) * 1000 : null;
  }

  /** Seconds. */
  get rest(): number | null {
    return this.rate ? (this.total - this.sent) / this.rate : null;
  }
}

/** Answers with the film's address. `stopped(true)` says that the connection is gone and is tried again. Throws Refused, Error. */
export async function upload(
  film: File,
  progress: (sent: number) => void,
  stopped: (stopped: boolean) => void,
  signal: AbortSignal,
): Promise<string> {
  const place = `${KEPT}${film.name}.${film.size}.${film.lastModified}`;
  const signed = begun(place) ?? (await sign(film));
  const moved = (sent: number) => {
    stopped(false);
    progress(sent);
  };
  if (film.size > signed.resumable.chunk_size) {
    keep(place, signed);
    const sent = await inPieces(film, signed.resumable, moved, stopped, signal);
    keep(place, null);
    if (sent) return signed.video_url;
  }
  await whole(film, signed, moved, stopped, signal);
  return signed.video_url;
}

function sign(film: File): Promise<Signed> {
  return call<Signed>("POST", "/api/v1/upload", {
    filename: film.name.slice(-255) || "film",
    content_type: film.type.startsWith("video/") ? film.type : "", // a hint: what is in the file decides
    size: film.size,
  });
}

/** Where an upload of the same file went that a reload cut off, while its address is good. */
function begun(place: string): Signed | null {
  try {
    const kept = JSON.parse(localStorage.getItem(place) ?? "null") as Signed | null;
    return kept && Date.parse(kept.expires_at) > Date.now() + 60_000 ? kept : null;
  } catch {
    return null;
  }
}

function keep(place: string, signed: Signed | null): void {
  try {
    if (signed) localStorage.setItem(place, JSON.stringify(signed));
    else localStorage.removeItem(place);
  } catch {
    // a private window: a reload begins anew
  }
}

/** Answers with false where Storage does not begin such an upload. Throws Error; what was sent is kept for the next try. */
async function inPieces(
  film: File,
  to: Signed["resumable"],
  progress: (sent: number) => void,
  stopped: (stopped: boolean) => void,
  signal: AbortSignal,
): Promise<boolean> {
  const { Upload } = await import("tus-js-client");
  return await new Promise<boolean>((resolve, reject) => {
    const sending = new Upload(film, {
      endpoint: to.endpoint,
      headers: to.headers,
      metadata: to.metadata,
      chunkSize: to.chunk_size,
      retryDelays: RETRIES_MS,
      removeFingerprintOnSuccess: true,
      uploadDataDuringCreation: true,
      onProgress: progress,
      onSuccess: () => resolve(true),
      onError: (error) => (sending.url ? reject(error) : resolve(false)),
      onShouldRetry: (error) => {
        const status = error.originalResponse?.getStatus() ?? 0;
        const again = status === 0 || status === 409 || status === 423 || status >= 500;
        stopped(again);
        return again;
      },
    });
    signal.addEventListener("abort", () => void sending.abort().then(() => reject(signal.reason)));
    sending.findPreviousUploads().then((before) => {
      const same = before.find((one) => one.metadata.objectName === to.metadata.objectName);
      if (same) sending.resumeFromPreviousUpload(same);
      sending.start();
    }, reject);
  });
}

async function whole(
  film: File,
  { upload_url, method, headers }: Signed,
  progress: (sent: number) => void,
  stopped: (stopped: boolean) => void,
  signal: AbortSignal,
): Promise<void> {
  for (const pause of [...RETRIES_MS, -1]) {
    const status = await put(film, upload_url, method, headers, progress, signal);
    if (status >= 200 && status < 300) return;
    if (status >= 400 && status < 500) throw new Error(`Storage answered ${status}`);
    if (pause < 0) throw new Error(words.offline);
    stopped(true);
    await new Promise((resolve) => setTimeout(resolve, pause));
    signal.throwIfAborted();
  }
}

/** fetch does not tell how far it is; answers with the status, 0 for a connection that broke. */
function put(
  film: File,
  url: string,
  method: string,
  headers: Record<string, string>,
  progress: (sent: number) => void,
  signal: AbortSignal,
): Promise<number> {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open(method, url);
    for (const [name, value] of Object.entries(headers)) request.setRequestHeader(name, value);
    request.upload.onprogress = ({ loaded }) => progress(loaded);
    request.onload = () => resolve(request.status);
    request.onerror = () => resolve(0);
    request.onabort = () => reject(signal.reason);
    signal.addEventListener("abort", () => request.abort());
    request.send(film);
  });
}

/** The sample of this server as a file like any other. */
export async function sample(): Promise<File> {
  const answer = await fetch("/sample.mp4");
  if (!answer.ok) throw new Error(words.offline);
  return new File([await answer.blob()], "sample.mp4", { type: "video/mp4", lastModified: 0 });
}
