"""Who calls in the stateful fuzz, what they say rightly and wrongly, and how its stage is cleared."""

from __future__ import annotations

from uuid import uuid4

from hypothesis import strategies as st

from tests.contract.conftest import VIDEO
from tests.contract.keys import bearer

LIMIT = 12
"""So few pending jobs a client that the flood guard is met often."""
AFRESH = """
    truncate public.jobs restart identity cascade;
    delete from private.uploads;
    select setval('private.served_generate_interactive', 0, false), setval('private.served_merge_interactive', 0, false),
           setval('private.served_brief_interactive', 0, false), setval('private.served_pack_interactive', 0, false);
"""
"""Every run begins alike, so that one that failed can be played again."""
MERGE = {"video_url": VIDEO, "audio_url": VIDEO}
ANN, BEN = str(uuid4()), str(uuid4())
CALLERS = {"ann": (ANN, bearer(ANN)), "ben": (BEN, bearer(BEN)), "visitor": (None, {})}
WRONG = [
    ("/api/v1/gen", {"video_url": "ftp://example.com/a"}, "invalid_request"),
    ("/api/v1/gen", {"video_url": VIDEO, "variants": 9}, "invalid_request"),
    ("/api/v1/gen", {"video_url": VIDEO, "colour": 1}, "unknown_field"),
    ("/api/v1/merge", {"video_url": VIDEO}, "invalid_request"),
    ("/api/v1/upload", {"filename": "a", "content_type": "text/html", "size": 1}, "invalid_request"),
    ("/api/v1/gen", [], "invalid_request"),
]

WAITING_MERGE = "select id::text from public.jobs where kind = 'merge' and status = 'pending'"

callers = st.sampled_from(sorted(CALLERS))
keys = st.none() | st.sampled_from([f"idempotency-key-{number}" for number in range(4)])
