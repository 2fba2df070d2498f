"""The product's settings with a throw-away data folder."""

import os
import tempfile

os.environ.setdefault("DATA_DIR", tempfile.mkdtemp(prefix="cataract-tests-"))
os.environ.setdefault("SECRET_KEY", "only-for-tests-" + "x" * 50)

from cataract.settings import *  # noqa: F403

PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
STEP_UP_MINUTES = 720  # the tests of the step-up set their own
API_RATES = dict.fromkeys(API_RATES, "100000/min")  # noqa: F405  # tests of the limits set their own
# Chance is off unless a test is about it: every reader is blind, none is asked a second time at random, no patient is
# drawn for the stream that is always read, and the accurate model checks no sure answer.
REVIEW_AI_FIRST_RATE = REVIEW_SECOND_READ_RATE = 0.0
ALWAYS_READ_RATE, ALWAYS_READ_WEEKLY, ACCURATE_CHECK_RATE = 0.0, 0, 0.0
# Tests answer faster than anybody can look; the tests of the pace of readers set their own.
REVIEW_TOO_FAST_SECONDS = REVIEW_QUICK_SECONDS = REVIEW_SLIP_SECONDS = 0.0
STORAGES |= {  # noqa: F405
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}

# A file, as in the product, not memory: the live server of the browser tests answers in several threads, each on its
# own connection, and threads that share an in-memory database lock each other out without waiting. A test database
# need not survive a power cut.
if DATABASES["default"]["ENGINE"] == "cataract.core.sqlite":  # noqa: F405
    DATABASES["default"]["TEST"] = {"NAME": DATA_DIR / "test.sqlite3"}  # noqa: F405
    DATABASES["default"]["OPTIONS"]["init_command"] = "PRAGMA journal_mode=WAL; PRAGMA synchronous=OFF;"  # noqa: F405

# No hidden checks of readers between the cases of a test; the tests of the checks set their own rates.
REVIEW_CONTROL_RATE = REVIEW_REPEAT_RATE = 0.0
