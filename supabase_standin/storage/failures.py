"""Errors in the shape of the hosted Storage server.

The HTTP status of a refusal is 400; the real one is in the body, where clients look for it.
"""

from __future__ import annotations

import errno
import logging
from functools import partial
from typing import Final

import asyncpg
from aiohttp import web

from supabase_standin.authentication import BadToken
from supabase_standin.database import CONNECTION_ERRORS

log = logging.getLogger("supabase_standin.storage")
NO_ROOM: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class StorageFailure(Exception):
    """A refused request."""

    def __init__(self, status: int, error: str, message: str, code: str) -> None:
        super().__init__(message)
        self.status = status
        self.error = error
        self.code = code

    def response(self) -> web.Response:
        body = {"statusCode": str(self.status), "error": self.error, "message": str(self), "code": self.code}
        return web.json_response(body, status=self.status if self.status >= 500 else 400)


no_bucket: Final = partial(StorageFailure, 404, "Bucket not found", "Bucket not found", "NoSuchBucket")
no_object: Final = partial(StorageFailure, 404, "not_found", "Object not found", "NoSuchKey")
duplicate: Final = partial(StorageFailure, 409, "Duplicate", "The resource already exists", "KeyAlreadyExists")
too_large: Final = partial(
    StorageFailure, 413, "Payload too large", "The object exceeded the maximum allowed size", "EntityTooLarge"
)
bad_request: Final = partial(StorageFailure, 400, "InvalidRequest", code="InvalidRequest")
unauthorized: Final = partial(StorageFailure, 403, "Unauthorized", code="AccessDenied")
"""The last two take the message."""


def jwt_complaint(error: BadToken) -> str:
    """What is wrong with a token, in the words of the real server's library: clients' tests know them."""
    match error.code:
        case "MalformedJWT":
            return "Invalid Compact JWS"
        case "JwtSignatureError":
            return "signature verification failed"
        case "InvalidJWTToken" if str(error).startswith("Token has expired"):
            return '"exp" claim timestamp check failed'
        case _:
            return str(error)


def disk_failure(error: OSError) -> StorageFailure:
    """What the disk refuses; the path is for the log, not for a visitor."""
    log.error("storage.disk: %s", error)
    if error.errno in NO_ROOM:
        message = f"There is no room for this object under STORAGE_DIR ({error.strerror}): free some and try again"
        return StorageFailure(507, "InsufficientStorage", message, "InsufficientStorage")
    message = (
        f"The gateway cannot use STORAGE_DIR ({error.strerror}): its log names the path; make it readable and writable"
    )
    return StorageFailure(500, "Internal", message, "InternalError")


def from_error(error: Exception) -> StorageFailure:
    """The database's refusals in Storage's words, and whatever else went wrong: that is logged."""
    match error:
        case BadToken():
            return unauthorized(jwt_complaint(error))
        case asyncpg.InsufficientPrivilegeError():
            return unauthorized("new row violates row-level security policy")
        case asyncpg.UniqueViolationError():
            return duplicate()
        case asyncpg.ForeignKeyViolationError():
            return no_bucket()
        case asyncpg.InvalidParameterValueError():
            return unauthorized("the token's role does not exist")
        case asyncpg.DataError():
            return bad_request(f"Postgres cannot take a name or value of this request: {error}")
        case _ if isinstance(error, CONNECTION_ERRORS):
            return StorageFailure(503, "DatabaseTimeout", "The database is away; try again", "DatabaseTimeout")
        case _:
            log.error("storage.failed", exc_info=error)
            return StorageFailure(500, "Internal", "Internal Server Error", "InternalError")
