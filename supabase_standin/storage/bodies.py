"""The JSON bodies of requests, and what a query asks for. As on the real server "5" is taken for 5 and "true" for true, and unknown fields mean nothing."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal, TypeVar

from aiohttp import web
from pydantic import BaseModel, ByteSize, ConfigDict, Field, ValidationError

from supabase_standin.storage.failures import bad_request, too_large

BIGINT: Final = 2**63 - 1
Size = Annotated[ByteSize, Field(ge=0, le=BIGINT)]
"""A number of bytes, or a text such as "20MB"."""


class Body(BaseModel):
    """What all bodies share."""

    model_config = ConfigDict(frozen=True, coerce_numbers_to_str=True)


class BucketChange(Body):
    """Only the fields that were sent are changed."""

    public: bool | None = None
    file_size_limit: Size | None = None
    allowed_mime_types: list[str] | None = None


class NewBucket(BucketChange):
    name: str
    id: str | None = None


class Page(Body):
    """A part of a list."""

    search: str | None = None
    limit: int | None = Field(None, ge=1, le=BIGINT)
    offset: int | None = Field(None, ge=0, le=BIGINT)


class BucketOrder(Page):
    column: Literal["id", "name", "created_at", "updated_at"] | None = Field(None, alias="sortColumn")
    order: Literal["asc", "desc"] | None = Field(None, alias="sortOrder")


class Names(Body):
    """Objects to remove."""

    prefixes: list[str]


class SignOne(Body):
    expires_in: int = Field(alias="expiresIn", ge=1, le=BIGINT)
    transform: dict[str, Any] | None = None


class SignMany(SignOne):
    paths: list[str]


class Ends(Body):
    """Where from and where to, of a move or copy."""

    bucket: str = Field(alias="bucketId")
    source_key: str = Field(alias="sourceKey")
    target_bucket: str | None = Field(None, alias="destinationBucket")
    target_key: str = Field(alias="destinationKey")

    @property
    def source(self) -> tuple[str, str]:
        return self.bucket, self.source_key

    @property
    def target(self) -> tuple[str, str]:
        return self.target_bucket or self.bucket, self.target_key


class Order(Body):
    column: Literal["name", "updated_at", "created_at", "last_accessed_at"] | None = None
    order: Literal["asc", "desc"] | None = None


class Level(Page):
    """One level of folders."""

    prefix: str | None = None
    sort_by: Order | None = Field(None, alias="sortBy")


class ByName(Body):
    column: Literal["name"] | None = None
    order: Literal["asc"] | None = None


class Below(Body):
    """All names below a prefix, a page at a time."""

    prefix: str | None = None
    limit: int | None = Field(None, ge=1)
    cursor: str | None = None
    with_delimiter: bool | None = None
    sort_by: ByName | None = Field(None, alias="sortBy")


B = TypeVar("B", bound=Body)


async def read_body(request: web.Request, kind: type[B]) -> B:
    """JSON is UTF-8, whatever charset the header names; no body is an empty object. Raises StorageFailure."""
    place = "querystring" if request.method == "GET" else "body"
    try:
        if place == "querystring":
            return kind.model_validate(dict(request.query))
        return kind.model_validate_json(await request.read() or b"{}")
    except web.HTTPRequestEntityTooLarge as error:
        raise too_large() from error
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        field = "/".join((place, *map(str, first["loc"])))
        raise bad_request(f"{field}: {first['msg']}; it is {first['input']!r:.80}") from error
