/** Every word of the page. `say` fills {names}. */
export const lang = "en";

export const words = {
  name: "RhythmAI",
  news: "News",
  start: {
    title: "Music for your film",
    drop: "Drop a film here",
    pick: "Choose a film",
    or: "or paste a link to one",
    open: "Open",
    sample: "Try our sample",
    notFilm: "{name} is not a film. Drop a video file, such as MP4, MOV or WebM.",
    notLink: "That is no link. It begins with https:// and leads to a video file.",
    tooLarge: "{name} has {size}. A film may have 512 MB: make it shorter or smaller.",
    keptDays: "Your film goes to {host} and stays {days}, or until you delete it. Without music or a plan it is removed after a day.",
    keptOn: "Your film goes to {host} and stays until you delete it. Without music or a plan it is removed after a day.",
    another: "Another film",
  },
  wish: {
    label: "What should the music be like?",
    optional: "Optional, in any language",
    examples: ["Warm and light, like a summer morning", "Dark, slow and tense", "Playful, with handclaps and bass"],
    more: "More",
    variants: "Tracks",
    seconds: "First seconds only",
    wholeFilm: "the whole film",
    keep: "Keep the original sound",
    format: "Format",
    seed: "Seed",
    anySeed: "any",
    loudness: "Loudness",
    loudnesses: { "-14": "Streaming, -14 LUFS", "-16": "Podcasts, -16 LUFS", "-23": "Broadcast, -23 LUFS" } as Record<string, string>,
    loop: "Make it a loop, whose end meets its beginning",
    engine: "Engine",
    engines: { auto: "Choose for me", mmaudio: "MMAudio", acestep: "ACE-Step", sketch: "Sketch" } as Record<string, string>,
    go: "Make music",
    plan: "Plan first",
    going: "The music is made as soon as the film has arrived",
  },
  moments: {
    heading: "Moments",
    how: "Go to a place in the film and mark it. The music meets it.",
    hit: "Mark this moment",
    part: "Other music from here",
    show: "Go to {at}",
    kind: "What happens at {at}",
    kinds: { accent: "Accent", drop: "Drop", stop: "Stop", downbeat: "Downbeat", part: "Other music" } as Record<string, string>,
    words: "What is heard from {at} on",
    any: "in a few words",
    energy: "How lively it is from {at} on",
    energies: { "": "As the film", "0.2": "Calm", "0.5": "Medium", "0.9": "Lively" } as Record<string, string>,
    remove: "Remove the moment at {at}",
  },
  brief: {
    heading: "What the music could be",
    ready: "Change what you like",
    failed: "The film could not be planned: {why}",
    seen: "{length} · scenes: {scenes} · cuts: {cuts}.",
    spoken: "Somebody speaks for {length}: the music leaves room.",
    silent: "Nobody speaks.",
    prompt: "What track {number} is to be",
    drop: "Leave {title} out",
  },
  upload: {
    sending: "Uploading {name}",
    rate: "{sent} of {total}, {rate} a second, {rest} left",
    done: "{name} has arrived",
    stopped: "The connection is gone. The upload goes on by itself as soon as it is back.",
    failed: "The upload did not work: {why}",
    again: "Try again",
  },
  film: {
    label: "Film",
    play: "Play",
    pause: "Pause",
    sound: "Turn the sound on",
    seek: "Place in the film",
    linked: "This film lies elsewhere. It is shown here once its music is being made.",
    foreign: "This film lies elsewhere, so it cannot be shown here yet. A copy for this page is on its way; until then the tracks play alone.",
    later: "Your browser cannot play this kind of film. A copy that it can play comes with the music.",
    unplayable: "Your browser cannot play this kind of film. A copy that it can play is on its way; until then the tracks play alone.",
    noCopy: "This film cannot be shown here, so the tracks play alone. The music fits it nevertheless.",
    unseen: "This film cannot be shown here.",
    of: "{at} of {length}",
  },
  waiting: {
    place: "Number {place} in the queue",
    next: "Next in the queue",
    engine: "Waiting for the engine that you chose",
    fetching: "Fetching the film",
    describing: "Watching the film",
    composing: "Composing, {done} of {total} ready",
    hearing: "Listening for speech",
    merging: "Putting music and film together",
    packing: "Packing",
    begins: "Starting",
    rest: "about {rest} left",
    cancel: "Cancel",
    lost: "The connection is lost. Looking for it again.",
    back: "The connection is back.",
    soon: "A direction is on its way",
  },
  tracks: {
    heading: "Tracks",
    directions: "Directions",
    ready: "Track {number} of {total} is ready: {title}",
    composing: "Composing",
    missing: "This one could not be made",
    play: "Play {title}",
    pause: "Pause {title}",
    use: "Use this one",
    again: "Another take",
    edit: "Edit words",
    mend: "Mend a part",
    mendHow: "Drag over the wave form, or write where the part begins and ends.",
    from: "From second",
    to: "To second",
    mendIt: "Make this part anew",
    mended: "new from {start} to {end}",
    pack: "For editors",
    packOf: "Pack {title} for editors: markers, MIDI, stems",
    packing: "Packing",
    packed: "Download pack",
    notPacked: "{title} could not be packed: {why}",
    moments: "{met} of {asked} moments met",
    words: "What the composer is told",
    compose: "Compose it",
    cancel: "Cancel",
    download: "Download",
    downloadOf: "Download {title}",
    take: "take {number}",
    tempo: "{bpm} bpm",
    commercial: "Commercial use: yes ({licence})",
    nonCommercial: "Commercial use: no ({licence})",
    onBeat: "{met} of {cuts} cuts on a beat",
    best: "best fit",
    cannotLoad: "{title} could not be loaded: {why}",
    finished: "All tracks are ready",
    some: "{made} of {total} tracks could be made",
  },
  mix: {
    heading: "Mix",
    original: "Original sound",
    level: "Music",
    duck: "Lower the music under speech",
    db: "{db} dB",
    noSpeech: "Nobody speaks in this film, as far as we have heard",
  },
  done: {
    merging: "Putting “{title}” under your film",
    heading: "Your film with music",
    ready: "Your film with music is ready",
    download: "Download MP4",
    failed: "The film could not be made: {why}",
  },
  job: {
    copy: "Copy link",
    copied: "Copied. Whoever has this link hears it.",
    copyNote: "Whoever has the link hears it.",
    cannotCopy: "Copy the address of this page. Whoever has it hears it.",
    remove: "Delete film and music",
    sure: "Delete the film and all music of it, for everybody who has the link?",
    yes: "Delete",
    no: "Keep",
    removed: "Film and music are deleted.",
    notRemoved: "It could not be deleted: {why}",
    expires: "Kept until {date}",
    cancelled: "Cancelled. Nothing more is made.",
  },
  failed: {
    heading: "No music this time",
    again: "Try once more",
    missing: "There is nothing at this link. It may have been deleted, or it belongs to somebody who has to sign in.",
    what: {
      ...codes("not_a_video no_video_stream empty_file", "Choose a file that is a film."),
      ...codes("too_long too_demanding", "Choose a shorter film, or only its first seconds under “More”."),
      ...codes("not_found http_error unreachable upstream_error", "The link did not answer. Check it in a new tab, then try once more."),
    },
    otherwise: "Try once more, or take another film.",
  },
  recent: {
    heading: "Recent in this browser",
    mine: "Your films",
    forget: "Forget",
    forgetOf: "Forget {name}",
    open: "Open {name}",
    unnamed: "A film",
  },
  keys: {
    label: "Keyboard: Space plays, arrows seek, 1 to 8 choose a track",
  },
  offline: "The server cannot be reached. Check your connection and try again.",
};

function codes(names: string, text: string): Record<string, string> {
  return Object.fromEntries(names.split(" ").map((name) => [name, text]));
}

export function say(text: string, values: Record<string, string | number> = {}): string {
  return text.replace(/\{(\w+)\}/g, (_, name: string) => String(values[name] ?? ""));
}

/** "1:05", with `places` behind the point "1:05.2". */
export function clock(seconds: number, places = 0): string {
  const told = Math.max(0, Math.round(seconds * 10 ** places) / 10 ** places);
  const whole = Math.floor(places ? told : Math.max(0, seconds));
  const [hours, minutes] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60];
  const tail = String(whole % 60).padStart(2, "0") + (places ? (told - whole).toFixed(places).slice(1) : "");
  return hours ? `${hours}:${String(minutes).padStart(2, "0")}:${tail}` : `${minutes}:${tail}`;
}

/** "40 sec", "2 min"; rounded as people would. */
export function span(seconds: number): string {
  const [value, unit] = seconds < 90 ? [Math.max(1, Math.ceil(seconds)), "second"] : [Math.round(seconds / 60), "minute"];
  return new Intl.NumberFormat(lang, { style: "unit", unit, unitDisplay: "short" }).format(value);
}

export function days(count: number): string {
  return new Intl.NumberFormat(lang, { style: "unit", unit: "day", unitDisplay: "long" }).format(count);
}

export function size(bytes: number): string {
  const [value, unit] = bytes < 1e6 ? [bytes / 1e3, "kilobyte"] : [bytes / 1e6, "megabyte"];
  return new Intl.NumberFormat(lang, { style: "unit", unit, maximumFractionDigits: value < 10 ? 1 : 0 }).format(value);
}

export function date(text: string): string {
  return new Intl.DateTimeFormat(lang, { dateStyle: "medium", timeStyle: "short" }).format(new Date(text));
}
