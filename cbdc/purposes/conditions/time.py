"""Conditions about when is paid: by ledger time, in Kazakhstan's one time zone.

The zone is a constant, UTC+5 as the whole country has it since 1 March 2024, and not a time zone database's word: every
replay of the log has to decide alike on every machine.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Final

from cbdc.formats import cbor
from cbdc.limits import MAX_TIME_S
from cbdc.purposes.conditions.base import Payment, Refusal
from cbdc.purposes.words import Phrase

ALMATY_OFFSET_S: Final = 5 * 3600
_ALMATY: Final = timezone(timedelta(seconds=ALMATY_OFFSET_S))
DAY_MINUTES: Final = 24 * 60
DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_EPOCH_WEEKDAY: Final = 3
"""1 January 1970 was a Thursday."""


def local_day_and_minute(time_s: int) -> tuple[int, int]:
    """Weekday (0 is Monday) and minute of the day in Almaty."""
    days, seconds = divmod(time_s + ALMATY_OFFSET_S, 86_400)
    return (days + _EPOCH_WEEKDAY) % 7, seconds // 60


@dataclass(frozen=True, slots=True)
class After:
    """Not before this ledger time."""

    time_s: int

    def refuses(self, payment: Payment) -> Refusal | None:
        if payment.time_s >= self.time_s:
            return None
        return Refusal("after", Phrase("time", (show_time(payment.time_s),)), self.wants())

    def wants(self) -> Phrase:
        return Phrase("after", (show_time(self.time_s),))

    def to_cbor(self) -> cbor.Value:
        return ["after", self.time_s]


@dataclass(frozen=True, slots=True)
class Before:
    """Only before this ledger time."""

    time_s: int

    def refuses(self, payment: Payment) -> Refusal | None:
        if payment.time_s < self.time_s:
            return None
        return Refusal("before", Phrase("time", (show_time(payment.time_s),)), self.wants())

    def wants(self) -> Phrase:
        return Phrase("before", (show_time(self.time_s),))

    def to_cbor(self) -> cbor.Value:
        return ["before", self.time_s]


@dataclass(frozen=True, slots=True)
class Hours:
    """On these weekdays (0 is Monday), from one minute of the day until before another."""

    days: tuple[int, ...]
    from_minute: int
    to_minute: int

    def refuses(self, payment: Payment) -> Refusal | None:
        day, minute = local_day_and_minute(payment.time_s)
        if day in self.days and self.from_minute <= minute < self.to_minute:
            return None
        return Refusal("hours", Phrase("moment", (Phrase(DAYS[day]), show_minute(minute))), self.wants())

    def wants(self) -> Phrase:
        days = tuple(Phrase(DAYS[day]) for day in sorted(set(self.days)))
        return Phrase("hours", (Phrase("list", days), show_minute(self.from_minute), show_minute(self.to_minute)))

    def to_cbor(self) -> cbor.Value:
        return ["hours", [sorted(set(self.days)), self.from_minute, self.to_minute]]


def show_minute(minute: int) -> str:
    """``480 -> "08:00"``."""
    return f"{minute // 60:02d}:{minute % 60:02d}"


def show_time(time_s: int) -> str:
    """Date and time in Almaty, to the second; the last five hours of the year 9999 all look like their first."""
    local = datetime.fromtimestamp(min(time_s, MAX_TIME_S - ALMATY_OFFSET_S), _ALMATY)
    return local.strftime("%Y-%m-%d %H:%M:%S")
