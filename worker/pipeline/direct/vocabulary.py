"""The words of music: genres, instruments and moods, and how people write them in English, German, French, Spanish, Italian and Portuguese
(without accents).

Describers choose from these tables and engines look them up, so that a direction means the same on both sides.
"""

import difflib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from worker.pipeline.direct.keys import plain

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
        aliases=("orchestral", "epic", "film score", "soundtrack", "trailer", "symphonic", "orchestra", "filmic", "heroic", "filmmusik", "musique de film", "orquestal", "orchestrale", "orchestral music", "sinfonisch", "cinematografico", "cinematographique", "kinoreif", "epico", "epique", "episch"),
        flavours=("orchestral film score", "epic trailer music", "intimate cinematic strings", "cinematic adventure"),
    ),
    "ambient": Genre(tempo_bpm=(54, 76), energy=0.1, valence=0.5, rhythm="",
        leads=("synth pad", "bells", "piano", "choir"), supports=("synth pad", "choir", "strings", "harp"),
        aliases=("atmospheric", "drone", "new age", "meditation", "soundscape", "meditative", "spa", "chillout", "downtempo", "meditativ", "ambiental", "ambiance"),
        flavours=("ambient", "drifting ambient drone", "new age soundscape", "glassy ambient"),
    ),
    "lo-fi": Genre(tempo_bpm=(70, 90), energy=0.3, valence=0.55, rhythm="drums",
        leads=("electric piano", "nylon guitar", "vibraphone", "piano"), supports=("electric piano", "synth pad", "sub bass", "upright bass"),
        aliases=("lofi", "lo fi", "chillhop", "study beats", "chill hop", "chill beats", "chill"),
        flavours=("lo-fi hip hop", "dusty chillhop", "jazzy lo-fi", "late night lo-fi"),
    ),
    "house": Genre(tempo_bpm=(116, 128), energy=0.85, valence=0.65, rhythm="electronic drums",
        leads=("synth lead", "synth pluck", "piano", "organ"), supports=("synth pad", "synth bass", "synth pluck"),
        aliases=("electronic", "edm", "dance", "club", "electronica", "techno", "deep house", "trance", "party", "rave", "elektronisch", "electronique", "electronico", "electronica", "elettronico", "eletronico"),
        flavours=("deep house", "melodic techno", "sunlit house", "progressive house"),
    ),
    "folk": Genre(tempo_bpm=(84, 116), energy=0.35, valence=0.7, rhythm="hand percussion",
        leads=("acoustic guitar", "ukulele", "violin", "flute"), supports=("acoustic guitar", "upright bass", "strings", "piano"),
        aliases=("acoustic", "indie folk", "country", "americana", "singer-songwriter", "bluegrass", "campfire", "celtic", "akustisch", "acoustique", "acustico", "folklore"),
        flavours=("acoustic folk", "indie folk", "warm americana", "fingerpicked folk"),
    ),
    "rock": Genre(tempo_bpm=(108, 144), energy=0.9, valence=0.55, rhythm="drums",
        leads=("electric guitar", "organ", "synth lead", "piano"), supports=("electric guitar", "bass guitar", "organ"),
        aliases=("indie rock", "alternative", "punk", "metal", "grunge", "hard rock", "guitar rock", "garage", "rockig"),
        flavours=("driving indie rock", "anthemic rock", "garage rock", "post-rock"),
    ),
    "jazz": Genre(tempo_bpm=(88, 152), energy=0.45, valence=0.6, rhythm="brushed drums",
        leads=("saxophone", "piano", "trumpet", "vibraphone"), supports=("piano", "upright bass", "electric piano"),
        aliases=("swing", "bebop", "lounge", "smooth jazz", "cool jazz", "big band", "blues", "bluesy", "jazzy", "noir", "jazzig"),
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
        aliases=("classical", "chamber", "baroque", "romantic piano", "modern classical", "minimalist", "minimal", "waltz", "klassisch", "klassik", "classique", "classico", "clasico", "minimalistisch", "minimaliste", "minimalista"),
        flavours=("neoclassical", "minimalist chamber music", "romantic miniature", "pensive chamber music"),
    ),
    "bossa nova": Genre(tempo_bpm=(104, 136), energy=0.5, valence=0.8, rhythm="hand percussion",
        leads=("nylon guitar", "flute", "vibraphone", "trumpet"), supports=("nylon guitar", "upright bass", "electric piano"),
        aliases=("bossa", "latin", "samba", "tropical", "brazilian", "salsa", "flamenco", "tango", "lateinamerikanisch", "latino", "latine"),
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
    "piano": ("grand piano", "upright piano", "keys", "keyboard", "pianos", "felt piano", "klavier", "klaviermusik", "pianoforte", "flugel", "teclado", "clavier"),
    "electric piano": ("rhodes", "e-piano", "wurlitzer", "epiano", "fender rhodes", "piano electrique", "piano electrico", "piano elettrico", "piano eletrico"),
    "organ": ("hammond", "church organ", "accordion", "harmonica", "orgel", "orgue", "organo", "orgao", "akkordeon", "acordeon", "fisarmonica", "acordeao", "mundharmonika"),
    "acoustic guitar": ("guitar", "guitars", "steel guitar", "banjo", "mandolin", "strummed guitar", "acoustic guitars", "gitarre", "akustikgitarre", "guitare", "guitarra", "chitarra", "guitare acoustique", "guitarra acustica", "chitarra acustica", "violao"),
    "electric guitar": ("distorted guitar", "lead guitar", "electric guitars", "guitar riff", "overdriven guitar", "e-gitarre", "guitare electrique", "guitarra electrica", "chitarra elettrica", "guitarra eletrica"),
    "nylon guitar": ("classical guitar", "spanish guitar", "nylon-string guitar", "oud", "konzertgitarre", "guitare classique", "guitarra clasica", "guitarra espanola", "chitarra classica"),
    "ukulele": ("uke",),
    "harp": ("koto", "lyre", "sitar", "zither", "harfe", "harpe", "arpa", "harpa"),
    "strings": ("string section", "string quartet", "orchestral strings", "string ensemble", "orchestra", "strings section", "streicher", "streichquartett", "cordes", "cuerdas", "archi", "cordas", "orchester", "orchestre", "orquesta", "orquestra"),
    "violin": ("fiddle", "viola", "violins", "erhu", "geige", "violine", "violon", "violino", "bratsche"),
    "cello": ("cellos", "violoncello", "violoncelle", "violonchelo", "violoncelo", "chelo"),
    "brass": ("horns", "french horn", "trombone", "tuba", "brass section", "horn section", "horn", "blechblaser", "blaser", "cuivres", "ottoni", "metais"),
    "trumpet": ("muted trumpet", "flugelhorn", "cornet", "trompete", "trompette", "trompeta", "tromba"),
    "saxophone": ("sax", "tenor sax", "alto sax", "saxophon", "saxofon", "saxofone", "sassofono", "saxo"),
    "flute": ("piccolo", "pan flute", "recorder", "whistle", "tin whistle", "shakuhachi", "ocarina", "bansuri", "woodwinds", "flote", "querflote", "flauta", "flauto"),
    "clarinet": ("oboe", "bassoon", "english horn", "bass clarinet", "klarinette", "clarinette", "clarinete", "clarinetto"),
    "choir": ("chorus", "choral", "vocal pad", "angelic voices", "chor", "choeur", "coro"),
    "synth lead": ("synth", "synthesizer", "lead synth", "synths", "synthesizers", "saw lead", "analog synth", "synthesiser", "synthe", "sintetizador", "sintetizzatore"),
    "synth pad": ("pad", "pads", "warm pad", "synth pads", "atmosphere", "drone", "strings pad", "ambient pads", "flachen", "nappe"),
    "synth pluck": ("pluck", "plucks", "arpeggio", "arp", "arpeggiator", "arpeggiated synth", "sequencer", "plucked synth"),
    "bells": ("glockenspiel", "celesta", "music box", "chimes", "bell", "tubular bells", "wind chimes", "toy piano", "glocken", "cloche", "campana", "sino", "spieluhr"),
    "vibraphone": ("vibes", "vibraphon", "vibrafono", "vibrafone"),
    "marimba": ("xylophone", "balafon", "pizzicato", "pizzicato strings", "xylophon", "xilofono", "xilofone"),
    "kalimba": ("mbira", "thumb piano", "handpan", "hang drum", "steel drum", "steel pan", "steel drums"),
    "bass guitar": ("electric bass", "bass", "slap bass", "fretless bass", "picked bass", "bassline", "basse", "bajo", "basso", "baixo", "e-bass"),
    "upright bass": ("double bass", "acoustic bass", "contrabass", "walking bass", "kontrabass", "contrebasse", "contrabajo", "contrabbasso", "contrabaixo"),
    "synth bass": ("analog bass", "bass synth", "acid bass", "reese bass"),
    "sub bass": ("808", "808 bass", "sub", "deep bass"),
    "drums": ("drum kit", "drum set", "beat", "drum", "live drums", "acoustic drums", "soft drums", "percussion kit", "schlagzeug", "trommel", "batterie", "bateria", "batteria", "tambour", "tambores", "tamburi"),
    "electronic drums": ("drum machine", "808 drums", "909", "electronic beat", "programmed drums", "electronic percussion", "drumcomputer", "boite a rythmes", "caja de ritmos"),
    "brushed drums": ("brushes", "brush drums", "brushed snare"),
    "timpani": ("taiko", "orchestral percussion", "cinematic drums", "epic drums", "war drums", "cinematic percussion", "pauken", "timbales"),
    "hand percussion": ("percussion", "shaker", "bongos", "congas", "cajon", "tambourine", "djembe", "tabla", "claps", "handclaps", "soft percussion", "light percussion", "perkussion", "percussione", "percusion", "percussao"),
}  # fmt: skip

PERCUSSION = frozenset({"drums", "electronic drums", "brushed drums", "timpani", "hand percussion"})
BASSES = frozenset({"bass guitar", "upright bass", "synth bass", "sub bass"})
FAMILIES: dict[str, frozenset[str]] = {
    "drums": PERCUSSION,
    "hand percussion": PERCUSSION,
    "bass guitar": BASSES,
    "acoustic guitar": frozenset({"acoustic guitar", "electric guitar", "nylon guitar"}),
    "synth lead": frozenset({"synth lead", "synth pad", "synth pluck", "synth bass"}),
}
"""Whoever does not want drums, a bass, guitars or synths means all of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mood:
    """A mood: its words, and where it lies between sleepy and wild, dark and bright."""

    aliases: Words
    energy: float
    valence: float
    adjectives: Words
    """For titles."""


MOODS: dict[str, Mood] = {
    "happy": Mood(aliases=("joyful", "cheerful", "glad", "fun", "sunny", "feel-good", "upbeat", "festive", "joy", "frohlich", "glucklich", "heiter", "joyeux", "joyeuse", "heureux", "gai", "alegre", "feliz", "felice", "gioioso", "allegra", "contento"), energy=0.75, valence=0.95, adjectives=("Sunlit", "Open", "Bright")),
    "sad": Mood(aliases=("melancholic", "melancholy", "sorrowful", "mournful", "heartbreaking", "tragic", "grief", "lonely", "somber", "sombre", "blue", "crying", "traurig", "triste", "melancholisch", "melancolique", "melancolico", "malinconico"), energy=0.2, valence=0.1, adjectives=("Fading", "Lonely", "Grey")),
    "calm": Mood(aliases=("peaceful", "relaxing", "relaxed", "gentle", "soft", "serene", "soothing", "quiet", "tranquil", "mellow", "sleepy", "chilled", "ruhig", "entspannt", "sanft", "leise", "friedlich", "calme", "doux", "douce", "paisible", "tranquille", "tranquilo", "tranquillo", "calmo", "calma", "suave", "sereno", "relajado", "rilassato", "rilassante", "relaxante", "delicato"), energy=0.15, valence=0.6, adjectives=("Still", "Gentle", "Quiet")),
    "tense": Mood(aliases=("suspense", "suspenseful", "thriller", "anxious", "dramatic", "ominous", "danger", "intense", "nervous", "spannend", "dramatisch", "bedrohlich", "tendu", "dramatique", "tenso", "dramatico", "drammatico", "teso"), energy=0.7, valence=0.15, adjectives=("Taut", "Closing", "Iron")),
    "heroic": Mood(aliases=("epic", "triumphant", "majestic", "powerful", "grand", "victorious", "bold", "adventurous", "heroisch", "episch", "heroique", "epique", "epico", "heroico", "eroico"), energy=0.85, valence=0.65, adjectives=("Rising", "Golden", "High")),
    "romantic": Mood(aliases=("love", "tender", "intimate", "sensual", "wedding", "passionate", "romantisch", "romantique", "romantico", "zartlich", "tendre"), energy=0.3, valence=0.65, adjectives=("Tender", "Velvet", "Close")),
    "dreamy": Mood(aliases=("ethereal", "floating", "hazy", "surreal", "magical", "fantasy", "otherworldly", "enchanting", "vertraumt", "traumerisch", "reveur", "reveuse", "onirique", "onirico", "sonador", "sognante", "sonhador"), energy=0.25, valence=0.6, adjectives=("Drifting", "Pale", "Weightless")),
    "dark": Mood(aliases=("scary", "horror", "evil", "gloomy", "spooky", "sinister", "brooding", "creepy", "menacing", "dunkel", "dunkle", "duster", "finster", "unheimlich", "oscuro", "escuro", "scuro", "cupo", "sombrio"), energy=0.5, valence=0.05, adjectives=("Black", "Hollow", "Buried")),
    "playful": Mood(aliases=("quirky", "funny", "whimsical", "cute", "comedy", "bouncy", "silly", "childlike", "verspielt", "lustig", "witzig", "ludique", "amusant", "drole", "jugueton", "divertido", "divertente", "giocoso", "brincalhao"), energy=0.6, valence=0.9, adjectives=("Paper", "Tumbling", "Striped")),
    "mysterious": Mood(aliases=("mystery", "enigmatic", "curious", "eerie", "secretive", "geheimnisvoll", "mysterios", "mysterieux", "mysterieuse", "misterioso"), energy=0.35, valence=0.3, adjectives=("Hidden", "Veiled", "Unlit")),
    "hopeful": Mood(aliases=("uplifting", "inspiring", "optimistic", "motivating", "inspirational", "motivational", "positive", "warm", "hoffnungsvoll", "inspirierend", "optimistisch", "optimiste", "optimista", "ottimista", "inspirant", "inspirador", "esperanzador", "speranzoso", "esperancoso"), energy=0.55, valence=0.8, adjectives=("First", "Rising", "Clear")),
    "energetic": Mood(aliases=("exciting", "driving", "hype", "aggressive", "wild", "action", "pumping", "powerful", "energy", "intense", "energisch", "energiegeladen", "energique", "energico", "energetico", "treibend", "mitreissend"), energy=0.95, valence=0.6, adjectives=("Electric", "Running", "Restless")),
    "nostalgic": Mood(aliases=("bittersweet", "wistful", "memories", "retro", "vintage", "reflective", "longing", "pensive", "nostalgisch", "wehmutig", "nostalgique", "nostalgico"), energy=0.3, valence=0.4, adjectives=("Faded", "Old", "Amber")),
    "cool": Mood(aliases=("stylish", "confident", "smooth", "groovy", "fashion", "slick", "luxury", "urban", "lassig", "elegant", "elegante"), energy=0.5, valence=0.65, adjectives=("Chrome", "Easy", "Midnight")),
}  # fmt: skip


def _names(table: Mapping[str, Words]) -> dict[str, str]:
    return {alias: name for name, aliases in table.items() for alias in (*aliases, name)}


def _form(word: str) -> str:
    """A pattern for a word, also in the plural and, where other languages have them, in other genders and cases."""
    endings = {"o": "(?:[oaie]|[oa]s)", "a": "(?:as?|e)", "e": "e[rsnm]?"}
    if len(word) < 5:
        return re.escape(word)
    return re.escape(word[:-1]) + endings.get(word[-1], re.escape(word[-1]) + "(?:e?s|e[rnm]?)?")


def _finder(table: Mapping[str, Words]) -> Callable[[str], tuple[str, ...]]:
    """A function that finds the entries of `table` (name -> other names) that a text names, in its order; longer names win."""
    names = _names(table)
    longest = sorted(names, key=len, reverse=True)
    pattern = re.compile(rf"(?<![\w&])(?:{'|'.join(f'({_form(word)})' for word in longest)})(?![\w&])")

    def find(text: str) -> tuple[str, ...]:
        hits = pattern.finditer(plain(text).lower().replace("_", " "))
        return tuple(dict.fromkeys(names[longest[(hit.lastindex or 0) - 1]] for hit in hits))

    return find


find_genres = _finder({name: (*genre.aliases, *genre.flavours) for name, genre in GENRES.items()})
find_instruments = _finder(INSTRUMENTS)
find_moods = _finder({name: mood.aliases for name, mood in MOODS.items()})


def spelled_like(word: str, table: Mapping[str, Words]) -> str | None:
    """The entry of `table` with the name most like `word`, or None when nothing is close."""
    names = _names(table)
    matches = difflib.get_close_matches(word.lower().strip(), names, n=1, cutoff=0.75)
    return names[matches[0]] if matches else None
