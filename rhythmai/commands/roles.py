"""`rhythmai roles` and `rhythmai worker-key`: what a machine gets, so that it holds no more than its program needs."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Any

import typer

from rhythmai.commands.arguments import Data
from rhythmai.commands.running import command
from rhythmai.roles import Role
from rhythmai.table import Json, show_json

DAY_S = 86_400


@command
async def roles(
    which: Annotated[list[Role] | None, typer.Argument(help="Both, when left out.", show_default=False)] = None,
    as_json: Json = False,
    data: Data = None,
) -> None:
    """Give worker and API a login of their own, and print their DATABASE_URLs.

    They are shown this once: each call makes new passwords, and the ones before open no new connection. The lines can go into
    a file .env.
    """
    from rhythmai.roles import admit
    from rhythmai.target import Target, database

    target = Target.find(data)
    async with database(target) as connection:
        admitted = {role: await admit(connection, role, target.database_url) for role in dict.fromkeys(which or Role)}
    if as_json:
        show_json({role: {"database_url": access.url, "other": access.other} for role, access in admitted.items()})
        return
    for role, access in admitted.items():
        print(f"# {role.name_in_database}\nDATABASE_URL={access.url}")
        if access.other:
            print(f"# or, by the project's other door (dashboard, Connect):\n# DATABASE_URL={access.other}")


def worker_key(
    days: Annotated[int, typer.Option(min=1, max=3650, help="How long it holds.")] = 365,
    signing_key: Annotated[
        Path | None,
        typer.Option(
            "--signing-key",
            exists=True,
            dir_okay=False,
            help="A private key of the project (JWK), as `supabase gen signing-key` makes it; instead of JWT_SECRET.",
        ),
    ] = None,
    as_json: Json = False,
    data: Data = None,
) -> None:
    """Make a worker's SUPABASE_KEY: for our buckets and the topic of wake-ups, and nothing else.

    It is signed with JWT_SECRET (dashboard, Settings, JWT Keys), or with a signing key whose private half is yours.
    """
    from rhythmai.project.key import WORKER_KEY

    now = int(time.time())
    claims = {"role": WORKER_KEY, "iss": "rhythmai", "iat": now, "exp": now + days * DAY_S}
    key = _signed(claims, signing_key, data)
    if as_json:
        show_json({"supabase_key": key, "expires_at": claims["exp"]})
    else:
        print(f"SUPABASE_KEY={key}")


def _signed(claims: dict[str, Any], signing_key: Path | None, data: Path | None) -> str:
    """Raises BadInput, NoStack."""
    import jwt

    from rhythmai.errors import BadInput

    if signing_key is None:
        return jwt.encode(claims, _secret(data), algorithm="HS256")
    try:
        key = jwt.PyJWK.from_json(signing_key.read_text())
        return jwt.encode(claims, key.key, algorithm=key.algorithm_name, headers={"kid": key.key_id})
    except (jwt.PyJWTError, ValueError, TypeError) as error:
        said = f"{signing_key} is not a private signing key: {error}"
        raise BadInput(f"{said}; `supabase gen signing-key` makes one, which the dashboard imports") from None


def _secret(data: Path | None) -> str:
    from rhythmai.errors import BadInput, NoStack
    from rhythmai.nearby import nearby
    from rhythmai.project.environment import Signing, read

    if data is None and (secret := read(Signing, BadInput).jwt_secret):
        return secret
    try:
        return nearby(data, "JWT_SECRET").environment["JWT_SECRET"]
    except NoStack as error:
        raise NoStack(f"{error}; or name a private key with --signing-key") from None
