"""What a user asks for, read from plain words in six languages. Tolerant: whatever is not understood is simply not a wish."""

import re
from dataclasses import dataclass

from worker.pipeline.direct.keys import MODE_NAMES, Key, find_key, plain
from worker.pipeline.direct.vocabulary import FAMILIES, find_genres, find_instruments, find_moods

_TEMPO_WORDS = {
    (56.0, 82.0): r"slow(?:ly|er)?|adagio|largo|downtempo|ballade?|balada|lullaby|unhurried|langsam\w*|lent[aeo]?s?|lent[ae]mente?|despacio|devagar",
    (86.0, 114.0): r"mid-?tempo|moderat[eo]|andante|walking pace|mittelschnell\w*|gemassigt\w*|moderee?|moderad[ao]"
    r"|(?:medium|mittlere[ns]?) tempo|(?:tempo|ritmo|velocidad|velocita) (?:moyen|medi[ao])",
    (122.0, 164.0): r"fast(?:er)?|quick(?:ly|er)?|up-?tempo|rapid\w{0,5}|allegro|presto|vivace|high tempo|fast-paced|racing|frantic"
    r"|schnell\w*|flott\w*|rasch\w*|vite|veloc[ei]\w*|veloz|depressa",
}  # fmt: skip
_BPM = re.compile(
    r"(?<![\d.])(\d{2,3}(?:\.\d+)?)\s*-?\s*(?:bpm|beats per minute|schlage pro minute|battements|pulsaciones|battiti|batidas)"
)
_NOT_MEANT = {
    r"more or less|mehr oder weniger|plus ou moins|mas o menos|piu o meno|mais ou menos|at least|au moins|al menos|pelo menos": " ",
    r"nothing (?:but|except|other than)|nichts (?:ausser|als)|rien (?:d'autre )?que|nada mas que|nada alem de|nient'altro che": " only ",
    r"(?:not|nicht|pas|no|non|nao) (?:only|just|nur|seulement|solo|soltanto|apenas|so(?= [ao]\b))": " ",
    r"(?:not|nicht|pas|no|non|nao) (?:without|ohne|sans|sin|senza|sem)": " with ",
}
"""Words that look like a refusal, or like the only thing wanted, and what they come to."""
_NO = (
    r"(?:no|not any|nicht|kein\w*) (?:more|mehr)(?! (?:than|als))|no|not|without|avoid|\w+n't|dont|never|neither|nothing|except|minus|less|fewer|nor|hate"
    r"|skip|instead of|rather than|kein\w*|ohne|nichts?|weder|nie(?:mals)?|weniger|ausser|(?:an)?statt|sans|pas|rien|aucune?|jamais|moins|ni|sauf"
    r"|au lieu d[eu]?|sin|nada|ningun\w*|nunca|menos|tampoco|en vez de|en lugar de|senza|non|ne|niente|nessun\w*|meno|invece di|sem|nao"
    r"|nenhum\w*|em vez de|exceto"
)
_STOPS = (
    r"but|just|only|with|more|instead|rather|please|aber|sondern|nur|mit|mehr|dafur|lieber|stattdessen|bitte|mais|plutot|avec|plus"
    r"|seulement|pero|sino|con|mas|solo|ma|invece|piu|com|apenas|(?:and|und|et|y|e) (?:an?|some|lots|ein\w*|une?|una?|uno|uma?|viel)"
)
_REFUSAL = re.compile(
    rf"(?<![\w-])(?:{_NO})\b(?!-)(?P<what>(?:(?!\b(?:{_STOPS})\b)[^.,;:!?\n]){{0,80}})", re.IGNORECASE
)
_ARTICLE = re.compile(
    r"\b(?:a|(?<!en )(?<!in )(?<!em )la) (?:major|minor|maj|min|mayor|menor|maggiore|minore)\b(?! *(?:[.,;:!?)]|$))"
    r"|(?<!\bin )\b(?:Am|Em)\b(?= \w)"
)
"""Where "a" or "la" is no tonic: a minor problem, la mayor parte, Am Strand."""
_ALONE = r"\b(?:solo|only|just|alone|nur|allein\w*|seule?|seulement|uniquement|solamente|unicamente|soltanto|apenas|somente|sozinh[ao])\b"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What must play and what must not; a tempo by number, or a range from a word ("not too fast" is in the middle)."""

    genres: tuple[str, ...] = ()
    instruments: tuple[str, ...] = ()
    moods: tuple[str, ...] = ()
    unwanted: frozenset[str] = frozenset()
    tempo_bpm: float | None = None
    tempo_range: tuple[float, float] | None = None
    key: Key | None = None
    mode: str | None = None
    solo: bool = False


def read_wish(text: str) -> Wish:
    """Genres, instruments, moods, tempo and key in `text`; things after "no" or "without", up to a "but" or "more", are unwanted."""
    text = plain(text)
    for pattern, meaning in _NOT_MEANT.items():
        text = re.sub(rf"\b(?:{pattern})\b", meaning, text, flags=re.IGNORECASE)
    refused = ", ".join(match["what"] for match in _REFUSAL.finditer(text)).lower()
    wanted = _REFUSAL.sub(" , ", text)
    key = find_key(_ARTICLE.sub(" ", wanted))
    wanted = wanted.lower()
    genres, refused_genres = find_genres(wanted), find_genres(refused)
    instruments, refused_instruments = (
        find_instruments(re.sub(r"drum (?:and|&|n) bass", " ", said)) for said in (wanted, refused)
    )
    unwanted = set(refused_instruments)
    if re.search(r"\b(?:beats?|rh?[yi]th?m\w*|ritmo)\b", refused):
        unwanted.add("drums")
    for member, family in FAMILIES.items():
        unwanted |= family if member in unwanted else set()
    bpm = _BPM.search(wanted)
    mode = re.search(r"\b(?:major|minor|dorian|phrygian|lydian|mixolydian|dur|moll|majeur|mineur)\b", wanted)
    return Wish(
        genres=tuple(genre for genre in genres if genre not in refused_genres),
        instruments=tuple(name for name in instruments if name not in refused_instruments),
        moods=find_moods(wanted),
        unwanted=frozenset(unwanted.difference(instruments) | set(refused_instruments)),
        tempo_bpm=min(220.0, max(40.0, float(bpm[1]))) if bpm else None,
        tempo_range=_tempo(wanted) or ((86.0, 114.0) if _tempo(refused) else None),
        key=key,
        mode=MODE_NAMES[mode[0]] if mode else None,
        solo=bool(re.search(_ALONE, wanted)) and len(instruments) == 1,
    )


def _tempo(said: str) -> tuple[float, float] | None:
    return next((span for span, words in _TEMPO_WORDS.items() if re.search(rf"\b(?:{words})\b", said)), None)
