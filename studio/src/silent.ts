/** A clock with the manners of a video element, for a film that cannot be shown. */
export class SilentFilm extends EventTarget {
  paused = true;
  muted = false;
  readonly seeking = false;
  readonly readyState = 4;
  private at = 0;
  private since = 0;
  private ticking = 0;

  constructor(readonly duration: number) {
    super();
  }

  get currentTime(): number {
    return this.paused ? this.at : Math.min(this.duration, this.at + (performance.now() - this.since) / 1000);
  }

  set currentTime(seconds: number) {
    this.at = seconds;
    this.since = performance.now();
    this.tell("seeking", "timeupdate", "seeked");
  }

  async play(): Promise<void> {
    if (this.currentTime >= this.duration) this.at = 0;
    this.since = performance.now();
    this.paused = false;
    this.tell("play", "playing");
    this.ticking = window.setInterval(() => {
      this.tell("timeupdate");
      if (this.currentTime >= this.duration) this.pause("ended");
    }, 250);
  }

  pause(why: "pause" | "ended" = "pause"): void {
    if (this.paused) return;
    this.at = this.currentTime;
    this.paused = true;
    window.clearInterval(this.ticking);
    this.tell(why);
  }

  private tell(...names: string[]): void {
    for (const name of names) this.dispatchEvent(new Event(name));
  }
}
