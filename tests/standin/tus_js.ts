// The real tus-js-client against a running gateway; test_tus_js.py starts both. Arguments: what to do, endpoint, token, file.
import * as tus from "npm:tus-js-client@4.3.1";
import { Buffer } from "node:buffer";

const [what, endpoint, token, path] = Deno.args;
const film = Buffer.from(await Deno.readFile(path));
const asked: string[] = [];

const upload = new tus.Upload(film, {
  endpoint,
  headers: { "x-signature": token },
  metadata: { bucketName: "b", objectName: "film.mp4", contentType: "video/mp4", cacheControl: "3600" },
  chunkSize: 6 * 2 ** 20,
  urlStorage: new tus.FileUrlStorage(`${path}.uploads.json`),
  fingerprint: () => Promise.resolve(path),
  removeFingerprintOnSuccess: true,
  retryDelays: [0, 100],
  onAfterResponse: (request, response) => {
    asked.push(`${request.getMethod()} ${response.getStatus()} ${response.getHeader("Upload-Offset") ?? ""}`.trim());
  },
  onProgress: (sent, total) => {
    if (what === "cut" && sent >= 0.6 * total) Deno.exit(3); // the train enters the tunnel, and the battery is flat
  },
  onChunkComplete: async () => {
    if (what !== "abort") return;
    await upload.abort(true);
    tell();
  },
  onError: (error) => {
    asked.push(String(error));
    tell();
  },
  onSuccess: () => tell(),
});

function tell() {
  console.log(JSON.stringify(asked));
  Deno.exit(0);
}

const [previous] = await upload.findPreviousUploads();
if (previous) upload.resumeFromPreviousUpload(previous);
upload.start();
