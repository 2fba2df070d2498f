"""The rules of acceptance: what a site's own labels must show before a release answers alone there.

Each side, "cataract" and "normal", is accepted by itself:

- normal: of all eyes with a cataract, at most `limit` would leave as "normal" without a person;
- cataract: of the automatic "cataract" answers, at most `limit` are wrong.

A side is accepted once the site's labels show this with the confidence settings.AUTO_CONFIDENCE, by a test that may be
looked at after every label (cataract.ml.statistics.sequential). With no error at 95 % that takes 327 eyes with a
cataract for a limit of 1 %, and 64 answers for one of 5 %; the page says what each error adds.
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import Final

from django.conf import settings

from cataract.ml.labels import Decision

SIDES: Final = (Decision.CATARACT.value, Decision.NORMAL.value)

# However loose the limits are set: no acceptance on fewer eyes with a cataract, or fewer automatic "cataract" answers.
LEAST: Final[Mapping[str, int]] = {Decision.CATARACT: 50, Decision.NORMAL: 100}

# Withdraw when the newest labels speak this strongly for a share of errors above the limit. A false alarm then comes
# on average after at least this many of them, and hardly ever where the share is a third of the limit.
ALARM: Final = 50.0

# A photo that nobody has read after this time is left out; a younger one holds the count until it is read.
WAITS_FOR: Final = timedelta(days=30)


def limit(side: str) -> float:
    """The largest share of errors of this side."""
    largest: float = settings.AUTO_MAX_MISSED if side == Decision.NORMAL else settings.AUTO_MAX_FALSE_ALARMS
    return largest


def alpha() -> float:
    """The chance of accepting a side that breaks its promise."""
    return 1.0 - float(settings.AUTO_CONFIDENCE)


def needs_acceptance() -> bool:
    """Whether people decide until a side is accepted; else the release's own band decides from the first photo."""
    return bool(settings.AUTO_ANSWERS == "accepted")
