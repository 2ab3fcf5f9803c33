"""`rhythmai keys`: keys for servers, whose jobs are their own. Over DATABASE_URL."""

from __future__ import annotations

import hashlib
import secrets
from typing import Annotated

import typer

from rhythmai.commands.arguments import Data
from rhythmai.commands.running import command
from rhythmai.table import Json, age, show, show_json

app = typer.Typer(no_args_is_help=True, help="Keys for servers: add, list and revoke them.")
Name = Annotated[str, typer.Argument(help="Whose key it is, for people.")]


@app.command()
@command
async def add(
    name: Name,
    limit: Annotated[
        int, typer.Option(min=1, max=1_000_000, help="How many of its jobs, and of its uploads, may wait.")
    ] = 50,
    as_json: Json = False,
    data: Data = None,
) -> None:
    """Make a key and print it, this once: only its hash is kept. A server sends it as `Authorization: Bearer rk_...`."""
    from rhythmai.target import Target, database

    key = f"rk_{secrets.token_urlsafe(32)}"
    async with database(Target.find(data)) as connection:
        found = hashlib.sha256(key.encode()).hexdigest()
        key_id = await connection.fetchval("select queue.add_key($1, $2, $3)", name, found, limit)
    if as_json:
        show_json({"id": key_id, "name": name, "key": key, "limit": limit})
    else:
        print(key)


@app.command("list")
@command
async def listed(as_json: Json = False, data: Data = None) -> None:
    """List the keys, and how many jobs of each wait."""
    from rhythmai.target import Target, database

    async with database(Target.find(data)) as connection:
        rows = [dict(row) for row in await connection.fetch("select * from queue.keys()")]
    if as_json:
        show_json(rows)
        return
    shown: list[dict[str, object]] = [
        {
            "name": row["name"],
            "id": row["id"],
            "state": f"revoked {age(row['revoked_at'])} ago" if row["revoked_at"] else "holds",
            "made": f"{age(row['created_at'])} ago",
            "waiting": f"{row['pending']} of {row['pending_limit']}",
        }
        for row in rows
    ]
    show(shown, "There are no keys: `rhythmai keys add NAME` makes one.")


@app.command()
@command
async def revoke(name: Name, as_json: Json = False, data: Data = None) -> None:
    """End a key, at once. Its jobs go on, and only operators see them."""
    from rhythmai.errors import BadInput
    from rhythmai.target import Target, database

    async with database(Target.find(data)) as connection:
        if not await connection.fetchval("select queue.revoke_key($1)", name):
            raise BadInput(f"No key of the name {name} holds: `rhythmai keys list` shows them")
    if as_json:
        show_json({"name": name, "revoked": True})
    else:
        print(f"The key {name} holds no more.")
