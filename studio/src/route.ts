/** What the address of the page says after its #: whoever has it hears everything. */
export interface Route {
  job: string | null;
  /** The job that says what music there could be, until there is one for the music. */
  brief: string | null;
  /** Jobs that made further takes of the same film. */
  takes: string[];
  /** Jobs that put a track under the film; the last one is shown. */
  merges: string[];
  /** Jobs that go with them when all is deleted: what they were planned by, and packs. */
  beside: string[];
}

export const NOWHERE: Route = { job: null, brief: null, takes: [], merges: [], beside: [] };
const ID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

export function parse(hash: string): Route {
  const said = new URLSearchParams(hash.replace(/^#/, ""));
  const ids = (name: string) => (said.get(name) ?? "").split(",").filter((text) => ID.test(text));
  const [[job], [brief]] = [ids("job"), ids("brief")];
  if (!job) return { ...NOWHERE, brief: brief ?? null };
  return { job, brief: null, takes: ids("takes"), merges: ids("merge"), beside: ids("beside") };
}

export function format({ job, brief, ...more }: Route): string {
  if (!job) return brief ? `#brief=${brief}` : "#";
  const lists = [["takes", more.takes], ["merge", more.merges], ["beside", more.beside]] as const;
  return `#job=${job}${lists.map(([name, ids]) => (ids.length ? `&${name}=${ids.join(",")}` : "")).join("")}`;
}
