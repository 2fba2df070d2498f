"""Calendar months in the time zone of the installation."""

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Self

from django.utils import timezone


@dataclass(frozen=True, order=True)
class Month:
    """One calendar month. Its name is "2026-10"."""

    year: int
    number: int

    @classmethod
    def of(cls, name: str) -> Self:
        """Raises ValueError where this names no month."""
        found = re.fullmatch(r"([2-9]\d{3})-(0[1-9]|1[0-2])", name, re.ASCII)
        if found is None:
            raise ValueError("A month is written as 2026-10.")
        return cls(int(found[1]), int(found[2]))

    @property
    def name(self) -> str:
        return f"{self.year}-{self.number:02}"

    @property
    def since(self) -> datetime:
        return datetime(self.year, self.number, 1, tzinfo=timezone.get_default_timezone())

    @property
    def until(self) -> datetime:
        """The beginning of the next month."""
        return self.back(-1).since

    def back(self, months: int) -> Self:
        """The month so many months before."""
        year, place = divmod(self.year * 12 + self.number - 1 - months, 12)
        return type(self)(year, place + 1)


def this_month() -> Month:
    now = timezone.localtime(timezone.now(), timezone.get_default_timezone())
    return Month(now.year, now.month)
