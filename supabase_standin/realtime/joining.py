"""Lets a client into a channel, or says why not."""

from __future__ import annotations

import asyncio

import asyncpg

from supabase_standin.authentication import BadToken, Identity
from supabase_standin.database import CONNECTION_ERRORS
from supabase_standin.realtime.authorisation import EVERYTHING, authorise
from supabase_standin.realtime.bindings import BadFilter, Binding, binding_id
from supabase_standin.realtime.channel import Channel, Outlet
from supabase_standin.realtime.frames import Frame, UserBroadcast, reply
from supabase_standin.realtime.join import Join
from supabase_standin.realtime.messages import CannotReplay, replay
from supabase_standin.realtime.project import Project
from supabase_standin.realtime.subscriptions import Refused
from supabase_standin.realtime.topics import PREFIX, Topic


class JoinRefused(Exception):
    """The reason as the client reads it: `Code: message`."""


async def join(project: Project, outlet: Outlet, key: Identity, frame: Frame) -> Channel:
    """Answer a phx_join and everything that follows from it; a join without a token is the key's. Raises JoinRefused."""
    name = frame.topic.removeprefix(PREFIX)
    if not name:
        raise JoinRefused("TopicNameRequired: You must provide a topic name")
    wish = Join.from_payload(frame.payload)
    topic = Topic(name, wish.private)
    if len(wish.bindings) > project.limits.bindings_per_channel:
        raise JoinRefused(
            f"TooManyPostgresChanges: {len(wish.bindings)} entries of postgres_changes, at most "
            f"{project.limits.bindings_per_channel}: spread them over channels"
        )
    try:
        identity = project.keys.identify(wish.access_token) if wish.access_token else key
    except BadToken as error:
        raise JoinRefused(f"{error.code}: {error}") from error
    try:
        policies = await authorise(project.database, name, identity) if topic.private else EVERYTHING
        if "broadcast" not in policies.may_read:
            raise JoinRefused(f"Unauthorized: You do not have permissions to read from this Channel topic: {name}")
        replayed = (
            await replay(project.database, topic, wish.replay, project.limits.replay_messages) if wish.replay else []
        )
    except CannotReplay as error:
        raise JoinRefused(f"UnableToReplayMessages: {error}") from error
    except CONNECTION_ERRORS as error:
        raise JoinRefused("InitializingProjectConnection: Connecting to the project database") from error
    except asyncpg.PostgresError as error:
        raise JoinRefused(f"Unauthorized: a policy on realtime.messages fails: {error}") from error

    channel = Channel(project, outlet, topic, frame, wish, identity, policies)
    refusal = await _subscribe(project, channel, wish)
    channel.open()
    echo = [{**params, "id": binding_id(params)} for params in wish.bindings]
    outlet.push(reply(frame, "ok", {"postgres_changes": echo}))
    channel.push_presence_state()
    for message in replayed:
        if isinstance(message, UserBroadcast):
            channel.deliver(message)
        else:
            channel.push("broadcast", message)
    if refusal:
        channel.tell("error", "postgres_changes", refusal)
    if wish.bindings and not refusal:
        project.subscriptions.start(channel)
    return channel


async def _subscribe(project: Project, channel: Channel, wish: Join) -> str | None:
    """Register the bindings and, where the client waits for it, make them live; a filter that cannot be read is a refusal."""
    try:
        bindings = [Binding.from_params(channel, params) for params in wish.bindings]
    except BadFilter as error:
        if wish.wait_s:
            raise JoinRefused(f"MalformedPostgresChangesFilter: {error}") from error
        return f"Unable to subscribe to changes with given parameters: {error}"
    if not bindings:
        return None
    project.changes.put(channel, bindings)
    if wish.wait_s:
        try:
            async with asyncio.timeout(wish.wait_s):
                await project.subscriptions.establish_once(channel)
        except BaseException as error:
            project.changes.drop(channel)  # also when the client has gone meanwhile
            if isinstance(error, Refused):
                raise JoinRefused(f"RealtimeDisabledForConfiguration: {error}") from error
            if isinstance(error, CONNECTION_ERRORS):
                raise JoinRefused("PostgresChangesSubscribeTimeout: it was not live in time") from error
            raise
    return None
