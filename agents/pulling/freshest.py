"""The freshest frames of a stream, until the broker takes them."""

from collections import deque
from typing import Generic, TypeVar

_Item = TypeVar("_Item")


class Freshest(Generic[_Item]):
    """A queue of few places: the oldest gives way. Not for several threads."""

    def __init__(self, places: int) -> None:
        self._items: deque[_Item] = deque(maxlen=places)

    def put(self, item: _Item) -> bool:
        """Add the newest; whether the oldest was let go for it."""
        full = len(self._items) == self._items.maxlen
        self._items.append(item)
        return full

    def take(self) -> _Item | None:
        """Return the oldest that is there."""
        return self._items.popleft() if self._items else None

    def clear(self) -> int:
        """Let go of all; how many there were."""
        count = len(self._items)
        self._items.clear()
        return count

    def __len__(self) -> int:
        return len(self._items)
