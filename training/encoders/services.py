"""Ask for the embeddings of all photos, and for a base release with another encoder."""

from django.contrib.auth.models import User
from django.db import IntegrityError, transaction

from cataract.core.audit.models import Act
from cataract.core.audit.services import record
from cataract.core.broker.nudge import nudge
from cataract.core.errors import ADD_TRAINING_SET, WrongStatus
from cataract.ml.learn.packages import has_torch
from predictions.embeddings.models import EmbeddingJob
from predictions.releases.models import Release
from training.encoders import tasks
from training.encoders.models import EncoderChange
from training.runs.base_releases import NoEncoder


def embed_all(*, user: User, release: Release) -> EmbeddingJob:
    """Have a worker embed every stored photo with the encoder of `release`; a job that waits already is returned."""
    with transaction.atomic():
        job = EmbeddingJob.objects.ask_for(release=release, user=user)
        record(Act.ADMIN_CHANGED, about=release, user=user, what="asked for embeddings", photos=job.total)
    return job


def change_encoder(*, user: User, architecture: str, weights: str, image_size: int = 0) -> EncoderChange:
    """Have a worker make a base release with this tower. Raises NoEncoder (light installation), WrongStatus."""
    if not has_torch():
        raise NoEncoder(f"This is a light installation. {ADD_TRAINING_SET}.")
    try:
        with transaction.atomic():
            change = EncoderChange.objects.create(
                architecture=architecture, weights=weights, image_size=image_size, requested_by=user
            )
            record(Act.ADMIN_CHANGED, about=change, user=user, what="asked for another encoder")
    except IntegrityError:
        raise WrongStatus("Another encoder is being prepared already. Wait until it is done.") from None
    nudge(tasks.make_encoder, change.pk)
    return change
