/** What the address of the page says after its #: whoever has it hears everything. */
export interface Route {
  job: string | null;
  /** Jobs that made further takes of the same film. */
  takes: string[];
  /** The job that puts a track under the film. */
  merge: string | null;
}

const ID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

export function parse(hash: string): Route {
  const said = new URLSearchParams(hash.replace(/^#/, ""));
  const id = (text: string | null) => (text && ID.test(text) ? text : null);
  const job = id(said.get("job"));
  const takes = (said.get("takes") ?? "").split(",").filter((text) => ID.test(text));
  return { job, takes: job ? takes : [], merge: job && id(said.get("merge")) };
}

export function format({ job, takes, merge }: Route): string {
  if (!job) return "#";
  return `#job=${job}${takes.length ? `&takes=${takes.join(",")}` : ""}${merge ? `&merge=${merge}` : ""}`;
}
