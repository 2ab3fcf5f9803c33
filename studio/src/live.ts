/** A job, live: its topic for what happens, the API for what is. Joins, reads, goes on; whatever breaks in between. */
import type { RealtimeChannel } from "@supabase/supabase-js";
import { type Job, Refused, call } from "./api.ts";
import { supabase } from "./session.ts";
import { ended, heard, read } from "./watch.ts";

const LOOKS_MS = 1000; // for progress and the queue's place, which no event tells
const AWAY_MS = 5000;

export interface Listener {
  job(job: Job): void;
  /** The connection is lost, or back. */
  lost(lost: boolean): void;
  /** There is no such job. */
  gone(): void;
}

/** Watches until the job has ended, or until the answer is called. */
export function watch(id: string, listener: Listener): () => void {
  let known: Job | null = null;
  let over = false;
  let timer = 0;
  let channel: RealtimeChannel | null = null;
  let early: { event: string; payload: unknown }[] = [];

  const tell = (job: Job) => {
    known = job;
    listener.job(job);
  };
  const look = async () => {
    window.clearTimeout(timer);
    let pause = LOOKS_MS;
    try {
      const answer = await call<Job>("GET", `/api/v1/job/${id}`, undefined, { patient: false });
      if (over) return;
      listener.lost(false);
      tell(early.reduce((job, { event, payload }) => heard(job, event, payload), read(known, answer)));
      early = [];
      if (ended(answer)) return stop();
    } catch (error) {
      if (over) return;
      if (error instanceof Refused && error.status < 429) { // asked too often is not gone
        listener.gone();
        return stop();
      }
      listener.lost(true);
      pause = 2 * LOOKS_MS;
    }
    timer = window.setTimeout(look, document.hidden ? AWAY_MS : pause);
  };
  const stop = () => {
    over = true;
    window.clearTimeout(timer);
    window.removeEventListener("online", look);
    document.removeEventListener("visibilitychange", look);
    void channel?.unsubscribe();
  };
  const join = async () => {
    const client = await supabase();
    await client.realtime.setAuth();
    if (over) return;
    channel = client.channel(`job:${id}`, { config: { private: true } });
    for (const event of ["plan", "result", "job"]) {
      channel.on("broadcast", { event }, ({ payload }) => {
        if (over) return;
        if (!known) early.push({ event, payload });
        else tell(heard(known, event, payload));
        if (event === "job" && ended(payload)) void look();
      });
    }
    channel.subscribe((status) => {
      if (status === "SUBSCRIBED" && !over) void look(); // what was sent before is not sent again
    });
  };

  window.addEventListener("online", look);
  document.addEventListener("visibilitychange", look);
  void look();
  join().catch(() => {}); // without the topic, looking now and then tells the same, later
  return stop;
}
