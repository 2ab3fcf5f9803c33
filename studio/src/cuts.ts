/** Finds the cuts of a film while it plays: where the picture is another from one frame to the next. */
const [WIDTH, HEIGHT] = [16, 9];
const OTHER = 28; // mean difference of a channel, of 255
const MORE = 3; // times as different as frames were lately: what flickers has no cuts
const NEXT_S = 0.2; // frames further apart than this are a seek, or were not shown
const SAME_S = 0.4; // a film that plays again has its cuts where it had them

/** `found` gets all cuts known so far, in order; the answer ends it. */
export function findCuts(video: HTMLVideoElement, found: (cuts: number[]) => void): () => void {
  const context = new OffscreenCanvas(WIDTH, HEIGHT).getContext("2d", { willReadFrequently: true })!;
  let cuts: number[] = [];
  let usual = 0;
  let before: { at: number; pixels: Uint8ClampedArray } | null = null;
  let handle = 0;
  const look = (_: number, { mediaTime: at }: VideoFrameCallbackMetadata) => {
    context.drawImage(video, 0, 0, WIDTH, HEIGHT);
    const { data: pixels } = context.getImageData(0, 0, WIDTH, HEIGHT);
    if (before && at > before.at && at - before.at < NEXT_S) {
      const difference = apart(before.pixels, pixels);
      if (difference > OTHER && difference > MORE * usual && !cuts.some((cut) => Math.abs(cut - at) < SAME_S)) {
        cuts = [...cuts, at].sort((one, other) => one - other);
        found(cuts);
      }
      usual += (difference - usual) / 4;
    }
    before = { at, pixels };
    handle = video.requestVideoFrameCallback(look);
  };
  handle = video.requestVideoFrameCallback(look);
  return () => video.cancelVideoFrameCallback(handle);
}

/** The mean difference of two pictures of the same size. */
export function apart(one: Uint8ClampedArray, other: Uint8ClampedArray): number {
  return one.reduce((sum, value, i) => sum + Math.abs(value - other[i]!), 0) / ((one.length * 3) / 4); // alpha is always 255
}
