"""Questions whose answers are kept, by what they mean: the nearest earlier one of a group. Pure but for its memory."""

from __future__ import annotations

from collections import OrderedDict

import numpy as np

from trunkline.cache import CacheKey
from trunkline_router.classifiers.weights import Tensor
from trunkline_router.deciding.wording import Essentials

Place = tuple[CacheKey, CacheKey]
"""A group of questions, and one of them."""
_SMALLEST = 1
"""Most groups are one user's."""


class Vectors:
    """At most `most` of all groups together, of some 1.5 kB each; the oldest make room. Points have length one."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._groups: dict[CacheKey, _Group] = {}
        self._order: OrderedDict[Place, None] = OrderedDict()

    def __len__(self) -> int:
        return len(self._order)

    def __contains__(self, group: CacheKey) -> bool:
        return group in self._groups

    def add(self, group: CacheKey, key: CacheKey, essentials: Essentials, point: Tensor) -> None:
        self.discard(group, key)
        self._groups.setdefault(group, _Group(point.size)).add(key, essentials, point)
        self._order[group, key] = None
        if len(self._order) > self._most:
            self.discard(*next(iter(self._order)))

    def discard(self, group: CacheKey, key: CacheKey) -> None:
        if (group, key) in self._order:
            del self._order[group, key]
            self._groups[group].discard(key)
            if not self._groups[group].keys:
                del self._groups[group]

    def nearest(
        self, group: CacheKey, essentials: Essentials, point: Tensor, threshold: float
    ) -> tuple[CacheKey, float] | None:
        """The one with the greatest cosine from `threshold` on, of those whose essentials are the same."""
        found = self._groups.get(group)
        return found.nearest(essentials, point, threshold) if found else None


class _Group:
    def __init__(self, features: int) -> None:
        self.keys: list[CacheKey] = []
        self._essentials: list[Essentials] = []
        self._points = np.empty((_SMALLEST, features), dtype=np.float32)

    def add(self, key: CacheKey, essentials: Essentials, point: Tensor) -> None:
        if len(self.keys) == len(self._points):
            self._points = np.concatenate([self._points, np.empty_like(self._points)])
        self._points[len(self.keys)] = point
        self.keys.append(key)
        self._essentials.append(essentials)

    def discard(self, key: CacheKey) -> None:
        """The last one takes its place."""
        place, newest = self.keys.index(key), len(self.keys) - 1
        self._points[place] = self._points[newest]
        self.keys[place], self._essentials[place] = self.keys[newest], self._essentials[newest]
        self.keys.pop()
        self._essentials.pop()

    def nearest(self, essentials: Essentials, point: Tensor, threshold: float) -> tuple[CacheKey, float] | None:
        cosines = self._points[: len(self.keys)] @ point
        for place in sorted(np.flatnonzero(cosines >= threshold).tolist(), key=lambda each: -cosines[each]):
            if self._essentials[place] == essentials:
                return self.keys[place], float(min(1.0, cosines[place]))
        return None
