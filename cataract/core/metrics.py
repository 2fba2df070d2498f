"""What each process counts for Prometheus: requests, answers, refused photos, tasks. All processes of a host add up.

A metric without labels would make a file in METRICS_DIR in every process that imports this; so each has a label.
"""

from collections.abc import Iterable, Mapping

from prometheus_client import Counter, Histogram

_REQUEST_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_STAGE_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5)
_TASK_SECONDS = (0.01, 0.1, 0.5, 1, 5, 30, 120, 600, 3600, 4 * 3600)

REQUESTS = Counter("cataract_http_requests", "Answered requests.", ["method", "route", "status"])
REQUEST_SECONDS = Histogram(
    "cataract_http_request_seconds", "Time to answer a request.", ["route"], buckets=_REQUEST_SECONDS
)
ANSWERS = Counter("cataract_answers", "Answers of the AI.", ["decision", "needs_review"])
REVIEW_REASONS = Counter("cataract_review_reasons", "Why answers went to a person.", ["reason"])
STAGE_SECONDS = Histogram(
    "cataract_prediction_stage_seconds", "Time of a stage of an answer.", ["stage"], buckets=_STAGE_SECONDS
)
REFUSED_PHOTOS = Counter("cataract_refused_photos", "Photos that were refused before they were stored.", ["code"])
REPLICA_REQUESTS = Counter("cataract_replica_requests", "Photos that replicas of Ray Serve were asked for.", ["result"])
TASKS = Counter("cataract_tasks", "Finished tasks of the workers.", ["task", "state"])
TASK_SECONDS = Histogram("cataract_task_seconds", "Time of a task.", ["task"], buckets=_TASK_SECONDS)


def count_answer(decision: str, needs_review: bool, reasons: Iterable[str], milliseconds: Mapping[str, float]) -> None:
    """Count an answer of the AI, why it goes to a person, and the time of its stages."""
    ANSWERS.labels(decision, "yes" if needs_review else "no").inc()
    for reason in reasons:
        REVIEW_REASONS.labels(reason).inc()
    for stage, spent in milliseconds.items():
        STAGE_SECONDS.labels(stage).observe(spent / 1000)
