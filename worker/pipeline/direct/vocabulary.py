"""The words of music: genres, instruments and moods, and how people write them in English.

Describers choose from these tables and engines look them up, so that a direction means the same on both sides.
"""

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass

Words = tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Genre:
    """A genre as a describer sees it: how it feels, how fast it goes, who plays."""

    aliases: Words
    flavours: Words
    """Names of its neighbourhoods, so that several tracks of one genre still differ."""
    tempo_bpm: tuple[int, int]
    energy: float
    valence: float
    """0 is dark or sad, 1 is bright and glad."""
    leads: Words
    supports: Words
    rhythm: str
    """Who keeps the time; empty when nobody does."""


GENRES: dict[str, Genre] = {
    "cinematic": Genre(tempo_bpm=(72, 116), energy=0.65, valence=0.45, rhythm="timpani",
        leads=("strings", "brass", "cello", "violin"), supports=("choir", "harp", "strings", "brass", "piano"),
        aliases=("orchestral", "epic", "film score", "soundtrack", "trailer", "symphonic", "orchestra", "filmic", "heroic"),
        flavours=("orchestral film score", "epic trailer music", "intimate cinematic strings", "cinematic adventure"),
    ),
    "ambient": Genre(tempo_bpm=(54, 76), energy=0.1, valence=0.5, rhythm="",
        leads=("synth pad", "bells", "piano", "choir"), supports=("synth pad", "choir", "strings", "harp"),
        aliases=("atmospheric", "drone", "new age", "meditation", "soundscape", "meditative", "spa", "chillout", "downtempo"),
        flavours=("ambient", "drifting ambient drone", "new age soundscape", "glassy ambient"),
    ),
    "lo-fi": Genre(tempo_bpm=(70, 90), energy=0.3, valence=0.55, rhythm="drums",
        leads=("electric piano", "nylon guitar", "vibraphone", "piano"), supports=("electric piano", "synth pad", "sub bass", "upright bass"),
        aliases=("lofi", "lo fi", "chillhop", "study beats", "chill hop", "chill beats", "chill"),
        flavours=("lo-fi hip hop", "dusty chillhop", "jazzy lo-fi", "late night lo-fi"),
    ),
    "house": Genre(tempo_bpm=(116, 128), energy=0.85, valence=0.65, rhythm="electronic drums",
        leads=("synth lead", "synth pluck", "piano", "organ"), supports=("synth pad", "synth bass", "synth pluck"),
        aliases=("electronic", "edm", "dance", "club", "electronica", "techno", "deep house", "trance", "party", "rave"),
        flavours=("deep house", "melodic techno", "sunlit house", "progressive house"),
    ),
    "folk": Genre(tempo_bpm=(84, 116), energy=0.35, valence=0.7, rhythm="hand percussion",
        leads=("acoustic guitar", "ukulele", "violin", "flute"), supports=("acoustic guitar", "upright bass", "strings", "piano"),
        aliases=("acoustic", "indie folk", "country", "americana", "singer-songwriter", "bluegrass", "campfire", "celtic"),
        flavours=("acoustic folk", "indie folk", "warm americana", "fingerpicked folk"),
    ),
    "rock": Genre(tempo_bpm=(108, 144), energy=0.9, valence=0.55, rhythm="drums",
        leads=("electric guitar", "organ", "synth lead", "piano"), supports=("electric guitar", "bass guitar", "organ"),
        aliases=("indie rock", "alternative", "punk", "metal", "grunge", "hard rock", "guitar rock", "garage"),
        flavours=("driving indie rock", "anthemic rock", "garage rock", "post-rock"),
    ),
    "jazz": Genre(tempo_bpm=(88, 152), energy=0.45, valence=0.6, rhythm="brushed drums",
        leads=("saxophone", "piano", "trumpet", "vibraphone"), supports=("piano", "upright bass", "electric piano"),
        aliases=("swing", "bebop", "lounge", "smooth jazz", "cool jazz", "big band", "blues", "bluesy", "jazzy", "noir"),
        flavours=("lounge jazz", "swinging jazz trio", "smoky jazz ballad", "cool jazz"),
    ),
    "funk": Genre(tempo_bpm=(94, 116), energy=0.75, valence=0.8, rhythm="drums",
        leads=("electric guitar", "brass", "organ", "electric piano"), supports=("bass guitar", "brass", "electric piano"),
        aliases=("disco", "soul", "groove", "r&b", "rnb", "groovy", "funky", "motown"),
        flavours=("tight funk", "disco funk", "soulful groove", "laid-back funk"),
    ),
    "synthwave": Genre(tempo_bpm=(92, 116), energy=0.65, valence=0.5, rhythm="electronic drums",
        leads=("synth lead", "synth pluck", "bells", "saxophone"), supports=("synth pad", "synth bass", "synth pluck"),
        aliases=("retrowave", "80s", "eighties", "outrun", "synth-pop", "synthpop", "retro", "cyberpunk", "vaporwave"),
        flavours=("synthwave", "neon outrun", "dreamy synthpop", "dark synthwave"),
    ),
    "hip hop": Genre(tempo_bpm=(76, 98), energy=0.6, valence=0.35, rhythm="electronic drums",
        leads=("piano", "bells", "synth pluck", "flute"), supports=("sub bass", "strings", "synth pad"),
        aliases=("trap", "rap", "boom bap", "hip-hop", "hiphop", "beats", "drill", "urban"),
        flavours=("boom bap hip hop", "moody trap", "cinematic hip hop", "old school hip hop"),
    ),
    "neoclassical": Genre(tempo_bpm=(62, 104), energy=0.25, valence=0.4, rhythm="",
        leads=("piano", "cello", "violin", "clarinet"), supports=("strings", "cello", "harp"),
        aliases=("classical", "chamber", "baroque", "romantic piano", "modern classical", "minimalist", "minimal", "waltz"),
        flavours=("neoclassical", "minimalist chamber music", "romantic miniature", "pensive chamber music"),
    ),
    "bossa nova": Genre(tempo_bpm=(104, 136), energy=0.5, valence=0.8, rhythm="hand percussion",
        leads=("nylon guitar", "flute", "vibraphone", "trumpet"), supports=("nylon guitar", "upright bass", "electric piano"),
        aliases=("bossa", "latin", "samba", "tropical", "brazilian", "salsa", "flamenco", "tango"),
        flavours=("bossa nova", "beach side samba", "easy latin", "tropical lounge"),
    ),
    "reggae": Genre(tempo_bpm=(68, 88), energy=0.45, valence=0.75, rhythm="drums",
        leads=("organ", "electric guitar", "brass", "flute"), supports=("bass guitar", "organ", "electric guitar"),
        aliases=("dub", "ska", "caribbean", "island", "rocksteady"),
        flavours=("roots reggae", "sunny reggae", "spacious dub", "rocksteady"),
    ),
    "drum and bass": Genre(tempo_bpm=(162, 176), energy=1.0, valence=0.45, rhythm="electronic drums",
        leads=("synth lead", "piano", "synth pluck", "strings"), supports=("synth pad", "sub bass", "synth bass"),
        aliases=("dnb", "jungle", "breakbeat", "drum & bass", "drum n bass", "liquid", "dubstep", "action", "sport", "sports"),
        flavours=("liquid drum and bass", "driving breakbeat", "atmospheric jungle", "hard-edged drum and bass"),
    ),
    "pop": Genre(tempo_bpm=(96, 124), energy=0.7, valence=0.9, rhythm="drums",
        leads=("piano", "synth pluck", "marimba", "ukulele"), supports=("acoustic guitar", "bass guitar", "synth pad", "strings"),
        aliases=("indie pop", "corporate", "commercial", "advert", "vlog", "motivational", "inspirational"),
        flavours=("bright indie pop", "uplifting pop", "feel-good pop", "pop ballad"),
    ),
    "world": Genre(tempo_bpm=(88, 120), energy=0.55, valence=0.65, rhythm="hand percussion",
        leads=("kalimba", "flute", "marimba", "harp"), supports=("strings", "upright bass", "choir", "marimba"),
        aliases=("tribal", "african", "ethnic", "oriental", "asian", "indian", "percussion", "desert", "nature", "documentary"),
        flavours=("organic world music", "tribal percussion", "earthy afro groove", "travel documentary music"),
    ),
}  # fmt: skip

INSTRUMENTS: dict[str, Words] = {
    "piano": ("grand piano", "upright piano", "keys", "keyboard", "pianos", "felt piano"),
    "electric piano": ("rhodes", "e-piano", "wurlitzer", "epiano", "fender rhodes"),
    "organ": ("hammond", "church organ", "accordion", "harmonica"),
    "acoustic guitar": ("guitar", "guitars", "steel guitar", "banjo", "mandolin", "strummed guitar", "acoustic guitars"),
    "electric guitar": ("distorted guitar", "lead guitar", "electric guitars", "guitar riff", "overdriven guitar"),
    "nylon guitar": ("classical guitar", "spanish guitar", "nylon-string guitar", "oud"),
    "ukulele": ("uke",),
    "harp": ("koto", "lyre", "sitar", "zither"),
    "strings": ("string section", "string quartet", "orchestral strings", "string ensemble", "orchestra", "strings section"),
    "violin": ("fiddle", "viola", "violins", "erhu"),
    "cello": ("cellos", "violoncello"),
    "brass": ("horns", "french horn", "trombone", "tuba", "brass section", "horn section", "horn"),
    "trumpet": ("muted trumpet", "flugelhorn", "cornet"),
    "saxophone": ("sax", "tenor sax", "alto sax"),
    "flute": ("piccolo", "pan flute", "recorder", "whistle", "tin whistle", "shakuhachi", "ocarina", "bansuri", "woodwinds"),
    "clarinet": ("oboe", "bassoon", "english horn", "bass clarinet"),
    "choir": ("chorus", "choral", "vocal pad", "angelic voices"),
    "synth lead": ("synth", "synthesizer", "lead synth", "synths", "synthesizers", "saw lead", "analog synth", "synthesiser"),
    "synth pad": ("pad", "pads", "warm pad", "synth pads", "atmosphere", "drone", "strings pad", "ambient pads"),
    "synth pluck": ("pluck", "plucks", "arpeggio", "arp", "arpeggiator", "arpeggiated synth", "sequencer", "plucked synth"),
    "bells": ("glockenspiel", "celesta", "music box", "chimes", "bell", "tubular bells", "wind chimes", "toy piano"),
    "vibraphone": ("vibes",),
    "marimba": ("xylophone", "balafon", "pizzicato", "pizzicato strings"),
    "kalimba": ("mbira", "thumb piano", "handpan", "hang drum", "steel drum", "steel pan", "steel drums"),
    "bass guitar": ("electric bass", "bass", "slap bass", "fretless bass", "picked bass", "bassline"),
    "upright bass": ("double bass", "acoustic bass", "contrabass", "walking bass"),
    "synth bass": ("analog bass", "bass synth", "acid bass", "reese bass"),
    "sub bass": ("808", "808 bass", "sub", "deep bass"),
    "drums": ("drum kit", "drum set", "beat", "drum", "live drums", "acoustic drums", "soft drums", "percussion kit"),
    "electronic drums": ("drum machine", "808 drums", "909", "electronic beat", "programmed drums", "electronic percussion"),
    "brushed drums": ("brushes", "brush drums", "brushed snare"),
    "timpani": ("taiko", "orchestral percussion", "cinematic drums", "epic drums", "war drums", "cinematic percussion"),
    "hand percussion": ("percussion", "shaker", "bongos", "congas", "cajon", "tambourine", "djembe", "tabla", "claps", "handclaps", "soft percussion", "light percussion"),
}  # fmt: skip

PERCUSSION = frozenset({"drums", "electronic drums", "brushed drums", "timpani", "hand percussion"})
BASSES = frozenset({"bass guitar", "upright bass", "synth bass", "sub bass"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Mood:
    """A mood: its words, and where it lies between sleepy and wild, dark and bright."""

    aliases: Words
    energy: float
    valence: float
    adjectives: Words
    """For titles."""


MOODS: dict[str, Mood] = {
    "happy": Mood(aliases=("joyful", "cheerful", "glad", "fun", "sunny", "feel-good", "upbeat", "festive", "joy"), energy=0.75, valence=0.95, adjectives=("Sunlit", "Open", "Bright")),
    "sad": Mood(aliases=("melancholic", "melancholy", "sorrowful", "mournful", "heartbreaking", "tragic", "grief", "lonely", "somber", "sombre", "blue", "crying"), energy=0.2, valence=0.1, adjectives=("Fading", "Lonely", "Grey")),
    "calm": Mood(aliases=("peaceful", "relaxing", "relaxed", "gentle", "soft", "serene", "soothing", "quiet", "tranquil", "mellow", "sleepy", "chilled"), energy=0.15, valence=0.6, adjectives=("Still", "Gentle", "Quiet")),
    "tense": Mood(aliases=("suspense", "suspenseful", "thriller", "anxious", "dramatic", "ominous", "danger", "intense", "nervous"), energy=0.7, valence=0.15, adjectives=("Taut", "Closing", "Iron")),
    "heroic": Mood(aliases=("epic", "triumphant", "majestic", "powerful", "grand", "victorious", "bold", "adventurous"), energy=0.85, valence=0.65, adjectives=("Rising", "Golden", "High")),
    "romantic": Mood(aliases=("love", "tender", "intimate", "sensual", "wedding", "passionate"), energy=0.3, valence=0.65, adjectives=("Tender", "Velvet", "Close")),
    "dreamy": Mood(aliases=("ethereal", "floating", "hazy", "surreal", "magical", "fantasy", "otherworldly", "enchanting"), energy=0.25, valence=0.6, adjectives=("Drifting", "Pale", "Weightless")),
    "dark": Mood(aliases=("scary", "horror", "evil", "gloomy", "spooky", "sinister", "brooding", "creepy", "menacing"), energy=0.5, valence=0.05, adjectives=("Black", "Hollow", "Buried")),
    "playful": Mood(aliases=("quirky", "funny", "whimsical", "cute", "comedy", "bouncy", "silly", "childlike"), energy=0.6, valence=0.9, adjectives=("Paper", "Tumbling", "Striped")),
    "mysterious": Mood(aliases=("mystery", "enigmatic", "curious", "eerie", "secretive"), energy=0.35, valence=0.3, adjectives=("Hidden", "Veiled", "Unlit")),
    "hopeful": Mood(aliases=("uplifting", "inspiring", "optimistic", "motivating", "inspirational", "motivational", "positive", "warm"), energy=0.55, valence=0.8, adjectives=("First", "Rising", "Clear")),
    "energetic": Mood(aliases=("exciting", "driving", "hype", "aggressive", "wild", "action", "pumping", "powerful", "energy", "intense"), energy=0.95, valence=0.6, adjectives=("Electric", "Running", "Restless")),
    "nostalgic": Mood(aliases=("bittersweet", "wistful", "memories", "retro", "vintage", "reflective", "longing", "pensive"), energy=0.3, valence=0.4, adjectives=("Faded", "Old", "Amber")),
    "cool": Mood(aliases=("stylish", "confident", "smooth", "groovy", "fashion", "slick", "luxury", "urban"), energy=0.5, valence=0.65, adjectives=("Chrome", "Easy", "Midnight")),
}  # fmt: skip


def _find(text: str, table: Mapping[str, Words]) -> tuple[str, ...]:
    """The entries of `table` (name -> other names) that `text` names, in the order of the text; longer names win."""
    names = _names(table)
    pattern = "|".join(re.escape(word) for word in sorted(names, key=len, reverse=True))
    hits = re.findall(rf"(?<![\w&])(?:{pattern})(?![\w&])", text.lower().replace("_", " "))
    return tuple(dict.fromkeys(names[hit] for hit in hits))


def _names(table: Mapping[str, Words]) -> dict[str, str]:
    return {alias: name for name, aliases in table.items() for alias in (*aliases, name)}


def find_genres(text: str) -> tuple[str, ...]:
    return _find(text, {name: (*genre.aliases, *genre.flavours) for name, genre in GENRES.items()})


def find_instruments(text: str) -> tuple[str, ...]:
    return _find(text, INSTRUMENTS)


def find_moods(text: str) -> tuple[str, ...]:
    return _find(text, {name: mood.aliases for name, mood in MOODS.items()})


def spelled_like(word: str, table: Mapping[str, Words]) -> str | None:
    """The entry of `table` with the name most like `word`, or None when nothing is close."""
    names = _names(table)
    matches = difflib.get_close_matches(word.lower().strip(), names, n=1, cutoff=0.75)
    return names[matches[0]] if matches else None
