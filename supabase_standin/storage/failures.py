"""Errors in the shape of the hosted Storage server.

The HTTP status of a refusal is 400; the real one is in the body, where clients look for it. Conditions and ranges are
HTTP's own affair: browsers and download tools read their status.
"""

from __future__ import annotations

import errno
import logging
from collections.abc import Mapping
from typing import Final

import asyncpg
from aiohttp import web

from supabase_standin.authentication import BadToken
from supabase_standin.database import CONNECTION_ERRORS

log = logging.getLogger("supabase_standin.storage")
PLAIN: Final = (412, 416)
NO_ROOM: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class StorageFailure(Exception):
    """A refused request."""

    def __init__(
        self, status: int, error: str, message: str, code: str, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.error = error
        self.code = code
        self.headers = headers

    def response(self) -> web.Response:
        body = {"statusCode": str(self.status), "error": self.error, "message": str(self), "code": self.code}
        told = self.status if self.status in PLAIN or self.status >= 500 else 400
        return web.json_response(body, status=told, headers=self.headers)


def no_bucket() -> StorageFailure:
    return StorageFailure(404, "Bucket not found", "Bucket not found", "NoSuchBucket")


def no_object() -> StorageFailure:
    return StorageFailure(404, "not_found", "Object not found", "NoSuchKey")


def duplicate() -> StorageFailure:
    return StorageFailure(409, "Duplicate", "The resource already exists", "KeyAlreadyExists")


def too_large() -> StorageFailure:
    return StorageFailure(413, "Payload too large", "The object exceeded the maximum allowed size", "EntityTooLarge")


def bad_mime_type(mime: str) -> StorageFailure:
    return StorageFailure(415, "invalid_mime_type", f"mime type {mime} is not supported", "InvalidMimeType")


def bad_key(name: str) -> StorageFailure:
    return StorageFailure(400, "InvalidKey", f"Invalid key: {name}", "InvalidKey")


def bad_request(message: str) -> StorageFailure:
    return StorageFailure(400, "InvalidRequest", message, "InvalidRequest")


def unauthorized(message: str) -> StorageFailure:
    return StorageFailure(403, "Unauthorized", message, "AccessDenied")


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


def precondition_failed() -> StorageFailure:
    return StorageFailure(412, "PreconditionFailed", "The object is not the one that the condition names", "S3Error")


def bad_range(size: int) -> StorageFailure:
    message = f"The object has {size} bytes: the range lies outside"
    return StorageFailure(416, "InvalidRange", message, "InvalidRange", {"Content-Range": f"bytes */{size}"})


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
