"""The environment: is everything set and well-formed, and does it speak of one project?"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

from pydantic import ValidationError

import edge_api.settings
from rhythmai.doctor.finding import Finding, fail, note, ok
from rhythmai.project import key
from rhythmai.project.key import role_of
from worker.settings import Settings

CHECK: Final = "environment"
STAND_INS: Final = {
    "supabase_url": "http://unset.invalid",
    "supabase_key": "unset",
    "database_url": "postgresql://unset.invalid/x",
}
"""For what is required and missing, so that the rest can be examined."""
THERE: Final = "in the environment or in .env: `rhythmai env --example` shows how"
BEGIN: Final = (
    f"Start a stack on this machine with `rhythmai up`; or set SUPABASE_URL, SUPABASE_KEY and DATABASE_URL {THERE}"
)


class Everything(Settings, edge_api.settings.Settings):
    """What the worker and the API read."""


def read(given: Mapping[str, str]) -> tuple[Everything, frozenset[str], list[Finding]]:
    """The settings, the fields that cannot be relied on, and what is wrong. `given` wins over the environment."""
    wrong = _wrong(given)
    stand_ins = {
        name: STAND_INS.get(name, Everything.model_fields[name].get_default(call_default_factory=True))
        for name in wrong
    }
    settings = Everything.model_validate({**given, **stand_ins})
    lines, findings = dict(wrong), []
    if all(wrong.get(name, "").endswith("is not set") for name in STAND_INS):
        lines = {name: line for name, line in wrong.items() if name not in STAND_INS}
        findings = [fail(CHECK, "no local stack runs, and no Supabase project is set", BEGIN)]
    findings += [fail(CHECK, line, f"Set it {THERE}") for line in lines.values()]
    if not wrong.keys() & STAND_INS.keys():
        findings += _one_project(settings)
    return settings, frozenset(wrong), findings or [_in_order(settings)]


def of_api(settings: Everything) -> list[Finding]:
    """What is worth knowing where strangers come to the API."""
    if settings.supabase_url.scheme == "http" or settings.trusted_proxies:
        return []
    said = "the API trusts no proxy: if one stands before it, all its visitors are limited as one client"
    return [
        note(CHECK, said, "Set TRUSTED_PROXIES to the proxy's network, such as 127.0.0.1 for one on the same machine")
    ]


def _in_order(settings: Everything) -> Finding:
    if role_of(settings.supabase_key) == key.WORKER_KEY:
        return ok(CHECK, f"{settings.origin} with a worker's key")
    return ok(CHECK, f"{settings.origin} with a secret key")


def _wrong(given: Mapping[str, str]) -> dict[str, str]:
    """A sentence for each field that is missing or malformed."""
    try:
        Everything.model_validate(dict(given))
    except ValidationError as error:
        names = [(str(e["loc"][0]).lower(), e["type"], e["msg"].removeprefix("Value error, ")) for e in error.errors()]
        return {
            name: f"{name.upper()} is " + ("not set" if kind == "missing" else f"malformed: {message}")
            for name, kind, message in names
        }
    return {}


def _one_project(settings: Everything) -> list[Finding]:
    """Key, URL and database belong together."""
    findings = []
    if wrong := _wrong_key(settings):
        findings.append(
            fail(
                CHECK,
                f"SUPABASE_KEY is {wrong}",
                "Set a key of `rhythmai worker-key` and the publishable one, or the secret key: dashboard, Settings, API keys",
            )
        )
    mine, theirs = _ref_of_url(settings), _ref_of_database(str(settings.database_url))
    if mine and theirs and mine != theirs:
        said = f"SUPABASE_URL is the project {mine}, DATABASE_URL the project {theirs}"
        findings.append(fail(CHECK, said, "Take both from one project: dashboard, Connect"))
    if mine and settings.supabase_url.scheme == "http":
        findings.append(note(CHECK, "SUPABASE_URL is http, not https: keys travel in the clear", "Write https://"))
    return findings


def _wrong_key(settings: Everything) -> str:
    """What is wrong with the key; empty when nothing is."""
    match role_of(settings.supabase_key):
        case key.SERVICE:
            return ""
        case key.WORKER_KEY:
            lacks = _ref_of_url(settings) and not settings.supabase_publishable_key
            return "a worker's key, with which the project wants SUPABASE_PUBLISHABLE_KEY" if lacks else ""
        case None:
            return "neither an sb_secret_ key nor a JWT of the project"
        case role:
            return f"a key of role {role}"


def _ref_of_url(settings: Settings) -> str:
    found = re.fullmatch(r"([a-z0-9]{20})\.supabase\.co", settings.supabase_url.host or "")
    return found[1] if found else ""


def _ref_of_database(url: str) -> str:
    parts = urlsplit(url)
    found = re.search(r"\b\w+\.([a-z0-9]{20}):|@db\.([a-z0-9]{20})\.supabase\.co\b", f"{parts.netloc}")
    return next(filter(None, found.groups()), "") if found else ""
