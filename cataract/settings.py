"""All settings, in one file; every value that differs between installations is a typed environment variable.

Two ways to run share it (docs/decisions/0001-embedded-default.md):

* embedded, the default of `make run`: SQLite, a private Valkey/Redis on a unix socket, all state in `DATA_DIR`;
* production (`PRODUCTION=1`): PostgreSQL, Redis and every secret come from the environment, nothing has a default.
"""

import os
import secrets
from pathlib import Path

import environ
from django.core.exceptions import ImproperlyConfigured

env = environ.Env()

BASE_DIR = Path(__file__).resolve().parent.parent
DATA_DIR = Path(env.str("DATA_DIR", default=str(BASE_DIR / "data"))).expanduser().resolve()
PRODUCTION = env.bool("PRODUCTION", default=False)
DEBUG = env.bool("DEBUG", default=False)
PORT = env.int("PORT", default=8000)


def _required(name: str) -> str:
    value: str = env.str(name, default="")
    if not value:
        raise ImproperlyConfigured(f"{name} must be set in the environment when PRODUCTION=1.")
    return value


def _embedded_secret_key() -> str:
    """The key of this data folder, made once and readable by its owner only."""
    path = DATA_DIR / "secret.key"
    if not path.exists():
        DATA_DIR.mkdir(parents=True, exist_ok=True, mode=0o700)
        try:
            with open(path, "x", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
                file.write(secrets.token_urlsafe(64))
        except FileExistsError:
            pass  # another process was first: its key is the key
    return path.read_text().strip()


SECRET_KEY = _required("SECRET_KEY") if PRODUCTION else env.str("SECRET_KEY", default="") or _embedded_secret_key()
SECRET_KEY_FALLBACKS = env.list("SECRET_KEY_FALLBACKS", default=[])
ALLOWED_HOSTS = (
    _required("ALLOWED_HOSTS").split(",")
    if PRODUCTION
    else env.list("ALLOWED_HOSTS", default=["localhost", "127.0.0.1", "[::1]"])
)
CSRF_TRUSTED_ORIGINS = env.list("CSRF_TRUSTED_ORIGINS", default=[])

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django_htmx",
    "csp",
    "axes",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "django_filters",
    "cataract.apps.CataractConfig",
    "predictions",
    "review",
    "training",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "csp.middleware.CSPMiddleware",
    "cataract.core.http.middleware.BoundedBody",
    "cataract.core.http.middleware.leave_nothing_behind",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "axes.middleware.AxesMiddleware",
]

ROOT_URLCONF = "cataract.urls"
WSGI_APPLICATION = "cataract.wsgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "cataract.core.http.context_processors.product",
            ],
        },
    },
]

# Databases -----------------------------------------------------------------------------------------------------------
DATABASE_WAIT_SECONDS = env.int("DATABASE_WAIT_SECONDS", default=20)  # for a lock; then the answer is 503
if PRODUCTION or env.str("DATABASE_URL", default=""):
    DATABASES = {"default": env.db_url_config(_required("DATABASE_URL"))}
    DATABASES["default"].update(CONN_MAX_AGE=60, CONN_HEALTH_CHECKS=True)
    if DATABASES["default"]["ENGINE"].endswith("postgresql"):
        wait = f"-c lock_timeout={DATABASE_WAIT_SECONDS}s -c idle_in_transaction_session_timeout=60s"
        DATABASES["default"].setdefault("OPTIONS", {}).setdefault("options", wait)
else:
    DATABASES = {
        "default": {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": DATA_DIR / "db.sqlite3",
            "OPTIONS": {
                # IMMEDIATE: a deferred read-then-write fails at once with SQLITE_BUSY_SNAPSHOT, whatever the timeout.
                # FULL: an acknowledged upload survives a power cut.
                "transaction_mode": "IMMEDIATE",
                "timeout": DATABASE_WAIT_SECONDS,
                "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;",
            },
        }
    }
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# Broker and tasks ----------------------------------------------------------------------------------------------------
EMBEDDED_BROKER = not PRODUCTION and not env.str("REDIS_URL", default="")
BROKER_SOCKET = DATA_DIR / "run" / "broker.sock"
CELERY_BROKER_URL = (
    _required("REDIS_URL") if PRODUCTION else env.str("REDIS_URL", default=f"redis+socket://{BROKER_SOCKET}")
)
CELERY_BROKER_TRANSPORT_OPTIONS = {
    # Longer than the longest task: a shorter one starts a long training twice.
    "visibility_timeout": 6 * 3600,
    "unacked_restore_interval": 10,
    "unacked_restore_throttle": 1,
    # A stopped broker still accepts connections and never answers: without these an upload would hang for ever.
    "socket_timeout": 2,
    "socket_connect_timeout": 2,
    "retry_on_timeout": False,
}
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_TASK_PUBLISH_RETRY_POLICY = {"max_retries": 1, "interval_start": 0, "interval_step": 0.1, "interval_max": 0.1}
CELERY_TASK_IGNORE_RESULT = True  # the row is the truth, the message a nudge
CELERY_TASK_SERIALIZER = "json"
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_TASK_DEFAULT_QUEUE = "default"
CELERY_TASK_ROUTES = {
    "predictions.webhooks.tasks.send_webhooks": {"queue": "default"},
    "predictions.shadow.tasks.score_in_shadow": {"queue": "default"},  # photos that people wait for come first
    "predictions.embeddings.tasks.sweep_embeddings": {"queue": "default"},
    "predictions.answering.tasks.*": {"queue": "predict"},
    "predictions.batches.tasks.*": {"queue": "predict"},
    "training.runs.tasks.run_training": {"queue": "train"},
    "training.label_checks.tasks.check_labels": {"queue": "train"},
}
CELERY_TIMEZONE = "UTC"
# In memory: every entry below is due within seconds anyway, and the stock scheduler keeps its file as a pickle.
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
    "send-webhooks": {"task": "predictions.webhooks.tasks.send_webhooks", "schedule": 5.0, "options": {"expires": 4}},
    "open-review-cases": {"task": "review.queue.tasks.sweep", "schedule": 20.0, "options": {"expires": 19}},
    "check-training-policy": {"task": "training.runs.tasks.check_policy", "schedule": 60.0, "options": {"expires": 59}},
    "sweep-training": {"task": "training.runs.tasks.sweep", "schedule": 15.0, "options": {"expires": 14}},
}

# Photos and releases -------------------------------------------------------------------------------------------------
PHOTO_DIR = DATA_DIR / "photos"
RELEASE_DIR = DATA_DIR / "releases"
STARTER_DIR = BASE_DIR / "cataract" / "starter"
MAX_UPLOAD_BYTES = env.int("MAX_UPLOAD_BYTES", default=20_000_000)
MAX_UPLOAD_PIXELS = env.int("MAX_UPLOAD_PIXELS", default=64_000_000)
ACCEPT_DICOM = env.bool("ACCEPT_DICOM", default=True)  # single photos inside DICOM; their headers are not kept
FILE_UPLOAD_MAX_MEMORY_SIZE = MAX_UPLOAD_BYTES
FILE_UPLOAD_HANDLERS = [
    "predictions.photos.uploads.BoundedUploadHandler"
]  # never more than the limit in memory, no temp file
DATA_UPLOAD_MAX_MEMORY_SIZE = 2_500_000
MAX_BODY_BYTES = 100_000_000  # of a request that is no batch: more is refused by its header, unread
DECODER_PROCESSES = env.int(
    "DECODER_PROCESSES", default=os.cpu_count() or 1
)  # 0: photos are decoded in the web process
BATCH_DIR = DATA_DIR / "batches"  # what was sent and is not gone through yet
MAX_BATCH_BYTES = env.int("MAX_BATCH_BYTES", default=2_000_000_000)  # as sent, and again as unpacked
MAX_BATCH_FILES = env.int("MAX_BATCH_FILES", default=10_000)  # in one archive
DATA_UPLOAD_MAX_NUMBER_FILES = 100  # in one form; more come as an archive
INFERENCE_PROVIDERS = env.list("INFERENCE_PROVIDERS", default=["CPUExecutionProvider"])
INFERENCE_THREADS = env.int("INFERENCE_THREADS", default=1)
INFERENCE = env.str("INFERENCE", default="web")  # uploads are answered in the web process, or by workers: celery
INFERENCE_WAIT_SECONDS = 1.0  # an upload waits so long for a worker's answer; then it is told to ask again (202)
WEB_PROCESSES = env.int("WEB_PROCESSES", default=1)  # of `make run`
WEB_THREADS = env.int("WEB_THREADS", default=32)  # of each of them; whoever sends slowly holds one for a while
WORKER_PROCESSES = env.int("WORKER_PROCESSES", default=3)  # of `make run`; a training takes one for as long as it runs
CASCADE_MODE = env.str("CASCADE_MODE", default="cascade")
AUDIT_RATE = env.float("AUDIT_RATE", default=0.05)
# What a release that is trained here promises of the photos it decides alone: at most this share wrong, this surely.
AUTO_MAX_ERROR = env.float("AUTO_MAX_ERROR", default=0.05)
AUTO_CONFIDENCE = env.float("AUTO_CONFIDENCE", default=0.95)
PREDICTION_ATTEMPTS = 3
PREDICTION_LEASE_SECONDS = env.int("PREDICTION_LEASE_SECONDS", default=60)
INLINE_PREDICTION_SECONDS = 10  # an upload waits no longer for its answer; a worker then finishes it
PROMOTION_NEEDS_TWO = env.bool("PROMOTION_NEEDS_TWO", default=False)  # one admin asks, another confirms
SPLIT_FRACTIONS = {"train": 0.6, "calibration": 0.2, "test": 0.2}
# Lets webhooks reach addresses inside this network, and over plain HTTP: for tests, and for receivers next door.
WEBHOOK_ALLOW_PRIVATE = env.bool("WEBHOOK_ALLOW_PRIVATE", default=False)
FAULT_INJECTION = env.bool("FAULT_INJECTION", default=False)  # tests only: lets FAILPOINT kill the process
TRAINING_SILENT_SECONDS = env.int("TRAINING_SILENT_SECONDS", default=40)  # then its worker is taken for lost
TRAINING_MAX_HOURS = env.float("TRAINING_MAX_HOURS", default=5)
TRAINING_MAX_GIGABYTES = env.float("TRAINING_MAX_GIGABYTES", default=0)  # 0: three quarters of the machine's memory
TRAINING_PARALLEL = env.bool("TRAINING_PARALLEL", default=False)  # several runs may train the same model at once
REVIEW_LEASE_SECONDS = 600
REVIEW_SECOND_READ_RATE = env.float("REVIEW_SECOND_READ_RATE", default=0.10)
REVIEW_AI_FIRST_RATE = env.float("REVIEW_AI_FIRST_RATE", default=0.10)  # shown the AI first, to measure how it leads
REVIEW_CONTROL_RATE = env.float("REVIEW_CONTROL_RATE", default=0.04)  # hidden cases whose answer is known
REVIEW_REPEAT_RATE = env.float("REVIEW_REPEAT_RATE", default=0.02)  # hidden cases that the reader read before
REVIEW_REPEAT_DAYS = 14
# Review cases wait while a queue is longer than this; uploads are then answered, and a person is told to wait.
MAX_QUEUED_PREDICTIONS = env.int("MAX_QUEUED_PREDICTIONS", default=10_000)

# MLflow: only training/tracking/ talks to it -------------------------------------------------------------------------
MLFLOW_PORT = env.int("MLFLOW_PORT", default=PORT + 1000)  # so that PORT=8000 and PORT=8001 run side by side
MLFLOW_TRACKING_URI = env.str("MLFLOW_TRACKING_URI", default=f"sqlite:///{DATA_DIR / 'mlflow' / 'mlflow.db'}")
MLFLOW_ARTIFACT_DIR = DATA_DIR / "mlflow" / "artifacts"
MLFLOW_UI_URL = env.str("MLFLOW_UI_URL", default=f"http://127.0.0.1:{MLFLOW_PORT}")

# Web -----------------------------------------------------------------------------------------------------------------
STATIC_URL = "static/"
STATICFILES_DIRS = [BASE_DIR / "static"]
STATIC_ROOT = Path(env.str("STATIC_ROOT", default=str(DATA_DIR / "static")))
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"},
}
WHITENOISE_MANIFEST_STRICT = False
WHITENOISE_KEEP_ONLY_HASHED_FILES = True
# Source maps are large, and only a developer's tools ask for them.
WHITENOISE_SKIP_COMPRESS_EXTENSIONS = ("gif", "gz", "ico", "jpeg", "jpg", "map", "png", "webp", "woff", "woff2", "zip")
LANGUAGE_CODE = "en"
TIME_ZONE = env.str("TIME_ZONE", default="UTC")
USE_I18N = True
USE_TZ = True

LOGIN_URL = "login"
LOGIN_REDIRECT_URL = "home"
LOGOUT_REDIRECT_URL = "login"
AUTHENTICATION_BACKENDS = ["axes.backends.AxesStandaloneBackend", "django.contrib.auth.backends.ModelBackend"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 12}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
AXES_FAILURE_LIMIT = 5
AXES_COOLOFF_TIME = 0.25  # hours
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_RESET_ON_SUCCESS = True
AXES_VERBOSE = False
AXES_LOCKOUT_TEMPLATE = "locked.html"

CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": ["'none'"],
        "script-src": ["'self'"],
        "style-src": ["'self'"],
        "img-src": ["'self'", "blob:", "data:"],
        "font-src": ["'self'"],
        "connect-src": ["'self'"],
        "form-action": ["'self'"],
        "base-uri": ["'none'"],
        "frame-ancestors": ["'none'"],
        "object-src": ["'none'"],
    }
}
X_FRAME_OPTIONS = "DENY"
SECURE_REFERRER_POLICY = "same-origin"
SECURE_CONTENT_TYPE_NOSNIFF = True
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_AGE = 12 * 3600
CSRF_COOKIE_HTTPONLY = True
# Two systems side by side on one host (two PORTs) must not log each other out.
SESSION_COOKIE_NAME = "__Host-session" if PRODUCTION else f"session-{PORT}"
CSRF_COOKIE_NAME = "__Host-csrf" if PRODUCTION else f"csrf-{PORT}"
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = SECURE_SSL_REDIRECT = PRODUCTION
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if PRODUCTION else None
SECURE_REDIRECT_EXEMPT = [r"^api/v1/health/"]
SECURE_HSTS_SECONDS = 31_536_000 if PRODUCTION else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = PRODUCTION

# Requests of one key, counted in Redis. A clinic's whole day goes in batches; a loop that never stops is stopped.
API_RATES = {
    "read": env.str("RATE_READ", default="600/min"),
    "write": env.str("RATE_WRITE", default="120/min"),
    "upload": env.str("RATE_UPLOAD", default="240/min"),
    "batch": env.str("RATE_BATCH", default="60/hour"),
    "explain": env.str("RATE_EXPLAIN", default="30/min"),
    "anonymous": env.str("RATE_ANONYMOUS", default="60/min"),
}
# The memory of one process: only what may differ between them lies here.
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
    # Of X-Forwarded-For only what our own proxy wrote counts: else any caller would be a new one at every request.
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
        "Event": "predictions.webhooks.models.WebhookEndpoint.Event",
        "Eye": [("OD", "OD"), ("OS", "OS")],
        "EyeOrNotStated": "predictions.photos.models.EyeImage.Eye",
    },
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
}

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "{asctime} {levelname} {name}: {message}", "style": "{"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["stderr"], "level": env.str("LOG_LEVEL", default="WARNING")},
}

INTENDED_USE = (
    "Screening aid. Not a diagnosis. A negative result does not rule out cataract or another eye disease. "
    "Sudden loss of vision, pain, flashes or a red eye: see a doctor today."
)
