"""Cheap pickling for the frozen records that verifying workers send back: a constructor call, no state dict."""

from __future__ import annotations


class Compact:
    """Mixin for frozen, slotted dataclasses whose fields are all constructor arguments."""

    __slots__ = ()
    __match_args__: tuple[str, ...] = ()

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), tuple([getattr(self, name) for name in self.__match_args__])
