"""All checks, one after the other; a check that cannot be made, or breaks, is a finding and never a traceback."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Final, NamedTuple

from rhythmai.doctor import database, environment, realtime, storage, tokens
from rhythmai.doctor.finding import Finding, fail, note
from rhythmai.project.extras import what_to_install

PATIENCE_S: Final = 120.0
PROJECT: Final = frozenset({"supabase_url", "supabase_key"})
BASE: Final = frozenset({"database_url"})


class Check(NamedTuple):
    """A check, and the settings it cannot do without."""

    name: str
    examine: Callable[[environment.Everything], Awaitable[list[Finding]]]
    needs: frozenset[str] = frozenset()


CHECKS: Final = (
    Check(database.CHECK, database.examine, BASE),
    Check(realtime.CHECK, realtime.examine, PROJECT | BASE),
    Check(storage.CHECK, storage.examine, PROJECT),
    Check(tokens.CHECK, tokens.examine, frozenset({"supabase_url", "jwt_secret"})),
)


def of_workers() -> tuple[Check, ...]:
    """What only a worker needs. Raises ModuleNotFoundError without the extra `worker`."""
    from rhythmai.doctor import device, director, disk, media, provenance

    return (
        Check(director.CHECK, director.examine),
        Check(media.CHECK, media.examine),
        Check(device.GPU, device.examine),
        Check(disk.CHECK, disk.examine),
        Check(provenance.CHECK, provenance.examine),
    )


async def examine(given: Mapping[str, str], *, api_only: bool = False) -> AsyncIterator[Finding]:
    """Yield findings as they come. `given` (field: value) wins over the environment."""
    settings, broken, findings = environment.read(given)
    for finding in [*findings, *(environment.of_api(settings) if api_only else [])]:
        yield finding
    checks: tuple[Check, ...] = CHECKS
    try:
        checks += () if api_only else of_workers()
    except ModuleNotFoundError as error:
        yield fail("worker", what_to_install(error), "On a machine of the API alone: rhythmai doctor --api-only")
    for check in checks:
        if missing := sorted(check.needs & broken):
            yield note(check.name, f"not examined: {', '.join(missing).upper()} first")
            continue
        for finding in await _patiently(check, settings):
            yield finding


async def _patiently(check: Check, settings: environment.Everything) -> list[Finding]:
    try:
        async with asyncio.timeout(PATIENCE_S):
            return await check.examine(settings)
    except TimeoutError:
        return [fail(check.name, f"no answer within {PATIENCE_S:.0f} s", "Check the network between here and there")]
    except Exception as error:  # noqa: BLE001  a doctor does not die of a patient
        said = f"{type(error).__name__}: {error}"
        return [fail(check.name, f"the check itself broke: {said}", "Please report this line")]
