"""Answer a prediction inside its request; predict and write the answer once, as requests and workers do.

The process that works on a row holds a lease and a fencing token (the attempt's number): a task that is delivered
twice, or wakes up after its lease, writes nothing.
"""

import contextlib
import logging
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as TooSlow
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.contrib.auth.models import User
from django.db import DatabaseError, transaction
from django.db.models import Exists
from django.utils import timezone

from cataract.core import metrics
from cataract.core.failpoints import hit
from cataract.core.processes import available_cores
from cataract.ml.arrays import Floats, Pixels, finite_or_none
from cataract.ml.cascade.cascade import Cascade, Outcome
from cataract.ml.cascade.policy import audit_rate, audit_selected
from cataract.ml.labels import Reason
from cataract.ml.statistics.draws import is_in_share
from predictions.acceptance import rules
from predictions.acceptance.models import Acceptance
from predictions.answering import disclosures, final_results
from predictions.answering.models import FinalResult, Prediction
from predictions.embeddings.models import Embedding
from predictions.embeddings.packing import pack
from predictions.releases.arms import Arms, asking, who_answers
from predictions.replicas import client as replicas
from predictions.replicas.client import ReplicasUnavailable
from predictions.replicas.wire import Question
from predictions.stops.models import AiStop
from predictions.webhooks import services as webhooks
from predictions.webhooks.models import WebhookEndpoint

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Known:
    """What is known of a photo when it is answered; each saves a query.

    arms: who answered when it came. is_new: it was stored for this prediction. has_webhooks: whether any system is
    told of answers. shown_to: who is shown the answer as soon as it is there. asks_replicas: whether replicas of Ray
    Serve answer instead of this process.
    """

    arms: Arms | None = None
    is_new: bool = False
    has_webhooks: bool = True
    shown_to: User | None = None
    asks_replicas: bool = False


NOTHING_KNOWN = Known()
IS_OFF_SOMEWHERE = Exists(AiStop.objects.standing())
_WITH_STOPS = asking(is_off_somewhere=IS_OFF_SOMEWHERE)


def answer_now(prediction: Prediction, pixels: Pixels, timings: dict[str, float], known: Known = NOTHING_KNOWN) -> bool:
    """Answer a prediction that was created as attempt 1 of this request; return whether the answer is written.

    False after settings.INLINE_PREDICTION_SECONDS or an error: the row is then QUEUED and free for a worker.
    """
    try:
        arms = known.arms or who_answers(_WITH_STOPS)
        ask = _ask_replica if known.asks_replicas else _compute
        outcome = None if _is_off(prediction, arms) else ask(prediction, pixels, arms)
        return finish(prediction, prediction.attempts, outcome, timings, known)
    except ReplicasUnavailable as error:
        log.warning("Prediction %s: no replica answered, a worker finishes it: %s", prediction.pk, error)
        failure: Exception = error
    except TooSlow:
        log.warning("Prediction %s is slow: a worker finishes it", prediction.pk)
        failure = TimeoutError("The answer took too long.")
    except Exception as error:
        log.exception("Prediction %s failed in the request: a worker tries again", prediction.pk)
        failure = error
    with contextlib.suppress(DatabaseError):  # then the lease runs out; the photo is stored either way
        give_back(prediction, prediction.attempts, failure)
    return False


def cascade_for(prediction: Prediction) -> Cascade | None:
    """The cascade that answers a prediction now; None where none can, or where the AI is switched off."""
    arms = who_answers(_WITH_STOPS)
    return None if _is_off(prediction, arms) else arms.cascade_for(prediction.image.patient_key)


def _is_off(prediction: Prediction, arms: Arms) -> bool:
    # Beside the release it was read whether the AI is off anywhere: where it never is, this costs no query.
    return arms.beside.get("is_off_somewhere", True) and AiStop.objects.at(prediction.image.site_id).exists()


def _compute(prediction: Prediction, pixels: Pixels, arms: Arms) -> Outcome | None:
    """The outcome computed in this process; None without a champion that can serve."""
    cascade = arms.cascade_for(prediction.image.patient_key)
    if cascade is None:
        return None
    future = _pool().submit(predict_photo, cascade, prediction, pixels)
    return future.result(timeout=settings.INLINE_PREDICTION_SECONDS)


def _ask_replica(prediction: Prediction, pixels: Pixels, arms: Arms) -> Outcome | None:
    """The outcome computed by a replica of Ray Serve; None without a champion. Raises ReplicasUnavailable."""
    arm = arms.arm_for(prediction.image.patient_key)
    if arm is None:
        return None
    return replicas.predict(Question(arm.release, arm.sha256, pixels=pixels, **_how(prediction)))


def predict_photo(cascade: Cascade, prediction: Prediction, pixels: Pixels) -> Outcome:
    """A release's outcome for the photo of a prediction, in its mode; "cascade" means settings.CASCADE_MODE.

    Of the photos that the fast model is sure of, a share drawn by hash is checked by the accurate model.
    """
    return cascade.predict([pixels], **_how(prediction))[0]


def _how(prediction: Prediction) -> dict[str, Any]:
    """How the cascade is asked about the photo of a prediction."""
    mode = settings.CASCADE_MODE if prediction.mode == Prediction.Mode.CASCADE else prediction.mode
    is_drawn = is_in_share(f"accurate-check:{prediction.image.sha256}", settings.ACCURATE_CHECK_RATE)
    return {"mode": str(mode), "check_sure": is_drawn}


def finish(
    prediction: Prediction,
    attempt: int,
    outcome: Outcome | None,
    timings: dict[str, float],
    known: Known = NOTHING_KNOWN,
) -> bool:
    """Write the answer if `attempt` still holds the row, and whom it is shown. Without one the photo goes to review."""
    with transaction.atomic():
        hit("predict.in_transaction")
        values = {} if outcome is None else _answered(prediction, outcome, timings)
        if not (values and _write(prediction, attempt, values, unless_off=True)):
            values = unanswered(_why_unanswered(prediction))
            outcome = None
            if not _write(prediction, attempt, values):
                log.warning("Prediction %s: attempt %d came too late", prediction.pk, attempt)
                return False
        if outcome is not None and outcome.embedding is not None:
            _keep_embedding(prediction, outcome.encoder_hash, outcome.embedding)
        # The caller's object says what the row says now.
        vars(prediction).update(values, status=Prediction.Status.DONE)
        final_results.replace_ungradable(prediction)
        result = final_results.settle_by_ai(prediction, is_new=known.is_new)
        if known.has_webhooks:
            announce(prediction, Prediction.Status.DONE, result)
        if known.shown_to is not None and (prediction.decision or result is not None):
            disclosures.record_shown_first(predictions=[prediction], user=known.shown_to)
    vars(prediction).update(standing_results=[] if result is None else [result])
    if known.shown_to is not None:
        vars(prediction).update(shown_to_id=known.shown_to.pk)
    hit("predict.answered")
    metrics.count_answer(prediction.decision, prediction.needs_review, prediction.reasons, prediction.timings)
    return True


def _write(prediction: Prediction, attempt: int, values: dict[str, Any], *, unless_off: bool = False) -> bool:
    """Move the row to DONE if `attempt` holds it; `unless_off`, not where the AI was switched off meanwhile."""
    held = Prediction.objects.held(prediction, attempt)
    if unless_off:
        held = held.exclude(Exists(AiStop.objects.at(prediction.image.site_id)))
    values |= {"done_at": timezone.now(), "lease_until": None, "error": ""}
    return bool(held.move(Prediction.Status.DONE, **values))


def _why_unanswered(prediction: Prediction) -> Reason:
    return Reason.AI_OFF if AiStop.objects.at(prediction.image.site_id).exists() else Reason.NO_CHAMPION


def _keep_embedding(prediction: Prediction, encoder: str, embedding: Floats) -> None:
    """Store the embedding, unless a worker that embeds stored photos was faster."""
    row = Embedding(image_id=prediction.image_id, encoder=encoder, vector=pack(embedding))
    Embedding.objects.bulk_create([row], ignore_conflicts=True)


def _answered(prediction: Prediction, outcome: Outcome, timings: dict[str, float]) -> dict[str, Any]:
    reasons, propensity = _reasons_to_read(prediction, outcome)
    return {
        "release_id": outcome.release_id,
        "policy_version": outcome.policy_version,
        "decision": outcome.decision,
        "probability": finite_or_none(outcome.probability),
        "fast_score": finite_or_none(outcome.fast_score),
        "fast_probability": finite_or_none(outcome.fast_probability),
        "accurate_score": finite_or_none(outcome.accurate_score),
        "accurate_probability": finite_or_none(outcome.accurate_probability),
        "route": outcome.route,
        "needs_review": bool(reasons),
        "reasons": reasons,
        "review_propensity": propensity,
        "gate": outcome.gate,
        "timings": _stages(timings, outcome.timings),
    }


def _reasons_to_read(prediction: Prediction, outcome: Outcome) -> tuple[list[str], float]:
    """Why people read this answer, empty where nobody does; and the chance with which they read one like it.

    A sure answer that may not stand alone here is read, and so is the stream. Of all other sure answers a known share
    is read, to measure their errors. Whether the accurate model contradicted a sure answer has no part in that draw:
    the chance stays the one of all sure answers.
    """
    image, reasons = prediction.image, [*map(str, outcome.reasons)]
    is_sure = outcome.is_checked or not outcome.needs_review
    is_accepted = not is_sure or _may_answer_alone(prediction, outcome)
    if not is_accepted:
        reasons.append(Reason.NOT_ACCEPTED)
    if image.always_read:
        return [*reasons, Reason.ALWAYS_READ], 1.0
    if not (is_sure and is_accepted):
        return reasons, 1.0
    chance = audit_rate(outcome.probability, settings.AUDIT_RATE)
    if audit_selected(image.sha256, chance):
        return [*reasons, Reason.AUDIT_SAMPLE], chance
    return reasons, 1 - (1 - chance) * (1 - settings.ACCURATE_CHECK_RATE) if reasons else chance


def _may_answer_alone(prediction: Prediction, outcome: Outcome) -> bool:
    """Whether this sure answer stands without a person: its side is accepted where the photo was taken.

    An acceptance was earned by the cascade as it is set, so it covers no other mode that a request chooses.
    """
    if not rules.needs_acceptance():
        return True
    image = prediction.image
    return prediction.mode == Prediction.Mode.CASCADE and Acceptance.objects.is_accepted(
        site=image.site_id, device=image.device_id, release=outcome.release_id, side=outcome.decision
    )


def _stages(intake: dict[str, float], cascade: dict[str, float]) -> dict[str, float]:
    """Milliseconds by stage; `total` is their sum."""
    stages = {**intake, **{stage: round(ms, 2) for stage, ms in cascade.items() if stage != "total"}}
    return {**stages, "total": round(sum(stages.values()), 2)}


def unanswered(reason: Reason) -> dict[str, Any]:
    return {"needs_review": True, "reasons": [reason], "review_propensity": 1.0}


def give_back(prediction: Prediction, attempt: int, error: Exception) -> None:
    """End the lease of a failed attempt; after the last one the row is FAILED and goes to review."""
    held = Prediction.objects.held(prediction, attempt)
    message = f"Attempt {attempt}: {error}"[:1000]
    if attempt < settings.PREDICTION_ATTEMPTS:
        held.give_back(error=message)
    else:
        with transaction.atomic():
            if held.move(Prediction.Status.FAILED, lease_until=None, error=message, **unanswered(Reason.FAILED)):
                announce(prediction, Prediction.Status.FAILED)


def announce(prediction: Prediction, status: str, result: FinalResult | None = None) -> None:
    """Queue the webhook event of a finished prediction, with its final result where it has one already."""
    told = None if result is None else final_results.facts_of(result)
    data = {"prediction": str(prediction.pk), "status": status, "address": prediction.api_url, "final_result": told}
    owner = prediction.image.uploaded_by_id
    webhooks.record(WebhookEndpoint.Event.PREDICTION_FINISHED, data, owner_id=owner, is_private=True)


_pool_lock = threading.Lock()
_pools: dict[int, ThreadPoolExecutor] = {}


def _pool() -> ThreadPoolExecutor:
    """Threads that compute for requests, which can then stop waiting. One pool per process."""
    with _pool_lock:
        if os.getpid() not in _pools:
            _pools[os.getpid()] = ThreadPoolExecutor(available_cores(), thread_name_prefix="inference")
        return _pools[os.getpid()]
