"""How each genre is played: one row a genre, in the words of `patterns` and the patches' names."""

from dataclasses import dataclass

Progressions = tuple[str, ...]

BRIGHT: Progressions = ("1 5 6 4", "1 4 6 5", "1 6 4 5", "6 4 1 5")
DARK: Progressions = ("1 6 3 7", "1 4 6 7", "1 7 6 7", "1 3 7 4", "1 6 4 5!")


@dataclass(frozen=True, slots=True, kw_only=True)
class Style:
    """A genre's habits. Instruments are used where the direction names none; "" means nobody plays that role."""

    bright: Progressions = BRIGHT
    dark: Progressions = DARK
    chord_size: int = 3
    bars_per_chord: int = 1
    lead: str
    comp: str
    comping: tuple[str, ...]
    """Calm, then lively."""
    pad: str = ""
    bass: str = "upright bass"
    basses: tuple[str, ...] = ("long", "halves")
    suspends: bool = False
    """A pad's voices may come late to the third of a chord."""
    tonicises: bool = False
    """A chord a fifth above the next may become its dominant."""
    inverts: bool = False
    """The bass may have a chord's third."""
    arp: str = ""
    kit: str = ""
    drums: str = ""
    motif: str = "flowing"
    swing: float = 0.0
    """How late every second eighth is, as a part of an eighth; 0.33 is a triplet."""
    swing_sixteenths: bool = False
    looseness_ms: float = 6.0
    reverb: float = 0.3
    reverb_s: float = 1.6
    tilt_db: float = 0.0
    """Duller (below 0) or brighter than usual, dB per octave above 1 kHz."""
    low_db: float = 0.0
    """More or less than usual under 120 Hz."""
    range_db: float = 9.0
    """From the calmest passage to the climax."""
    pump: float = 0.0
    """How far the kick pushes the rest down, 0..1."""
    dust: bool = False
    """Crackle, wow and a dull top, as from an old record."""


STYLES: dict[str, Style] = {
    "cinematic": Style(
        dark=("1 6 3 7", "1 6 4 5!", "1 4 1 5!", "1 3 6 7"), bright=("1 5 6 4", "1 3 4 5", "1 4 1 5", "1 6 2 5"),
        inverts=True, suspends=True, tonicises=True, lead="strings", comp="strings", comping=("sustain", "pulse"), pad="strings", bass="cello", basses=("pedal", "long"),
        kit="orchestral", drums="epic", motif="flowing", tilt_db=-0.7, reverb=0.5, reverb_s=2.8, range_db=12, looseness_ms=10,
    ),
    "ambient": Style(
        bright=("1 4", "1 6 4 1", "1 3 4 4", "1 5 4 4"), dark=("1 6", "1 7 6 6", "1 4 6 1", "1 3 6 7"), chord_size=5, bars_per_chord=2,
        inverts=True, suspends=True, lead="bells", comp="synth pad", comping=("swell", "swell"), pad="synth pad", bass="sub bass", basses=("pedal", "pedal"),
        motif="sparse", tilt_db=-1.8, reverb=0.75, reverb_s=4.2, range_db=12, low_db=-2, looseness_ms=25,
    ),
    "lo-fi": Style(
        bright=("2 5 1 6", "4 3 2 1", "1 6 2 5", "4 5 3 6"), dark=("1 4 7 3", "1 6 2 5!", "4 5 1 1", "6 7 1 1"), chord_size=5,
        inverts=True, tonicises=True, lead="vibraphone", comp="electric piano", comping=("lazy", "lazy"), bass="upright bass", basses=("long", "bossa"),
        kit="dusty", drums="dust", motif="sparse", swing=0.3, swing_sixteenths=True, range_db=12, looseness_ms=14, tilt_db=-2.0, reverb=0.22, reverb_s=1.2, dust=True,
    ),
    "house": Style(
        bright=("6 4 1 5", "1 5 6 4", "4 1 5 6"), dark=("1 7 6 7", "1 3 7 6", "1 6 3 7"), chord_size=4,
        lead="synth lead", comp="piano", comping=("stabs", "stabs"), pad="synth pad", bass="synth bass", basses=("offbeat", "offbeat"),
        arp="synth pluck", kit="machine", drums="house", motif="catchy", low_db=1.5, looseness_ms=1, reverb=0.3, reverb_s=1.8, pump=0.65,
    ),
    "folk": Style(
        bright=("1 4 1 5", "1 5 6 4", "1 6 4 5", "1 4 5 1"), dark=("1 7 6 7", "1 3 7 1", "1 4 1 5"),
        inverts=True, tonicises=True, lead="violin", comp="acoustic guitar", comping=("pick", "strum"), bass="upright bass", basses=("halves", "halves"),
        kit="hands", drums="hands", motif="flowing", low_db=-2, looseness_ms=10, tilt_db=-0.4, reverb=0.25, reverb_s=1.3,
    ),
    "rock": Style(
        bright=("1 5 6 4", "1 4 5 4", "1 b7 4 1"), dark=("1 6 3 7", "1 7 6 7", "1 3 4 6"),
        lead="electric guitar", comp="electric guitar", comping=("power", "power"), pad="organ", bass="bass guitar", basses=("eighths", "eighths"),
        kit="rock", drums="rock", motif="riff", looseness_ms=5, reverb=0.2, reverb_s=1.1,
    ),
    "jazz": Style(
        bright=("2 5 1 6", "1 6 2 5", "1 4 2 5", "1 4 3 6 2 5 1 1"), dark=("2 5! 1 1", "1 4 2 5!", "4 7 3 6 2 5! 1 1"), chord_size=5,
        tonicises=True, lead="saxophone", comp="piano", comping=("charleston", "charleston"), bass="upright bass", basses=("walk", "walk"),
        kit="brushes", drums="swing", motif="swinging", swing=0.33, low_db=-1, looseness_ms=12, tilt_db=-0.8, reverb=0.22, reverb_s=1.2,
    ),
    "funk": Style(
        bright=("1 4 1 5", "1 4 2 5", "1 6 2 5"), dark=("1 4 1 4", "1 7 4 1", "1 1 4 5"), chord_size=5,
        lead="brass", comp="electric guitar clean", comping=("chops", "chops"), pad="organ", bass="bass guitar", basses=("funk", "funk"),
        kit="rock", drums="funk", motif="riff", swing=0.12, swing_sixteenths=True, looseness_ms=4, reverb=0.15, reverb_s=0.9,
    ),
    "synthwave": Style(
        bright=("6 4 1 5", "1 5 6 4", "4 5 6 6"), dark=("1 6 3 7", "1 7 6 7", "6 7 1 1", "1 6 7 4"),
        lead="synth lead", comp="synth pluck", comping=("rolling", "rolling"), pad="synth pad", bass="synth bass", basses=("octaves", "octaves"),
        arp="synth pluck", kit="retro", drums="retro", motif="catchy", looseness_ms=1, reverb=0.38, reverb_s=2.0, pump=0.3,
    ),
    "hip hop": Style(
        bright=("1 6 4 5", "1 3 4 1"), dark=("1 6 1 7", "1 4 6 5!", "1 1 6 7"), chord_size=4,
        suspends=True, lead="bells", comp="piano", comping=("lazy", "lazy"), pad="strings", bass="sub bass", basses=("slow808", "slow808"),
        kit="machine", drums="boom", motif="sparse", swing=0.15, swing_sixteenths=True, low_db=2.5, looseness_ms=6, tilt_db=-0.5, reverb=0.25, reverb_s=1.5,
    ),
    "neoclassical": Style(
        bright=("1 5 6 3 4 1 4 5", "1 4 5 1", "1 6 2 5"), dark=("1 6 3 7", "1 4 7 3 6 4 5! 1", "1 5! 1 4"),
        inverts=True, suspends=True, tonicises=True, lead="piano", comp="piano", comping=("arpeggio", "arpeggio"), pad="strings", bass="cello", basses=("pedal", "long"),
        motif="flowing", range_db=12, low_db=-3, looseness_ms=14, tilt_db=-1.2, reverb=0.42, reverb_s=2.2,
    ),
    "bossa nova": Style(
        bright=("1 6 2 5", "1 2 5 1", "4 3 2 1"), dark=("1 4 7 3", "1 2 5! 1", "1 6 2 5!"), chord_size=5,
        inverts=True, lead="flute", comp="nylon guitar", comping=("bossa", "bossa"), bass="upright bass", basses=("bossa", "bossa"),
        kit="hands", drums="bossa", motif="swinging", low_db=-1.5, looseness_ms=7, tilt_db=-0.6, reverb=0.22, reverb_s=1.2,
    ),
    "reggae": Style(
        bright=("1 4 1 5", "1 5 6 4", "1 2 1 2"), dark=("1 4 1 7", "1 6 7 1"),
        lead="brass", comp="electric guitar clean", comping=("skank", "skank"), pad="organ", bass="bass guitar", basses=("dub", "dub"),
        kit="rock", drums="onedrop", motif="flowing", swing=0.16, swing_sixteenths=True, low_db=2, looseness_ms=8, reverb=0.35, reverb_s=1.7,
    ),
    "drum and bass": Style(
        bright=("1 5 6 4", "6 4 1 5"), dark=("1 6 1 7", "1 7 6 1", "1 4 1 7"), chord_size=4, bars_per_chord=2,
        lead="synth pluck", comp="synth pad", comping=("sustain", "sustain"), pad="synth pad", bass="synth bass", basses=("driven", "driven"),
        arp="synth pluck", kit="machine", drums="break", motif="flowing", low_db=2, looseness_ms=1, reverb=0.35, reverb_s=1.9, pump=0.3,
    ),
    "pop": Style(
        inverts=True, suspends=True, tonicises=True, lead="piano", comp="acoustic guitar", comping=("pick", "strum"), pad="synth pad", bass="bass guitar", basses=("halves", "pop"),
        kit="rock", drums="pop", motif="catchy", looseness_ms=5, reverb=0.28, reverb_s=1.5,
    ),
    "world": Style(
        bright=("1 7 4 1", "1 4 1 5", "1 2 1 7"), dark=("1 7 1 6", "1 4 1 7", "1 2 1 7"), bars_per_chord=2,
        inverts=True, suspends=True, lead="flute", comp="kalimba", comping=("rolling", "ripple"), pad="strings", bass="upright bass", basses=("dub", "dub"),
        kit="hands", drums="tribal", motif="flowing", looseness_ms=9, reverb=0.35, reverb_s=1.9,
    ),
}  # fmt: skip
