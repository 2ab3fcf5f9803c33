"""The environment of a worker, read once in `__main__` into one frozen object."""

from __future__ import annotations

import os
import re
import socket
from pathlib import Path
from typing import Annotated, Final, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, field_validator
from pydantic_settings import NoDecode

from rhythmai.project.environment import InputBuckets, ProjectEnvironment, read
from worker.errors import Misconfigured

KindName = Literal["generate", "merge", "brief", "pack"]
EngineName = Literal["mmaudio", "acestep", "sketch"]
WakeUpsName = Literal["realtime", "listen"]
SECRETS: Final = (
    "SUPABASE_KEY", "SUPABASE_SECRET_KEY", "SUPABASE_SERVICE_ROLE_KEY", "DATABASE_URL", "SUPABASE_DB_URL", "API_KEY", "WEBHOOK_SECRET",
)  # fmt: skip
MADE_BY: Final = "`echo whsec_$(openssl rand -base64 32)`"
HOUR_S: Final = 3600
DAY_S: Final = 24 * HOUR_S


def data_home() -> Path:
    """Where big files of the user live (weights), by the XDG rule."""
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share") / "rhythmai"


def at_home(path: Path) -> Path:
    """`~` is the user's home, as in a shell."""
    try:
        return path.expanduser()
    except RuntimeError as error:  # ~somebody who is not there
        raise ValueError(f"{path} has no home: {error}") from None


def _writable(path: Path) -> Path:
    if not path.is_dir() or not os.access(path, os.W_OK | os.X_OK):
        raise ValueError(f"{path} is no folder that this process may write to; make it, or name another")
    return path


def _endpoint(url: str) -> str:
    parts = urlsplit(url)
    if url and (parts.scheme not in {"http", "https"} or not parts.hostname):
        raise ValueError(f"{url} is no address; write it like https://api.example.com/v1")
    return url


def _of_eight(fps: int) -> int:
    if fps not in {1, 2, 4, 8}:
        raise ValueError(f"{fps} frames cannot be taken evenly from 8; write 8, 4, 2 or 1")
    return fps


def _pair(value: object) -> object:
    if isinstance(value, str) and len(pair := value.split(",")) != 2:
        raise ValueError(f"{value} is no interval; write it like 0,0.6")
    return tuple(pair) if isinstance(value, str) else value


def _interval(times: tuple[float, float]) -> tuple[float, float]:
    if not 0 <= times[0] <= times[1] <= 1:
        raise ValueError(f"{times[0]:g},{times[1]:g} is no interval within 0,1; write it like 0,0.6")
    return times


def _secrets(value: object) -> object:
    """Named by their place: what the variable holds is not repeated."""
    listed = tuple(part.strip() for part in value.split(",")) if isinstance(value, str) else ()
    for place, secret in enumerate(listed, start=1):
        found = re.fullmatch(r"whsec_([A-Za-z0-9+/]+)={0,2}", secret)
        if not found or not 24 <= len(found[1]) * 3 // 4 <= 64:
            raise ValueError(f"its secret {place} is not whsec_ and the base64 of 24 to 64 bytes; {MADE_BY} makes one")
    return listed


class Settings(ProjectEnvironment):
    """Every variable is documented in .env.example."""

    api_key: str = ""
    base_url: Annotated[str, AfterValidator(_endpoint)] = ""
    vlm_model: str = "ernie-4.5-vl-28b-a3b"
    vlm_input: Literal["frames", "video_url"] = "frames"
    vlm_timeout_s: float = Field(default=45, gt=0, le=HOUR_S)

    engine: Annotated[tuple[EngineName, ...], NoDecode, Field(min_length=1)] = ("mmaudio",)
    mmaudio_model: str = "large_44k_v2"
    acestep_model: str = "xl-turbo"
    models_dir: Annotated[Path, AfterValidator(at_home)] = Field(default_factory=lambda: data_home() / "models")
    device: str = ""
    mmaudio_steps: int = Field(default=25, ge=1, le=100)
    mmaudio_guided: Annotated[tuple[float, float], NoDecode, BeforeValidator(_pair), AfterValidator(_interval)] = (0, 1)
    mmaudio_clip_fps: Annotated[int, AfterValidator(_of_eight)] = 8

    worker_name: str = Field(default_factory=socket.gethostname, min_length=1, max_length=200)
    worker_kinds: Annotated[tuple[KindName, ...], NoDecode] = ("generate", "merge", "brief", "pack")
    wakeups: Annotated[tuple[WakeUpsName, ...], NoDecode] = ("realtime", "listen")
    worker_slots: int = Field(default=2, ge=1, le=16)
    job_timeout_s: float = Field(default=1800, gt=0, le=7 * DAY_S)
    lease_s: float = Field(default=30, ge=2, le=HOUR_S)
    poll_s: float = Field(default=5, gt=0, le=HOUR_S)
    grace_s: float = Field(default=60, ge=0, le=DAY_S)
    previews: bool = True
    work_dir: Annotated[Path, AfterValidator(at_home), AfterValidator(_writable)] | None = None
    webhook_secret: Annotated[tuple[str, ...], NoDecode, BeforeValidator(_secrets)] = ()

    c2pa_cert: Annotated[Path, AfterValidator(at_home)] | None = None
    c2pa_key: Annotated[Path, AfterValidator(at_home)] | None = None
    c2pa_signer: str = ""

    max_duration_s: float = Field(default=180, gt=0, le=DAY_S)
    max_bytes: int = Field(default=512 * 2**20, gt=0)
    input_buckets: InputBuckets = ()

    @property
    def engines(self) -> dict[str, str]:
        """What to compose with, each with its model: for a job that asks for none the first."""
        models = {"mmaudio": self.mmaudio_model, "acestep": self.acestep_model, "sketch": "sketch-1"}
        return {name: models[name] for name in self.engine} if "generate" in self.worker_kinds else {}

    @field_validator("engine", "worker_kinds", "wakeups", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return tuple(part.strip() for part in value.split(",")) if isinstance(value, str) else value


def read_settings() -> Settings:
    """Read environment and `.env`. Raises Misconfigured with one line per missing or malformed variable."""
    return read(Settings, Misconfigured)
