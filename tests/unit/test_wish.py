"""Fifty wishes in five languages, and what has to be understood of each."""

import pytest

from worker.pipeline.direct.vocabulary import BASSES, INSTRUMENTS, PERCUSSION
from worker.pipeline.direct.wish import Wish, read_wish

SLOW, MEDIUM, FAST = (56.0, 82.0), (86.0, 114.0), (122.0, 164.0)
DRUMS, BASS = "drums", "bass guitar"

# text | instruments wanted | instruments unwanted | tempo | moods | key or mode
PHRASES = [
    # English
    ("less drums more bass", BASS, DRUMS, None, "", ""),
    ("not too fast", "", "", MEDIUM, "", ""),
    ("Slow sad piano in D Minor", "piano", "", SLOW, "sad", "D minor"),
    ("no drums and a calm piano", "piano", DRUMS, None, "calm", ""),
    ("nothing but cello, please, and not too slow", "cello", "", MEDIUM, "", ""),
    ("I don’t want any choir or trumpets in the background of this film, just strings", "strings", "choir trumpet", None, "", ""),
    ("piano instead of guitars, 90 bpm", "piano", "acoustic guitar", 90.0, "", ""),
    ("not only violins but also a harp, F# MAJOR", "violin harp", "", None, "", "F# major"),
    ("no more drums; more energetic, non-stop fast", "", DRUMS, FAST, "energetic", ""),
    ("neither piano nor harp, nothing too fast", "", "piano harp", MEDIUM, "", ""),
    ("a minor problem at the office, playful, without any bass", "", BASS, None, "playful", "minor"),
    # German
    ("weniger Schlagzeug, mehr Bass", BASS, DRUMS, None, "", ""),
    ("nicht zu schnell, bitte", "", "", MEDIUM, "", ""),
    ("ruhiges Klavier in d-Moll", "piano", "", None, "calm", "D minor"),
    ("ein trauriges Stück für Geige und Cello, langsam", "violin cello", "", SLOW, "sad", ""),
    ("keine Trompeten und kein Chor, nur Streicher", "strings", "trumpet choir", None, "", ""),
    ("fröhliche Gitarre ohne Schlagzeug", "acoustic guitar", DRUMS, None, "happy", ""),
    ("nicht nur Klavier, sondern auch Flöte", "piano flute", "", None, "", ""),
    ("geheimnisvoll, Kontrabass statt Orgel, B-Dur", "upright bass", "organ", None, "mysterious", "Bb major"),
    ("energiegeladene E-Gitarren, 140 Schläge pro Minute", "electric guitar", "", 140.0, "energetic", ""),
    ("Am Strand: verträumt und langsamer", "", "", SLOW, "dreamy", ""),
    ("weder Klavier noch Orgel, dafür mit Streichern; nichts Schnelles", "strings", "piano organ", MEDIUM, "", ""),
    # French
    ("moins de batterie, plus de basse", BASS, DRUMS, None, "", ""),
    ("pas trop vite", "", "", MEDIUM, "", ""),
    ("piano calme et lent en ré mineur", "piano", "", SLOW, "calm", "D minor"),
    ("une musique joyeuse avec de la guitare, sans batterie", "acoustic guitar", DRUMS, None, "happy", ""),
    ("pas de trompettes mais des violons", "violin", "trumpet", None, "", ""),
    ("rien que du violoncelle, triste", "cello", "", None, "sad", ""),
    ("mystérieuse, avec des cordes, en si bémol majeur", "strings", "", None, "mysterious", "Bb major"),
    ("pas seulement du piano, aussi une flûte", "piano flute", "", None, "", ""),
    ("ambiance romantique, 80 battements par minute", "", "", 80.0, "romantic", ""),
    ("la majeure partie sans orgue ni chœur, rapide", "", "organ choir", FAST, "", ""),
    # Spanish
    ("menos batería, más bajo", BASS, DRUMS, None, "", ""),
    ("no demasiado rápido", "", "", MEDIUM, "", ""),
    ("piano tranquilo y lento en re menor", "piano", "", SLOW, "calm", "D minor"),
    ("guitarra española alegre sin percusión", "nylon guitar", DRUMS, None, "happy", ""),
    ("nada de trompetas, pero sí violines", "violin", "trumpet", None, "", ""),
    ("nada más que violonchelo, triste", "cello", "", None, "sad", ""),
    ("misteriosa, con cuerdas, fa sostenido mayor", "strings", "", None, "mysterious", "F# major"),
    ("no solo piano, también flauta", "piano flute", "", None, "", ""),
    ("flauta en lugar de órgano, 100 pulsaciones por minuto", "flute", "organ", 100.0, "", ""),
    ("más o menos rápido, la mayor parte dramática", "", "", FAST, "tense", ""),
    # Italian
    ("meno batteria, più basso", BASS, DRUMS, None, "", ""),
    ("non troppo veloce", "", "", MEDIUM, "", ""),
    ("pianoforte calmo e lento in re minore", "piano", "", SLOW, "calm", "D minor"),
    ("chitarra felice senza batteria", "acoustic guitar", DRUMS, None, "happy", ""),
    ("niente trombe, ma violini", "violin", "trumpet", None, "", ""),
    ("solo violoncello, triste", "cello", "", None, "sad", ""),
    ("misteriosa, con archi, in si bemolle maggiore", "strings", "", None, "mysterious", "Bb major"),
    ("non solo pianoforte, anche flauto", "piano flute", "", None, "", ""),
    ("flauto invece di organo, 95 battiti al minuto", "flute", "organ", 95.0, "", ""),
    ("romantico, né coro né arpa, lentamente", "", "choir harp", SLOW, "romantic", ""),
    # Portuguese
    ("menos bateria, mais baixo, não muito rápido", BASS, DRUMS, MEDIUM, "", ""),
    ("violão alegre em ré menor, sem flauta", "acoustic guitar", "flute", None, "happy", "D minor"),
]  # fmt: skip


def named(text: str) -> set[str]:
    """Names of our instruments, which are of one word or two."""
    return {name for name in INSTRUMENTS if name in text and not (name == "piano" and "electric piano" in text)}


@pytest.mark.parametrize(("text", "wanted", "unwanted", "tempo", "moods", "key"), PHRASES)
def test_fifty_wishes(text, wanted, unwanted, tempo, moods, key):
    """What is wanted plays, what is not wanted does not, and tempo, mood and key are those of the words; nothing else is understood."""
    wish = read_wish(text)
    assert set(wish.instruments) == named(wanted)
    assert named(unwanted) <= wish.unwanted
    assert bool(unwanted) == bool(wish.unwanted)
    assert not wish.unwanted & set(wish.instruments)
    assert (wish.tempo_bpm or wish.tempo_range) == tempo
    assert wish.moods == tuple(moods.split())
    assert (str(wish.key) if wish.key else wish.mode or "") == key


@pytest.mark.parametrize(
    ("text", "unwanted"),
    [("no drums", PERCUSSION), ("without bass", BASSES), ("no drums but a shaker", PERCUSSION - {"hand percussion"})],
)
def test_a_family_goes_as_a_whole_but_for_the_one_that_is_wanted(text, unwanted):
    """Who does not want drums wants no other drums either, unless the wish names them."""
    assert read_wish(text).unwanted == unwanted


@pytest.mark.parametrize(
    "text",
    [
        "only cello",
        "nothing but cello",
        "nur Cello",
        "rien que du violoncelle",
        "sólo violonchelo",
        "nient'altro che violoncello",
    ],
)
def test_a_solo_is_asked_for_in_many_ways(text):
    """One instrument and a word that says that it is the only one."""
    wish = read_wish(text)
    assert (wish.solo, wish.instruments) == (True, ("cello",))


@pytest.mark.parametrize(
    "text", ["not only cello", "nicht nur Cello", "pas seulement le violoncelle", "no solo violonchelo"]
)
def test_not_only_is_no_solo(text):
    """Somebody who wants more than one instrument does not want it alone."""
    wish = read_wish(text)
    assert (wish.solo, wish.instruments, wish.unwanted) == (False, ("cello",), frozenset())


@pytest.mark.parametrize(
    "text", ["more or less", "drum and bass", "no drum and bass", "I am happy at least", "not more than that"]
)
def test_words_that_refuse_no_instrument(text):
    """Idioms and names of genres are neither refusals nor instruments."""
    wish = read_wish(text)
    assert (wish.instruments, wish.unwanted, wish.key) == ((), frozenset(), None)


def test_a_refused_genre_is_not_wanted():
    """What is refused is not chosen, and nothing is understood of an empty wish."""
    assert read_wish("jazz, no rock").genres == ("jazz",)
    assert read_wish("no drum and bass").genres == ()
    assert read_wish("") == Wish()
