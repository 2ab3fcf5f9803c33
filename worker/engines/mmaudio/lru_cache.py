"""What was used last, by key: features of films and captions, graphs."""

from __future__ import annotations

from collections import OrderedDict
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class LruCache(Generic[K, V]):
    """The `size` values that were put or got last."""

    def __init__(self, size: int) -> None:
        self._size, self._kept = size, OrderedDict[K, V]()

    def __len__(self) -> int:
        return len(self._kept)

    def get(self, key: K) -> V | None:
        if key in self._kept:
            self._kept.move_to_end(key)
        return self._kept.get(key)

    def pop(self) -> tuple[K, V] | None:
        """The oldest, taken away."""
        return self._kept.popitem(last=False) if self._kept else None

    def put(self, key: K, value: V) -> V:
        self._kept[key] = value
        self._kept.move_to_end(key)
        while len(self._kept) > self._size:
            self._kept.popitem(last=False)
        return value
