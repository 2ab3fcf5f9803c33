/** The jobs of this browser, newest first. Where the browser keeps nothing, there are none. */
export interface Recent {
  hash: string;
  job: string;
  name: string;
  at: string;
}

const PLACE = "rhythmai.recent";
const MOST = 12;

export function recent(): Recent[] {
  try {
    const kept: unknown = JSON.parse(localStorage.getItem(PLACE) ?? "[]");
    return Array.isArray(kept) ? kept : [];
  } catch {
    return [];
  }
}

function keep(all: Recent[]): Recent[] {
  try {
    localStorage.setItem(PLACE, JSON.stringify(all.slice(0, MOST)));
  } catch {
    // a private window: forgotten at its end anyway
  }
  return all;
}

export function remember(one: Recent): Recent[] {
  const before = recent().find(({ job }) => job === one.job);
  return keep([{ ...one, name: one.name || before?.name || "" }, ...recent().filter(({ job }) => job !== one.job)]);
}

export function forget(job: string): Recent[] {
  return keep(recent().filter((one) => one.job !== job));
}
