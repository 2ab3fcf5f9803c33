"""Under what the official checkpoints stand, all of them; for who asks before anything is loaded, without torch."""

from worker.domain import Licence

CC_BY_NC = Licence("CC-BY-NC-4.0", commercial=False, url="https://creativecommons.org/licenses/by-nc/4.0/")
