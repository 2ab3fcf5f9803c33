"""Rhythms of one bar, in sixteenths of a 4/4 bar.

Drum lines are strings of sixteen steps: `X` accent, `x` stroke, `o` soft, `g` ghost, `.` rest.
Figures of pitched players are (step, length in steps, velocity, what): what is "all", "low", "top" or the index of a chord voice
for comping, and root "1", fifth "5", octave "8", third "3" or approach "a" for basses.
"""

Figure = tuple[tuple[float, float, float, str], ...]
Grid = dict[str, str]

STROKES = {"X": 1.0, "x": 0.78, "o": 0.55, "g": 0.32}

DRUMS: dict[str, tuple[Grid, Grid]] = {
    # light, full
    "rock": ({"kick": "X.......x.......", "rim": "....x.......x...", "hat": "x.o.x.o.x.o.x.o."},
             {"kick": "X.....x.x.x.....", "snare": "....X.......X...", "hat": "X.x.X.x.X.x.X.x."}),
    "pop": ({"kick": "X.......X.......", "shaker": "o.g.o.g.o.g.o.g."},
            {"kick": "X......xX.......", "clap": "....X.......X...", "snare": "....x.......x...", "hat": "x.o.x.o.x.o.x.oo"}),
    "house": ({"kick": "X...X...X...X...", "shaker": "g.o.g.o.g.o.g.o."},
              {"kick": "X...X...X...X...", "clap": "....X.......X...", "open": "..o...o...o...o.", "hat": "o.oog.oog.oog.oo"}),
    "dust": ({"kick": "X.........x.....", "rim": "....X.......X..g", "hat": "x...x...x...x..."},
             {"kick": "X......g..x.....", "snare": "....X..g.g..X...", "hat": "X.o.X.o.X.o.X.og"}),
    "boom": ({"kick": "X.....x.........", "hat": "x.o.x.o.x.o.x.o."},
             {"kick": "X..x......x.....", "clap": "....X.......X...", "snare": "....x.......x..g", "hat": "x.o.x.o.x.ooxooo"}),
    "swing": ({"ride": "x...x...x...x...", "pedal": "....x.......x..."},
              {"ride": "x...x..ox...x..o", "pedal": "....x.......x...", "kick": "g.......g.......", "brush": "....x..g....x..."}),
    "funk": ({"kick": "X.....x.........", "hat": "x.x.x.x.x.x.x.x.", "rim": "....x.......x..."},
             {"kick": "X..x..x...x..x..", "snare": "....X..g.g..X..g", "hat": "X.xoX.xoX.xoX.x.", "open": "..............x."}),
    "retro": ({"kick": "X.......X.......", "hat": "o.o.o.o.o.o.o.o."},
              {"kick": "X.......X.x.....", "gated": "....X.......X...", "hat": "x.xox.xox.xox.xo", "tom": "..............x."}),
    "break": ({"kick": "X.........x.....", "hat": "x.o.x.o.x.o.x.o."},
              {"kick": "X.........x.....", "snare": "....X..g.g..X..g", "hat": "x.x.x.xox.x.x.xo", "ride": "x...x...x...x..."}),
    "epic": ({"taiko": "X...o...x...o...", "shaker": "g...g...g...g..."},
             {"taiko": "X..gx.o.X.g.x.oo", "kick": "X...x...X...x...", "shaker": "o.ggo.ggo.ggo.gg"}),
    "hands": ({"shaker": "x.o.x.o.x.o.x.o.", "kick": "o.......o......."},
              {"shaker": "xoxoxoxoxoxoxoxo", "kick": "x.......x.....o.", "conga": "....o..x....o.xx", "clap": "....o.......o..."}),
    "bossa": ({"shaker": "xoooxoooxoooxooo", "kick": "o.....goo.....go"},
              {"shaker": "xoxoxoxoxoxoxoxo", "kick": "x.....oxx.....ox", "rim": "x..x..x...x..x.."}),
    "onedrop": ({"kick": "........x.......", "hat": "..o...o...o...o."},
                {"kick": "........X.......", "rim": "........X.....g.", "hat": "x.x.x.xox.x.x.x.", "conga": "...........o..o."}),
    "tribal": ({"conga": "x.....x...x.....", "shaker": "o.g.o.g.o.g.o.g."},
               {"conga": "x..ox.x.o.x.x.o.", "taiko": "X.........x.....", "shaker": "xoooxoooxoooxooo", "clap": "....o..o....o..."}),
}  # fmt: skip

COMPING: dict[str, Figure] = {
    "sustain": ((0, 16, 0.6, "all"),),
    "pulse": tuple((step, 1.6, 0.85 if step in {0, 8} else 0.7 if step % 4 == 0 else 0.45, "all") for step in range(0, 16, 2)),
    "arpeggio": tuple((2 * n, 5, 0.75 if n % 4 == 0 else 0.55, v) for n, v in enumerate("01231232")),
    "ripple": tuple((n, 2.5, 0.75 if n % 4 == 0 else 0.45, v) for n, v in enumerate("0123213201232132")),
    "rolling": tuple((2 * n, 3, 0.7 if n % 3 == 0 else 0.5, v) for n, v in enumerate("02130213")),
    "strum": ((0, 4, 0.9, "all"), (4, 2, 0.7, "all"), (6, 2, 0.5, "top"), (10, 2, 0.6, "top"), (12, 2, 0.75, "all"), (14, 2, 0.5, "top")),
    "pick": ((0, 6, 0.8, "0"), (2, 5, 0.5, "3"), (4, 6, 0.7, "1"), (6, 5, 0.55, "2"), (8, 6, 0.75, "0"), (10, 5, 0.5, "3"), (12, 6, 0.65, "1"), (14, 4, 0.55, "2")),
    "skank": ((4, 1.2, 0.8, "all"), (12, 1.2, 0.85, "all"), (14, 1.0, 0.4, "top")),
    "stabs": ((0, 1.6, 0.85, "all"), (3, 1.6, 0.6, "all"), (8, 1.6, 0.8, "all"), (11, 1.6, 0.6, "all"), (14, 1.4, 0.45, "top")),
    "chops": ((0, 0.8, 0.6, "all"), (2, 0.7, 0.45, "all"), (4, 0.8, 0.7, "all"), (6, 0.8, 0.5, "top"), (9, 0.7, 0.5, "top"), (12, 0.8, 0.7, "all"), (14, 0.7, 0.45, "top")),
    "charleston": ((0, 2.6, 0.7, "all"), (6, 2, 0.6, "all"), (14, 1.5, 0.45, "all")),
    "lazy": ((0, 6, 0.75, "all"), (6.2, 4, 0.5, "top"), (10, 5.5, 0.6, "all")),
    "power": tuple((step, 1.9, 0.9 if step in {0, 6, 12} else 0.62, "low") for step in range(0, 16, 2)),
    "bossa": ((0, 3, 0.7, "all"), (3, 2.5, 0.6, "all"), (6, 3, 0.65, "all"), (10, 2.5, 0.6, "all"), (13, 2.5, 0.55, "all")),
    "swell": ((0, 8, 0.5, "low"), (4, 12, 0.4, "2"), (8, 8, 0.45, "3")),
}  # fmt: skip

BASS_LINES: dict[str, Figure] = {
    "pedal": ((0, 16, 0.7, "1"),),
    "long": ((0, 10, 0.8, "1"), (10, 6, 0.55, "1")),
    "halves": ((0, 7.5, 0.85, "1"), (8, 7.5, 0.7, "5")),
    "pop": ((0, 6, 0.9, "1"), (6, 2, 0.6, "1"), (8, 6, 0.8, "1"), (14, 2, 0.6, "a")),
    "eighths": tuple((step, 1.8, 0.9 if step % 8 == 0 else 0.68, "1") for step in range(0, 16, 2)),
    "octaves": tuple((step, 1.7, 0.8 if step % 4 == 0 else 0.65, "8" if step % 4 == 2 else "1") for step in range(0, 16, 2)),
    "offbeat": tuple((step, 1.6, 0.85 if step % 4 == 0 else 0.6, "1") for step in range(0, 16, 2)),
    "funk": ((0, 2, 1.0, "1"), (3, 1, 0.6, "1"), (6, 1.5, 0.7, "8"), (8, 1, 0.5, "1"), (10, 2, 0.85, "5"), (13, 1, 0.6, "8"), (14, 1.6, 0.7, "a")),
    "dub": ((0, 3, 0.95, "1"), (4, 1.5, 0.6, "1"), (6, 2, 0.8, "5"), (10, 3, 0.85, "1"), (14, 1.6, 0.6, "5")),
    "bossa": ((0, 5, 0.9, "1"), (6, 1.8, 0.6, "5"), (8, 5, 0.85, "5"), (14, 1.8, 0.6, "1")),
    "slow808": ((0, 7, 1.0, "1"), (7, 3, 0.6, "1"), (11, 4.5, 0.8, "1")),
    "driven": ((0, 3, 0.95, "1"), (3, 2.8, 0.7, "1"), (6, 4, 0.85, "1"), (10, 2, 0.7, "8"), (12, 3.6, 0.75, "5")),
    "walk": ((0, 3.7, 0.85, "1"), (4, 3.7, 0.7, "3"), (8, 3.7, 0.8, "5"), (12, 3.7, 0.75, "a")),
}  # fmt: skip

MOTIFS: dict[str, tuple[Figure, ...]] = {
    # (step, length, velocity, "s" strong: a chord tone, "w" weak: a step of the scale)
    "flowing": (
        ((0, 6, 0.8, "s"), (6, 2, 0.6, "w"), (8, 4, 0.75, "s"), (12, 4, 0.65, "w")),
        ((0, 4, 0.8, "s"), (4, 4, 0.65, "w"), (8, 8, 0.75, "s")),
        ((0, 3, 0.75, "s"), (3, 3, 0.6, "w"), (6, 6, 0.8, "s"), (12, 4, 0.6, "w")),
    ),
    "sparse": (
        ((0, 10, 0.7, "s"), (12, 4, 0.5, "w")),
        ((4, 8, 0.65, "s"), (12, 4, 0.5, "w")),
        ((0, 6, 0.7, "s"), (8, 8, 0.6, "s")),
    ),
    "catchy": (
        ((0, 2, 0.85, "s"), (3, 2, 0.7, "w"), (6, 2, 0.8, "s"), (8, 2, 0.7, "w"), (11, 2, 0.65, "w"), (14, 2, 0.7, "s")),
        ((0, 3, 0.85, "s"), (3, 3, 0.75, "s"), (6, 2, 0.7, "w"), (8, 4, 0.8, "s")),
        ((2, 2, 0.7, "w"), (4, 2, 0.8, "s"), (6, 4, 0.75, "w"), (12, 3, 0.8, "s")),
    ),
    "swinging": (
        ((0, 2, 0.75, "s"), (2, 2, 0.6, "w"), (4, 2, 0.75, "s"), (6, 4, 0.7, "w"), (14, 2, 0.6, "w")),
        ((2, 2, 0.65, "w"), (4, 4, 0.8, "s"), (10, 2, 0.65, "w"), (12, 3, 0.75, "s")),
        ((0, 4, 0.75, "s"), (6, 2, 0.6, "w"), (8, 2, 0.7, "s"), (10, 2, 0.6, "w"), (12, 2, 0.7, "s")),
    ),
    "riff": (
        ((0, 2, 0.95, "s"), (2, 1, 0.6, "w"), (4, 2, 0.8, "s"), (7, 2, 0.75, "w"), (10, 2, 0.85, "s"), (13, 2, 0.7, "w")),
        ((0, 3, 0.95, "s"), (4, 1, 0.65, "s"), (6, 2, 0.8, "w"), (8, 4, 0.85, "s")),
        ((0, 1.5, 0.9, "s"), (3, 1.5, 0.75, "w"), (6, 3, 0.85, "s"), (10, 1.5, 0.7, "w"), (12, 3, 0.8, "s")),
    ),
}  # fmt: skip
