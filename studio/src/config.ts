/** What the API says about the project, in /config.json. */
export interface Config {
  project_url: string;
  publishable_key: string;
  sign_in: "none" | "anonymous" | "session";
  retention_days: number | null;
  sample: boolean;
  /** Whose workers are there; a choice where they are several. */
  engines?: string[];
}

let asked: Promise<Config> | undefined;

/** Asked once. Throws TypeError while nobody answers; the next call asks again. */
export function config(): Promise<Config> {
  asked ??= fetch("/config.json").then((answer) => {
    if (!answer.ok) throw new TypeError(`config.json: ${answer.status}`);
    return answer.json();
  });
  asked.catch(() => (asked = undefined));
  return asked;
}
