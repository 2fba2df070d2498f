"""All settings. Every value that differs between installations is a typed environment variable.

There are two ways to run (docs/decisions/0001-embedded-default.md):

* embedded, the default of `make run`: SQLite, a private Valkey or Redis on a unix socket, all state in `DATA_DIR`;
* production (`PRODUCTION=1`): PostgreSQL, Redis and every secret come from the environment and have no default.

The comment above each `env` call describes the variable, and `make docs` copies it to docs/settings.md. A final
"Default: ..." states a default that is computed.
"""

import contextlib
import logging
import os
import secrets
import tempfile
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import environ
from celery.schedules import crontab
from django.core.exceptions import ImproperlyConfigured

from cataract.core import logs
from cataract.core.hosts import in_address
from cataract.core.processes import available_cores


class _Env(environ.Env):  # type: ignore[misc]
    def get_value(self, var: str, *args: Any, **kwargs: Any) -> Any:
        """The value of a variable; names it when its text cannot be read, which the library does not."""
        try:
            return super().get_value(var, *args, **kwargs)
        except (ValueError, TypeError) as error:
            raise ImproperlyConfigured(f"{var} has a value that cannot be used: {error}") from None


env = _Env()

os.umask(0o077)  # what any process of this system writes is for no other account of the host

BASE_DIR = Path(__file__).resolve().parent.parent
_CHECKOUT = (BASE_DIR / "manage.py").is_file()  # else an installed wheel: setup.py
_FILES = BASE_DIR if _CHECKOUT else BASE_DIR / "cataract" / "files"

# Folder of photos, releases, batches and, in the embedded default, the database and the broker. Default: `data` beside
# `manage.py`; of an installed package, in the working directory.
DATA_DIR = (
    Path(env.str("DATA_DIR", default=str((BASE_DIR if _CHECKOUT else Path.cwd()) / "data"))).expanduser().resolve()
)
DEMO = (DATA_DIR / "demo.json").is_file()  # `manage.py demo` made this folder: every page says so
# 1 makes secrets and servers required and switches on TLS-only cookies, the redirect to TLS and HSTS.
PRODUCTION = env.bool("PRODUCTION", default=False)
# 1 shows settings and source code on error pages. Never set it where others can reach the system.
DEBUG = env.bool("DEBUG", default=False)
# Port of `make run`. Without PRODUCTION it is also part of the cookie names, so two systems on one host do not clash.
PORT = env.int("PORT", default=8000)


def _required(name: str) -> str:
    value: str = env.str(name, default="")
    if not value:
        raise ImproperlyConfigured(f"{name} must be set in the environment when PRODUCTION=1.")
    return value


def _embedded_secret_key() -> str:
    """The key of this data folder, created once and readable by its owner only. Written whole or not at all."""
    path = DATA_DIR / "secret.key"
    if not path.exists():
        DATA_DIR.mkdir(parents=True, exist_ok=True, mode=0o700)
        with tempfile.NamedTemporaryFile("w", dir=DATA_DIR, prefix=".secret.") as file:  # mode 0600
            file.write(secrets.token_urlsafe(64))
            file.flush()
            os.fsync(file.fileno())
            with contextlib.suppress(FileExistsError):  # another process created it first; use that one
                os.link(file.name, path)
    key = path.read_text().strip()
    if not key:
        raise ImproperlyConfigured(
            f"{path} is empty. Restore it from a backup: without its key all API keys end and everybody signs in "
            "again. If there is no backup, or the system is new, delete the file; the next start makes another key."
        )
    return key


# Signs sessions and the digests of API keys. Default: a random key in `DATA_DIR`, created on first use.
SECRET_KEY = _required("SECRET_KEY") if PRODUCTION else env.str("SECRET_KEY", default="") or _embedded_secret_key()
# Earlier values of SECRET_KEY that are still accepted while the key is rotated.
SECRET_KEY_FALLBACKS = env.list("SECRET_KEY_FALLBACKS", default=[])
# Host names that the system serves.
ALLOWED_HOSTS = (
    _required("ALLOWED_HOSTS").split(",")
    if PRODUCTION
    else env.list("ALLOWED_HOSTS", default=["localhost", "127.0.0.1", "[::1]"])
)
# Other origins that may submit forms, with their scheme: `https://clinic.example`.
CSRF_TRUSTED_ORIGINS = env.list("CSRF_TRUSTED_ORIGINS", default=[])

# Path below which a proxy serves the system: `/screening`. Empty: the root of its host.
SUB_PATH = env.str("SUB_PATH", default="")
SUB_PATH = f"/{SUB_PATH.strip('/')}" if SUB_PATH.strip("/") else ""
FORCE_SCRIPT_NAME = SUB_PATH or None  # begins every address that the system makes

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django_htmx",
    "csp",
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "allauth.socialaccount",
    "allauth.socialaccount.providers.openid_connect",
    "allauth.usersessions",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "django_filters",
    "django_structlog",
    "cataract.apps.CataractConfig",
    "predictions",
    "review",
    "training",
]

MIDDLEWARE = [
    "cataract.core.http.observation.Observe",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "csp.middleware.CSPMiddleware",
    "cataract.core.http.middleware.BoundedBody",
    "cataract.core.http.middleware.leave_nothing_behind",
    "cataract.core.http.middleware.ask_for_no_device",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "cataract.core.http.middleware.BoundedAnonymousBody",
    "cataract.core.http.audit.name_the_actor",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "cataract.accounts.middleware.SessionLimits",
    "cataract.accounts.middleware.UnfinishedAccounts",
]

ROOT_URLCONF = "cataract.urls"
WSGI_APPLICATION = "cataract.wsgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [_FILES / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "cataract.core.http.context_processors.product",
                "cataract.frame.context_processors.frame",
                "predictions.stops.context_processors.ai_stops",
            ],
        },
    },
]

# Databases -----------------------------------------------------------------------------------------------------------
# How long a request waits for a database lock before the answer is 503.
DATABASE_WAIT_SECONDS = env.int("DATABASE_WAIT_SECONDS", default=20)
# Database: `postgres://user:password@host:5432/name`. Default: SQLite in `DATA_DIR`.
if PRODUCTION or env.str("DATABASE_URL", default=""):
    DATABASES = {"default": env.db_url_config(_required("DATABASE_URL"))}
    DATABASES["default"].update(CONN_MAX_AGE=60, CONN_HEALTH_CHECKS=True)
    if DATABASES["default"]["ENGINE"].endswith("postgresql"):
        wait = f"-c lock_timeout={DATABASE_WAIT_SECONDS}s -c idle_in_transaction_session_timeout=60s"
        # jit: compiling a query takes longer than running it, and PostgreSQL would do so for each page of the review.
        # random_page_cost: no disk turns. With the default PostgreSQL reads a million rows where an index gives ten.
        plans = "-c jit=off -c random_page_cost=1.1"
        DATABASES["default"].setdefault("OPTIONS", {}).setdefault("options", f"{wait} {plans}")
else:
    DATABASES = {
        "default": {
            "ENGINE": "cataract.core.sqlite",  # Django's, with a fair queue of writers
            "NAME": DATA_DIR / "db.sqlite3",
            "OPTIONS": {
                # IMMEDIATE: a deferred read-then-write fails with SQLITE_BUSY_SNAPSHOT, regardless of the timeout.
                # FULL: an acknowledged upload survives a power cut.
                "transaction_mode": "IMMEDIATE",
                "timeout": DATABASE_WAIT_SECONDS,
                "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;",
            },
        }
    }
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# Broker and tasks ----------------------------------------------------------------------------------------------------
# Celery's broker and the counters of rate limits: `redis://:password@host:6379/0`. Default: a private server in
# `DATA_DIR`.
EMBEDDED_BROKER = not PRODUCTION and not env.str("REDIS_URL", default="")
BROKER_SOCKET = DATA_DIR / "run" / "broker.sock"
CELERY_BROKER_URL = (
    _required("REDIS_URL") if PRODUCTION else env.str("REDIS_URL", default=f"redis+socket://{BROKER_SOCKET}")
)
CELERY_BROKER_TRANSPORT_OPTIONS = {
    # Longer than the longest task; otherwise a long training run starts twice.
    "visibility_timeout": 6 * 3600,
    "unacked_restore_interval": 10,
    "unacked_restore_throttle": 1,
    # A stopped broker accepts connections but never answers. Without these timeouts an upload would hang.
    "socket_timeout": 2,
    "socket_connect_timeout": 2,
    "retry_on_timeout": False,
}
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_TASK_PUBLISH_RETRY_POLICY = {"max_retries": 1, "interval_start": 0, "interval_step": 0.1, "interval_max": 0.1}
CELERY_TASK_IGNORE_RESULT = True  # results are database rows; a message only says that there is work
CELERY_TASK_SERIALIZER = "json"
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_TASK_DEFAULT_QUEUE = "default"
CELERY_TASK_ROUTES = {
    "predictions.webhooks.tasks.send_webhooks": {"queue": "default"},
    "predictions.shadow.tasks.score_in_shadow": {"queue": "default"},  # must not delay the photos that users wait for
    "predictions.embeddings.tasks.sweep_embeddings": {"queue": "default"},
    "predictions.photos.tasks.compare_photos": {"queue": "default"},
    "predictions.drift.tasks.watch_for_drift": {"queue": "default"},
    "predictions.answering.tasks.*": {"queue": "predict"},
    "predictions.batches.tasks.*": {"queue": "predict"},
    "training.runs.tasks.run_training": {"queue": "train"},
    "training.label_checks.tasks.check_labels": {"queue": "train"},
    "training.imports.tasks.run_import": {"queue": "train"},
    "training.encoders.tasks.make_encoder": {"queue": "train"},
}
CELERY_TIMEZONE = "UTC"
# In memory: every entry below is due within minutes, and the default scheduler writes a pickle file.
CELERY_BEAT_SCHEDULER = "celery.beat:Scheduler"
CELERY_BEAT_SCHEDULE = {
    "sweep-predictions": {"task": "predictions.answering.tasks.sweep", "schedule": 10.0, "options": {"expires": 9}},
    "sweep-batches": {"task": "predictions.batches.tasks.sweep_batches", "schedule": 10.0, "options": {"expires": 9}},
    "score-in-shadow": {
        "task": "predictions.shadow.tasks.score_in_shadow",
        "schedule": 10.0,
        "options": {"expires": 9},
    },
    "embed-photos": {
        "task": "predictions.embeddings.tasks.sweep_embeddings",
        "schedule": 6.0,
        "options": {"expires": 5},
    },
    "compare-photos": {
        "task": "predictions.photos.tasks.compare_photos",
        "schedule": 6.0,
        "options": {"expires": 5},
    },
    "watch-for-drift": {
        "task": "predictions.drift.tasks.watch_for_drift",
        "schedule": 60.0,
        "options": {"expires": 59},
    },
    "send-webhooks": {"task": "predictions.webhooks.tasks.send_webhooks", "schedule": 5.0, "options": {"expires": 4}},
    "mail-news": {"task": "predictions.news.tasks.mail_news", "schedule": 30.0, "options": {"expires": 29}},
    "sweep-encoders": {
        "task": "training.encoders.tasks.sweep_encoders",
        "schedule": 60.0,
        "options": {"expires": 59},
    },
    "sweep-imports": {"task": "training.imports.tasks.sweep_imports", "schedule": 30.0, "options": {"expires": 29}},
    "score-look-backs": {
        "task": "review.lookback.tasks.sweep_look_backs",
        "schedule": 6.0,
        "options": {"expires": 5},
    },
    "judge-acceptance": {
        "task": "review.acceptance.tasks.judge_sites",
        "schedule": 120.0,
        "options": {"expires": 119},
    },
    "label-by-outcomes": {
        "task": "review.outcomes.tasks.label_photos",
        "schedule": 300.0,
        "options": {"expires": 299},
    },
    "apply-retention": {
        "task": "predictions.retention.tasks.apply_retention",
        "schedule": crontab(hour=2, minute=30),
        "options": {"expires": 3600},
    },
    "purge-deleted-photos": {
        "task": "predictions.retention.tasks.sweep",
        "schedule": 300.0,
        "options": {"expires": 299},
    },
    "forget-deleted-photos": {
        "task": "training.forgetting.tasks.forget",
        "schedule": 600.0,
        "options": {"expires": 599},
    },
    "write-quality-notes": {
        "task": "review.feedback.tasks.write_notes",
        "schedule": crontab(day_of_week="mon,tue", hour=4, minute=0),
        "options": {"expires": 3600},
    },
    "open-review-cases": {"task": "review.queue.tasks.sweep", "schedule": 20.0, "options": {"expires": 19}},
    "check-training-policy": {
        "task": "training.triggers.tasks.check_policy",
        "schedule": 60.0,
        "options": {"expires": 59},
    },
    "log-drift": {"task": "training.triggers.tasks.log_drift", "schedule": 300.0, "options": {"expires": 299}},
    "sweep-notices": {
        "task": "cataract.ops.notices.tasks.sweep_notices",
        "schedule": 300.0,
        "options": {"expires": 299},
    },
    "note-signs-of-life": {
        "task": "cataract.ops.signs_of_life.note_signs_of_life",
        "schedule": 60.0,
        "options": {"expires": 59},
    },
    "examine-system": {
        "task": "cataract.status.tasks.examine_system",
        "schedule": crontab(hour=4, minute=15),
        "options": {"expires": 3600},
    },
    "prepare-overview": {
        "task": "cataract.ops.overview.tasks.prepare_overview",
        "schedule": 600.0,
        "options": {"expires": 599},
    },
    "seal-audit": {"task": "cataract.ops.audit.tasks.seal_audit", "schedule": 5.0, "options": {"expires": 4}},
    "verify-audit": {
        "task": "cataract.ops.audit.tasks.verify_audit",
        "schedule": crontab(hour=3, minute=30),
        "options": {"expires": 3600},
    },
    "refresh-statistics": {
        "task": "cataract.ops.statistics.refresh_statistics",
        "schedule": 3600.0,
        "options": {"expires": 3599},
    },
    "sweep-sessions": {
        "task": "cataract.accounts.tasks.sweep_sessions",
        "schedule": 3600.0,
        "options": {"expires": 3599},
    },
    "back-up": {
        "task": "cataract.ops.backup.tasks.back_up_nightly",
        "schedule": crontab(hour=2, minute=30),
        "options": {"expires": 3600},
    },
    "sweep-training": {"task": "training.runs.tasks.sweep", "schedule": 15.0, "options": {"expires": 14}},
}

# Photos and releases -------------------------------------------------------------------------------------------------
PHOTO_DIR = DATA_DIR / "photos"
RELEASE_DIR = DATA_DIR / "releases"
STARTER_DIR = BASE_DIR / "cataract" / "starter"
# Largest photo, in bytes.
MAX_UPLOAD_BYTES = env.int("MAX_UPLOAD_BYTES", default=20_000_000)
# Largest photo, in pixels. Read from the file's header, before the photo is decoded.
MAX_UPLOAD_PIXELS = env.int("MAX_UPLOAD_PIXELS", default=64_000_000)
# 1 accepts single photos inside DICOM files (docs/bad-input.md); 0 refuses all DICOM.
ACCEPT_DICOM = env.bool("ACCEPT_DICOM", default=True)
FILE_UPLOAD_MAX_MEMORY_SIZE = MAX_UPLOAD_BYTES
# Keeps at most the limit in memory and writes no temporary file.
FILE_UPLOAD_HANDLERS = ["predictions.photos.uploads.BoundedUploadHandler"]
DATA_UPLOAD_MAX_MEMORY_SIZE = 2_500_000
MAX_BODY_BYTES = 100_000_000  # of a request that is not a batch; a larger one is refused by its header, unread
# Bytes that one user may send in a day, in photos and batches, by pages and API together. Above: 429.
MAX_BYTES_PER_DAY = env.int("MAX_BYTES_PER_DAY", default=20_000_000_000)
# Child processes that decode photos. 0 decodes them in the web process. Default: the number of cores that this process
# may use.
DECODER_PROCESSES = env.int("DECODER_PROCESSES", default=available_cores())
# Days that deleted photos stay in the trash, where they can be restored, before they are purged.
TRASH_DAYS = env.int("TRASH_DAYS", default=30)
BATCH_DIR = DATA_DIR / "batches"  # files that were sent and are not processed yet
# Largest batch, in bytes; applies to what is sent and again to what it unpacks to.
MAX_BATCH_BYTES = env.int("MAX_BATCH_BYTES", default=2_000_000_000)
# Most files in one archive.
MAX_BATCH_FILES = env.int("MAX_BATCH_FILES", default=10_000)
DATA_UPLOAD_MAX_NUMBER_FILES = 100  # in one form; larger batches come as an archive

# Answering photos ----------------------------------------------------------------------------------------------------
# ONNX Runtime's execution providers, in order of preference.
INFERENCE_PROVIDERS = env.list("INFERENCE_PROVIDERS", default=["CPUExecutionProvider"])
# ONNX Runtime's threads in each process.
INFERENCE_THREADS = env.int("INFERENCE_THREADS", default=1)
# Where uploads are answered: `web`, inside the request; `celery`, by the workers of the queue `predict`; `ray`, by
# replicas of Ray Serve (`manage.py serve`).
INFERENCE = env.str("INFERENCE", default="web")
INFERENCE_WAIT_SECONDS = 1.0  # how long an upload waits for a worker's answer before it gets 202
REPLICA_WAIT_SECONDS = 3.0  # how long an upload waits for a replica's answer before a worker takes over
# Port of Ray Serve.
RAY_PORT = env.int("RAY_PORT", default=8100)
# Where web processes find Ray Serve. Default: this host, at RAY_PORT.
RAY_URL = env.str("RAY_URL", default=f"http://127.0.0.1:{RAY_PORT}")
# Address at which `manage.py serve` has Ray Serve listen. It knows no passwords: only web processes may reach it.
RAY_HOST = env.str("RAY_HOST", default="127.0.0.1")
# A running Ray cluster, such as `auto`. Default: `manage.py serve` starts Ray on its host.
RAY_ADDRESS = env.str("RAY_ADDRESS", default="")
# Fewest replicas of Ray Serve.
RAY_MIN_REPLICAS = env.int("RAY_MIN_REPLICAS", default=1)
# Most replicas of Ray Serve. Default: the number of cores that this process may use.
RAY_MAX_REPLICAS = env.int("RAY_MAX_REPLICAS", default=available_cores())
# Photos that wait in each replica before Ray Serve starts another one.
RAY_QUEUE_PER_REPLICA = env.int("RAY_QUEUE_PER_REPLICA", default=4)
# Cores that Ray reserves for each replica.
RAY_REPLICA_CPUS = env.float("RAY_REPLICA_CPUS", default=1.0)
# GPUs that Ray reserves for each replica; a fraction shares one. INFERENCE_PROVIDERS names what computes on them.
RAY_REPLICA_GPUS = env.float("RAY_REPLICA_GPUS", default=0.0)
# Most photos that a replica computes together, where the release allows it. Above 1 pays with GPUs and large encoders.
RAY_BATCH_SIZE = env.int("RAY_BATCH_SIZE", default=1)
# Web processes of `make run`. Elsewhere use granian's `--workers`.
WEB_PROCESSES = env.int("WEB_PROCESSES", default=1)
# Threads of each web process of `make run`; a slow sender occupies one. Elsewhere use granian's `--blocking-threads`.
WEB_THREADS = env.int("WEB_THREADS", default=32)
# Worker processes of `make run`: one more than the training runs that should run at once. Elsewhere use Celery's
# `--concurrency`.
WORKER_PROCESSES = env.int("WORKER_PROCESSES", default=3)
# How a photo is answered if the request does not choose: `cascade`, `fast`, `accurate` or `always`.
CASCADE_MODE = env.str("CASCADE_MODE", default="cascade")
# Smallest share of sure answers that a clinician reads as well; up to four times as many near doubt. Above 0.
AUDIT_RATE = env.float("AUDIT_RATE", default=0.05)
# Who decides on the photos of a site until its own labels have shown that the AI may answer alone: `accepted`, people;
# `release`, the release's own band from the first photo. Default: `accepted` with PRODUCTION, else `release`.
AUTO_ANSWERS = env.str("AUTO_ANSWERS", default="accepted" if PRODUCTION else "release")
# Share of patients whose photos clinicians always read, whatever the AI says; drawn before any answer.
ALWAYS_READ_RATE = env.float("ALWAYS_READ_RATE", default=0.03)
# Photos of such patients wanted each week. Where the last week was too small for that, more patients are drawn. 0: no
# minimum.
ALWAYS_READ_WEEKLY = env.int("ALWAYS_READ_WEEKLY", default=20)
# Share of the answers that the fast model gives alone which the accurate model checks. Where it disagrees, a clinician
# reads the photo.
ACCURATE_CHECK_RATE = env.float("ACCURATE_CHECK_RATE", default=0.05)
# Share of these checks that may disagree before admins get a notice.
ACCURATE_CHECK_LIMIT = env.float("ACCURATE_CHECK_LIMIT", default=0.05)
# False alarms of drift that may be expected in a year, of all photos, sites and devices together. Lower finds drift
# later.
DRIFT_FALSE_ALARMS = env.float("DRIFT_FALSE_ALARMS", default=0.5)
# What automatic answers promise at a site that accepts them, and of a newly trained release where the variable is set:
# at most this share of all cataracts is answered "normal" without a clinician. A retraining keeps what the release that
# it starts from promises, where no variable is set.
AUTO_MAX_MISSED = env.float("AUTO_MAX_MISSED", default=0.01)
# And at most this share of the answers "cataract" given without a clinician is wrong.
AUTO_MAX_FALSE_ALARMS = env.float("AUTO_MAX_FALSE_ALARMS", default=0.05)
# The confidence of each of the two limits.
AUTO_CONFIDENCE = env.float("AUTO_CONFIDENCE", default=0.95)
# The share of eyes with cataract where a release will serve: probabilities and AUTO_MAX_FALSE_ALARMS are meant for it.
# 0: as the release that the retraining starts from.
AUTO_PREVALENCE = env.float("AUTO_PREVALENCE", default=0.0)
AUTO_PROMISE = ("AUTO_MAX_MISSED", "AUTO_MAX_FALSE_ALARMS", "AUTO_CONFIDENCE", "AUTO_PREVALENCE")
AUTO_STATED = tuple(name for name in AUTO_PROMISE if name in env.ENVIRON)
PREDICTION_ATTEMPTS = 3
# After this many seconds without a sign of life from a worker, another one takes over its photo.
PREDICTION_LEASE_SECONDS = env.int("PREDICTION_LEASE_SECONDS", default=60)
INLINE_PREDICTION_SECONDS = 10  # how long an upload waits for its answer before a worker takes over
# Photos that may wait for an answer. Above this, uploads get 503 and `Retry-After`.
MAX_QUEUED_PREDICTIONS = env.int("MAX_QUEUED_PREDICTIONS", default=10_000)
# 1 lets webhooks call addresses inside this network, and over plain HTTP: for tests and for receivers on this host.
WEBHOOK_ALLOW_PRIVATE = env.bool("WEBHOOK_ALLOW_PRIVATE", default=False)
# Tests only: 1 lets FAILPOINT kill the process at a named point. `check --deploy` refuses it.
FAULT_INJECTION = env.bool("FAULT_INJECTION", default=False)

# Review --------------------------------------------------------------------------------------------------------------
REVIEW_LEASE_SECONDS = 600
# Share of cases that a second reader gets at random. Doubtful and disputed cases always get one.
REVIEW_SECOND_READ_RATE = env.float("REVIEW_SECOND_READ_RATE", default=0.10)
# Share of cases that show the AI's answer first, to measure its influence on readers. 0 keeps every reader blind.
REVIEW_AI_FIRST_RATE = env.float("REVIEW_AI_FIRST_RATE", default=0.10)
# Share of hidden control cases, whose result is known.
REVIEW_CONTROL_RATE = env.float("REVIEW_CONTROL_RATE", default=0.04)
# Share of hidden repeats, which the same reader has read before.
REVIEW_REPEAT_RATE = env.float("REVIEW_REPEAT_RATE", default=0.02)
REVIEW_REPEAT_DAYS = 14
# Number of cases in the qualifying set that a new reader passes before the first real case. 0: none is asked for.
REVIEW_QUALIFYING_CASES = env.int("REVIEW_QUALIFYING_CASES", default=0)
# Share of right answers that passes the qualifying set.
REVIEW_PASS_MARK = env.float("REVIEW_PASS_MARK", default=0.85)
# A reader is paused after this many wrong answers among the last `REVIEW_PAUSE_OF` control cases. 0: nobody is paused.
# With 3 of 10, a reader who is right in 95 % of them is that bad in 1.2 % of such windows, one right in 70 % in 62 %.
REVIEW_PAUSE_FAILED = env.int("REVIEW_PAUSE_FAILED", default=3)
# Number of a reader's last control cases that count for a pause.
REVIEW_PAUSE_OF = env.int("REVIEW_PAUSE_OF", default=10)
# Resolved cases in a week from which a reader gets a private quality note about it.
REVIEW_NOTE_CASES = env.int("REVIEW_NOTE_CASES", default=20)
# Hours in which readers answer, as agreed with the clinics. Older cases come first, and admins get a notice.
REVIEW_AGREED_HOURS = env.float("REVIEW_AGREED_HOURS", default=24)
# The same for urgent cases: no answer of the AI, requested, or of a priority up to 10. The worklist shows what is late.
REVIEW_URGENT_HOURS = env.float("REVIEW_URGENT_HOURS", default=4)
# The same for the next ones: disagreement, another finding, or of a priority up to 20.
REVIEW_SOON_HOURS = env.float("REVIEW_SOON_HOURS", default=12)
# For this long after a case is painted no answer is taken, and a faster one is marked and never trains. 0: no limit.
REVIEW_TOO_FAST_SECONDS = env.float("REVIEW_TOO_FAST_SECONDS", default=0.5)
# A faster answer is marked, and once a session the reader is asked whether to keep it. 0: never.
REVIEW_QUICK_SECONDS = env.float("REVIEW_QUICK_SECONDS", default=1.5)
# Undoing an answer this soon was a slip, and the case is still blind to its reader; until then the AI's is not shown.
REVIEW_SLIP_SECONDS = env.float("REVIEW_SLIP_SECONDS", default=4)
# A later outcome speaks about photos of the same eye taken at most this many days before it.
OUTCOME_WINDOW_DAYS = env.int("OUTCOME_WINDOW_DAYS", default=90)

# Training ------------------------------------------------------------------------------------------------------------
SPLIT_FRACTIONS = {"train": 0.6, "calibration": 0.2, "test": 0.2}
# After this many seconds without a heartbeat a training run counts as interrupted. The heartbeat is an eighth of it.
TRAINING_SILENT_SECONDS = env.int("TRAINING_SILENT_SECONDS", default=40)
# How often an interrupted training run resumes by itself: after a restart, an upgrade or a lost worker. Then a person
# decides.
TRAINING_RESUMES = env.int("TRAINING_RESUMES", default=3)
# Where the accurate model is trained: `auto` is a CUDA device where torch finds one, else the processor; `cpu`; `cuda`.
TRAINING_DEVICE = env.str("TRAINING_DEVICE", default="auto")
# Longest training run, in hours. The accurate model's training ends in time for the rest of the run. Keep it below 6:
# after that the broker delivers the task again.
TRAINING_MAX_HOURS = env.float("TRAINING_MAX_HOURS", default=5)
# Most memory for one training run, in gigabytes. 0 means three quarters of the machine's memory, divided by the number
# of runs when it starts.
TRAINING_MAX_GIGABYTES = env.float("TRAINING_MAX_GIGABYTES", default=0)
# 1 allows several runs to train the same model at once; 0 allows one run for the fast model and one for the accurate.
TRAINING_PARALLEL = env.bool("TRAINING_PARALLEL", default=False)
# 1 needs two admins for a promotion: one requests it, another confirms it or tries it A/B first
# (docs/change-control.md).
PROMOTION_NEEDS_TWO = env.bool("PROMOTION_NEEDS_TWO", default=False)

# MLflow: only training/tracking/ talks to it -------------------------------------------------------------------------
# Address on which MLflow listens under `make run`. MLflow asks nobody for a password: let others reach it only through
# a proxy that does.
MLFLOW_HOST = env.str("MLFLOW_HOST", default="127.0.0.1")
# Port of MLflow's pages under `make run`. Default: `PORT` + 1000.
MLFLOW_PORT = env.int("MLFLOW_PORT", default=PORT + 1000)
# Host names and addresses, separated by commas and without ports, by which browsers on other machines open MLflow's
# pages under `make run`. MLflow answers 403 to any other.
MLFLOW_ALLOWED_HOSTS = env.list("MLFLOW_ALLOWED_HOSTS", default=[])
# Where training runs are recorded. Default: SQLite in `DATA_DIR`.
MLFLOW_TRACKING_URI = env.str("MLFLOW_TRACKING_URI", default=f"sqlite:///{DATA_DIR / 'mlflow' / 'mlflow.db'}")
MLFLOW_ARTIFACT_DIR = DATA_DIR / "mlflow" / "artifacts"
_MLFLOW_NAME = (
    MLFLOW_ALLOWED_HOSTS[0]
    if MLFLOW_ALLOWED_HOSTS
    else {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(MLFLOW_HOST, in_address(MLFLOW_HOST))
)
# Address of MLflow's pages that the admin links to. Default: the first of `MLFLOW_ALLOWED_HOSTS`, else `MLFLOW_HOST`,
# at `MLFLOW_PORT`.
MLFLOW_UI_URL = env.str("MLFLOW_UI_URL", default="") or f"http://{_MLFLOW_NAME}:{MLFLOW_PORT}"

# Web -----------------------------------------------------------------------------------------------------------------
STATIC_URL = "static/"
STATICFILES_DIRS = [_FILES / "static"]
# Where `collectstatic` puts the static files. The container image sets it. Default: `static` in `DATA_DIR`.
STATIC_ROOT = Path(env.str("STATIC_ROOT", default=str(DATA_DIR / "static")))
STORAGES: dict[str, dict[str, Any]] = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"},
}
# Bucket of an S3-compatible store for photos, releases and the files of batches; hosts then need no shared folder.
# Default: folders in DATA_DIR. Keys: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or what else boto3 finds.
S3_BUCKET = env.str("S3_BUCKET", default="")
# Address of an S3-compatible store. Default: Amazon's.
S3_ENDPOINT_URL = env.str("S3_ENDPOINT_URL", default="")
# What the names of all objects begin with, where several systems share a bucket.
S3_PREFIX = env.str("S3_PREFIX", default="")
if S3_BUCKET:
    from botocore.config import Config

    STORAGES["shared"] = {
        "BACKEND": "storages.backends.s3.S3Storage",
        "OPTIONS": {
            "bucket_name": S3_BUCKET,
            "endpoint_url": S3_ENDPOINT_URL or None,
            "location": S3_PREFIX,
            "file_overwrite": True,
            "default_acl": None,  # private, as the bucket is
            "client_config": Config(connect_timeout=3, read_timeout=10, retries={"total_max_attempts": 3}),
        },
    }
WHITENOISE_MANIFEST_STRICT = False
WHITENOISE_KEEP_ONLY_HASHED_FILES = True
# Source maps are large, and only developer tools request them.
WHITENOISE_SKIP_COMPRESS_EXTENSIONS = ("gif", "gz", "ico", "jpeg", "jpg", "map", "png", "webp", "woff", "woff2", "zip")
LANGUAGE_CODE = "en"
# Time zone of the pages. Times are stored in UTC.
TIME_ZONE = env.str("TIME_ZONE", default="UTC")
USE_I18N = True
FORMAT_MODULE_PATH = "cataract.formats"
USE_TZ = True

LOGIN_URL = "account_login"
LOGIN_REDIRECT_URL = "home"
LOGOUT_REDIRECT_URL = "account_login"
AUTHENTICATION_BACKENDS = ["cataract.core.permissions.PermissionsBackend"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "cataract.accounts.passwords.EndsAccess"},
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 12}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
# Sign-in, second factors and the list of sessions are django-allauth's. Nobody signs up, and attempts are counted over
# all processes by cataract/accounts/attempts.py, not by allauth in each of them.
ACCOUNT_ADAPTER = "cataract.accounts.adapter.AccountAdapter"
ACCOUNT_LOGIN_METHODS = {"username"}
ACCOUNT_SIGNUP_FIELDS = ["username*", "password1*"]
ACCOUNT_EMAIL_VERIFICATION = "none"
ACCOUNT_RATE_LIMITS = False
ACCOUNT_SESSION_REMEMBER = False
ACCOUNT_PRESERVE_USERNAME_CASING = True
ACCOUNT_FORMS = {"change_password": "cataract.accounts.forms.ChangePasswordForm"}
# Roles whose people need a second factor; superusers need one if any role does. Default: `admin` with PRODUCTION, else
# none.
SECOND_FACTOR_ROLES = env.list("SECOND_FACTOR_ROLES", default=["admin"] if PRODUCTION else [])
# Minutes after which a person must confirm who they are before they promote, export labels, delete, make keys or change
# accounts.
STEP_UP_MINUTES = env.int("STEP_UP_MINUTES", default=5)
ACCOUNT_REAUTHENTICATION_TIMEOUT = STEP_UP_MINUTES * 60
MFA_ADAPTER = "cataract.accounts.second_factor.SecondFactorAdapter"
MFA_FORMS = {
    "authenticate": "cataract.accounts.second_factor.AuthenticateForm",
    "reauthenticate": "cataract.accounts.second_factor.ReauthenticateForm",
}
MFA_SUPPORTED_TYPES = ["totp", "webauthn", "recovery_codes"]
MFA_PASSKEY_LOGIN_ENABLED = True
MFA_RECOVERY_CODES_SHOW_ONCE = True
MFA_TOTP_ISSUER = "Cataract screening"
MFA_WEBAUTHN_ALLOW_INSECURE_ORIGIN = not PRODUCTION  # browsers themselves allow it for localhost only
# Minutes without activity after which a session ends. Signing in again leads back to the same page.
SESSION_IDLE_MINUTES = env.int("SESSION_IDLE_MINUTES", default=30)
# Longest session, in hours, however active.
SESSION_HOURS = env.float("SESSION_HOURS", default=12)

# Single sign-on by OpenID Connect (docs/accounts.md): the provider's issuer, `https://login.clinic.example/realms/eyes`.
# Empty: people have passwords here.
OIDC_ISSUER = env.str("OIDC_ISSUER", default="")
# The client that the provider knows this system as. Required with `OIDC_ISSUER`.
OIDC_CLIENT_ID = env.str("OIDC_CLIENT_ID", default="")
# The client's secret. Required with `OIDC_ISSUER`.
OIDC_CLIENT_SECRET = env.str("OIDC_CLIENT_SECRET", default="")
# What the button on the login page calls the provider.
OIDC_NAME = env.str("OIDC_NAME", default="your organisation")
# Which role a group of the provider gives: `eye-readers=reader,eye-admins=admin`. Other groups give none.
OIDC_ROLES = env.dict("OIDC_ROLES", default={})
# The claim that lists a person's groups.
OIDC_GROUPS_CLAIM = env.str("OIDC_GROUPS_CLAIM", default="groups")
# The claim that becomes the user name.
OIDC_USERNAME_CLAIM = env.str("OIDC_USERNAME_CLAIM", default="preferred_username")
# Scopes that are asked for; some providers tell groups only with a scope of that name.
OIDC_SCOPES = env.list("OIDC_SCOPES", default=["openid", "profile", "email"])
# Values of `amr` or `acr` by which the provider says that it has asked for a second factor.
OIDC_SECOND_FACTOR = env.list("OIDC_SECOND_FACTOR", default=["mfa"])
# Days after the last sign-in through the provider after which a person's sessions and API keys end.
OIDC_UNSEEN_DAYS = env.int("OIDC_UNSEEN_DAYS", default=30)
SOCIALACCOUNT_ADAPTER = "cataract.accounts.single_sign_on.SignOnAdapter"
SOCIALACCOUNT_STORE_TOKENS = False
SOCIALACCOUNT_LOGIN_ON_GET = False
SOCIALACCOUNT_PROVIDERS = {
    "openid_connect": {
        "OAUTH_PKCE_ENABLED": True,
        "SCOPE": OIDC_SCOPES,
        "APPS": [
            {
                "provider_id": "sso",
                "name": OIDC_NAME,
                "client_id": OIDC_CLIENT_ID,
                "secret": OIDC_CLIENT_SECRET,
                "settings": {"server_url": OIDC_ISSUER},
            }
        ]
        if OIDC_ISSUER
        else [],
    }
}

CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": ["'none'"],
        "script-src": ["'self'"],
        "style-src": ["'self'"],
        "img-src": ["'self'", "blob:", "data:"],
        "font-src": ["'self'"],
        "connect-src": ["'self'"],
        # The form that leads to the provider is redirected there.
        "form-action": ["'self'", *(["{0.scheme}://{0.netloc}".format(urlsplit(OIDC_ISSUER))] if OIDC_ISSUER else [])],
        "base-uri": ["'none'"],
        "frame-ancestors": ["'none'"],
        "object-src": ["'none'"],
    }
}
X_FRAME_OPTIONS = "DENY"
SECURE_REFERRER_POLICY = "same-origin"
SECURE_CONTENT_TYPE_NOSNIFF = True
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_AGE = int(SESSION_HOURS * 3600)
CSRF_COOKIE_HTTPONLY = True
# Two systems side by side on one host (two PORTs) must not log each other out.
# `__Host-`: browsers take such a cookie only from this host over TLS, and only for all of its paths.
_COOKIE = ("__Secure-{}" if SUB_PATH else "__Host-{}") if PRODUCTION else f"{{}}-{PORT}"
SESSION_COOKIE_NAME, DEVICE_COOKIE_NAME, CSRF_COOKIE_NAME = map(_COOKIE.format, ("session", "device", "csrf"))
SESSION_COOKIE_PATH = CSRF_COOKIE_PATH = f"{SUB_PATH}/"
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = SECURE_SSL_REDIRECT = PRODUCTION
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if PRODUCTION else None
SECURE_REDIRECT_EXEMPT = [r"^api/v1/health/"]
SECURE_HSTS_SECONDS = 31_536_000 if PRODUCTION else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = PRODUCTION

# Mail -----------------------------------------------------------------------------------------------------------------
# Mail server: `smtp+tls://user:password@mail.clinic.example:587`. Empty: the system sends no e-mail.
EMAIL_URL = env.str("EMAIL_URL", default="")
SENDS_MAIL = bool(EMAIL_URL)
vars().update(env.email_url_config(EMAIL_URL or "dummymail://"))
EMAIL_TIMEOUT = 10  # seconds
# Addresses that get the signed head of the audit log each night, with commas between them. Needs `EMAIL_URL`.
AUDIT_HEADS_TO = env.list("AUDIT_HEADS_TO", default=[])
# Sender of all e-mails. Required with `EMAIL_URL`.
DEFAULT_FROM_EMAIL = SERVER_EMAIL = env.str("EMAIL_FROM", default="")
# Address under which people reach the system, for links in e-mails: `https://screening.clinic.example`. Required with
# `EMAIL_URL`.
PUBLIC_URL = env.str("PUBLIC_URL", default="")
# Hour of the day, in `TIME_ZONE`, at which senders get their digest of new answers, 0 to 23.
NEWS_DIGEST_HOUR = env.int("NEWS_DIGEST_HOUR", default=7)

# Rate limits ---------------------------------------------------------------------------------------------------------
# Counted in Redis over all web processes; without Redis each process counts alone. They stop runaway loops: a
# clinic's whole day fits in a few batches.
API_RATES = {
    # Reading requests of one key or user.
    "read": env.str("RATE_READ", default="600/min"),
    # Changing requests of one key or user.
    "write": env.str("RATE_WRITE", default="120/min"),
    # Single photos of one key or user.
    "upload": env.str("RATE_UPLOAD", default="240/min"),
    # Batches of one key or user.
    "batch": env.str("RATE_BATCH", default="60/hour"),
    # Heat maps for one key or user.
    "explain": env.str("RATE_EXPLAIN", default="30/min"),
    # Requests without a key from one address.
    "anonymous": env.str("RATE_ANONYMOUS", default="60/min"),
}

# API -----------------------------------------------------------------------------------------------------------------
# In the memory of one process: store nothing here that all processes must agree on.
CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache", "OPTIONS": {"MAX_ENTRIES": 10_000}}}
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "cataract.core.http.authentication.TokenAuthentication",
        "rest_framework.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "DEFAULT_THROTTLE_CLASSES": ["cataract.core.http.throttles.PerCaller"],
    "EXCEPTION_HANDLER": "cataract.core.http.problems.problem_response",
    "DEFAULT_PAGINATION_CLASS": "rest_framework.pagination.CursorPagination",
    "PAGE_SIZE": 50,
    # Trust only our own proxy's entry in X-Forwarded-For. Otherwise a caller could appear as a new one each time.
    "NUM_PROXIES": 1 if PRODUCTION else 0,
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Cataract screening API",
    "VERSION": "1",
    "OAS_VERSION": "3.1.0",
    "SERVE_INCLUDE_SCHEMA": False,
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "cataract.core.http.openapi.declare_refusals",
    ],
    "ENUM_NAME_OVERRIDES": {
        "CorrectionKind": "predictions.corrections.models.Correction.Kind",
        "Event": "predictions.webhooks.models.WebhookEndpoint.Event",
        "Eye": [("OD", "OD"), ("OS", "OS")],
        "EyeOrNotStated": "predictions.photos.models.EyeImage.Eye",
        "LiveTestKind": "predictions.releases.models.LiveTest.Kind",
    },
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
}

# Logging -------------------------------------------------------------------------------------------------------------
# Lowest level of log messages on stderr: DEBUG, INFO (each request and task), WARNING or ERROR. Default: INFO with
# PRODUCTION=1, else WARNING.
LOG_LEVEL = env.str("LOG_LEVEL", default="INFO" if PRODUCTION else "WARNING")
# `json` writes each message as one JSON object, for a log collector; `text` as a line for people. Default: json with
# PRODUCTION=1, else text.
LOG_FORMAT = env.str("LOG_FORMAT", default="json" if PRODUCTION else "text")
LOGGING = logs.configure(LOG_LEVEL, as_json=LOG_FORMAT == "json")
DJANGO_STRUCTLOG_CELERY_ENABLED = True
DJANGO_STRUCTLOG_IP_LOGGING_ENABLED = False  # the proxy logs addresses; here they would be personal data without a use
DJANGO_STRUCTLOG_USER_ID_FIELD = ""  # `core.http.observation` adds the user without a query
DJANGO_STRUCTLOG_STATUS_START_LOG_LEVEL = logging.DEBUG
DJANGO_STRUCTLOG_STATUS_4XX_LOG_LEVEL = logging.INFO
DJANGO_STRUCTLOG_CELERY_TASK_START_LOG_LEVEL = logging.DEBUG
DJANGO_STRUCTLOG_CELERY_TASK_FAILURE_LOG_LEVEL = logging.ERROR

# Backups -------------------------------------------------------------------------------------------------------------
# Where a worker backs up the installation each night at half past two: a folder on another disk, or a place that restic
# knows (`s3:https://host/bucket`, `sftp:user@host:/folder`). Empty: no nightly backup.
BACKUP_REPOSITORY = env.str("BACKUP_REPOSITORY", default="")
# The password that encrypts the backups. Keep a copy elsewhere: nothing is restored without it.
BACKUP_PASSWORD = env.str("BACKUP_PASSWORD", default="")
# The file that holds the password of the backups, readable by this user only.
BACKUP_PASSWORD_FILE = env.str("BACKUP_PASSWORD_FILE", default="")
# How many daily backups are kept, beside the last three.
BACKUP_KEEP_DAILY = env.int("BACKUP_KEEP_DAILY", default=7)
# How many weekly backups are kept.
BACKUP_KEEP_WEEKLY = env.int("BACKUP_KEEP_WEEKLY", default=5)
# How many monthly backups are kept.
BACKUP_KEEP_MONTHLY = env.int("BACKUP_KEEP_MONTHLY", default=12)

# Metrics -------------------------------------------------------------------------------------------------------------
# Folder in which the processes of one host add up what they count for Prometheus. Containers that share DATA_DIR need
# one each. Default: `run/metrics` in `DATA_DIR`.
METRICS_DIR = Path(env.str("METRICS_DIR", default=str(DATA_DIR / "run" / "metrics")))
with contextlib.suppress(OSError):  # a check says in words that DATA_DIR cannot be written
    METRICS_DIR.mkdir(parents=True, exist_ok=True, mode=0o700)
os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(METRICS_DIR)  # read when prometheus_client is imported
# Port at which a worker answers scrapes of what it counted, where web processes do not run on its host; 0: none.
WORKER_METRICS_PORT = env.int("WORKER_METRICS_PORT", default=0)

INTENDED_USE = (
    "Screening aid. Not a diagnosis. A negative result does not rule out cataract or another eye disease. "
    "Sudden loss of vision, pain, flashes or a red eye: see a doctor today."
)
