"""From the shipped encoder to another: weights, base release, training run, promotion, every photo encoded again."""

import io
import json
import os
import socket
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import pytest
import torch
from django.core.management import CommandError, call_command
from django.test import Client
from open_clip.transform import PreprocessCfg, image_transform_v2
from PIL import Image
from safetensors.torch import save_file

from cataract.ml.learn.accurate import activations
from cataract.ml.learn.towers import base_release
from cataract.ml.learn.towers.towers import CONFIG
from cataract.ml.synthetic import render_eye
from predictions.embeddings import similar
from predictions.embeddings import worker as embeddings_worker
from predictions.embeddings.models import Embedding, EmbeddingJob
from predictions.photos.models import EyeImage
from predictions.releases import services as releases_services
from predictions.releases import serving, store
from predictions.releases.errors import PromotionConflict
from predictions.releases.models import Release
from tests.factories import UserFactory
from tests.training.makers import capture_published, label_photos
from training.comparison.promotable import PromotionRefused
from training.promotion import services as promotion_services
from training.runs import services as runs_services
from training.runs import worker
from training.runs.models import TrainingRun

pytestmark = pytest.mark.django_db(transaction=True)

SMALL_VIT = {"image_size": 64, "layers": 4, "width": 64, "head_width": 32, "patch_size": 16}


@pytest.fixture(scope="module")
def small_arch(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("configs") / "small-vit.json"
    path.write_text(json.dumps({"embed_dim": 32, "vision_cfg": SMALL_VIT, "text_cfg": CONFIG["text_cfg"]}))
    open_clip.add_model_config(path)
    return path.stem


# Unlike open_clip's own in everything: what is used comes from the file.
PREPROCESSING = {"mean": [0.4, 0.5, 0.6], "std": [0.5, 0.4, 0.3], "interpolation": "bilinear", "resize_mode": "squash"}


def checkpoint_of(arch: str, path: Path, *, seed: int = 0, quick_gelu: bool = False) -> base_release.Tower:
    """Write a checkpoint as open_clip publishes it, here with random weights, and its configuration beside it."""
    tower = base_release.random_tower(arch, seed=seed)
    save_file({name: value.contiguous() for name, value in tower.model.state_dict().items()}, path)
    model = {**tower.config, "quick_gelu": quick_gelu}
    content = {"model_cfg": model, "preprocess_cfg": PREPROCESSING}
    path.with_name("open_clip_config.json").write_text(json.dumps(content))
    return tower


def change_encoder(*arguments: str) -> str:
    out = io.StringIO()
    call_command("change_encoder", *arguments, stdout=out, stderr=io.StringIO())
    return out.getvalue()


# `make faults` also trains from ViT-B-32, which takes minutes.
@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", ["small", *(["ViT-B-32"] if os.environ.get("LARGE_ENCODER") else [])])
def test_a_checkpoint_becomes_the_encoder_of_the_champion(
    name: str, small_arch: str, champion: Release, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    settings.AUTO_MAX_MISSED, settings.AUTO_CONFIDENCE, settings.AUTO_PREVALENCE = 0.1, 0.8, 0.2
    arch = small_arch if name == "small" else name
    tower = checkpoint_of(arch, tmp_path / "weights.safetensors")
    monkeypatch.setattr(activations, "CHANGED", 60)  # three changes of each photo: an epoch in seconds
    capture_published(monkeypatch)
    label_photos(train=10, calibration=1, test=1)

    told = change_encoder("--arch", arch, "--checkpoint", str(tmp_path / "weights.safetensors"))
    made = Release.objects.get(status="base")
    assert f"train --base {made.pk}" in told
    with pytest.raises(PromotionRefused, match="only a challenger"):
        promotion_services.promote(
            user=None, release=made, reason="By accident, as it happens.", acknowledge_too_few=True
        )
    with pytest.raises(PromotionConflict, match="rejected or is already"):
        releases_services.make_champion(release=made, user=None, reason="Past the service.")
    assert Release.objects.get(status="champion") == champion

    parameters = {"trials": 1, "epochs": 1}
    run = runs_services.start_training(user=None, parameters=parameters, base=made)
    worker.run(str(run.pk))
    run = TrainingRun.objects.get()
    assert run.status == "succeeded", run.error
    new = run.release
    assert new is not None and new.manifest["base"] == made.pk and new.manifest["encoder"]["name"] == arch
    assert new.manifest["quantisation"]["decision"].startswith("int8 ")
    policy = new.manifest["policy"]
    assert policy["limits"] == {"missed": 0.1, "false_alarms": 0.05}, "the settings reach the thresholds"
    assert (policy["confidence"], policy["prevalence"]) == (0.8, 0.2)
    card = (store.folder_of(new) / "card.md").read_text()
    assert policy["normal"]["message"] in card and policy["cataract"]["message"] in card
    photo = render_eye(3, size=200)
    ours = serving.load(made).embed([photo])[0][: int(tower.config["embed_dim"])]
    assert np.abs(ours - _as_open_clip(tower, photo)).max() < 1e-4

    # An epoch on random weights makes no good release: the change-control plan is asked in test_promotion.py.
    releases_services.make_champion(release=new, user=None, reason="To see what follows.")
    assert EmbeddingJob.objects.get(release=new).total == EyeImage.objects.count() > 20
    embeddings_worker.sweep(seconds=600)
    job = EmbeddingJob.objects.get(release=new)
    assert (job.status, job.embedded, job.unreadable) == ("done", EyeImage.objects.count(), 0)
    image = EyeImage.objects.first()
    assert image is not None
    candidates = list(EyeImage.objects.values_list("pk", flat=True))
    assert len(similar.nearest(image, candidates, encoder=new.encoder, count=3)) == 3


def _as_open_clip(tower: base_release.Tower, photo: Any) -> Any:
    preprocessing = {**open_clip.get_model_preprocess_cfg(tower.model), **PREPROCESSING}
    transform = image_transform_v2(PreprocessCfg(**preprocessing), is_train=False)
    with torch.no_grad():
        model: Any = tower.model
        return model.encode_image(transform(Image.fromarray(photo))[None], normalize=True).numpy()[0]


def test_a_run_from_a_base_release_trains_both_models(
    small_arch: str, champion: Release, tmp_path: Path, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    capture_published(monkeypatch)
    label_photos(train=10, calibration=1, test=1)
    checkpoint_of(small_arch, tmp_path / "weights.safetensors")
    arguments = ("--arch", small_arch, "--checkpoint", str(tmp_path / "weights.safetensors"))
    change_encoder(*arguments), change_encoder(*arguments)
    made = Release.objects.get(status="base")  # the same weights again are the same release

    client.force_login(UserFactory.create(roles=["admin"]))
    page = client.get("/admin/training/trainingrun/add/")
    assert made.pk in page.content.decode()
    asked = {"kind": "fast", "base": made.pk, "reason": ""}
    refused = client.post("/admin/training/trainingrun/add/", asked)
    assert refused.status_code == 422 and "train both from it" in refused.content.decode()
    address = "/api/v1/training-runs"
    unknown = client.post(address, {"base_release": "nothing"}, content_type="application/json")
    assert unknown.status_code == 422
    started = client.post(address, {"base_release": made.pk}, content_type="application/json")
    assert started.status_code == 202 and started.json()["base_release"] == made.pk
    with pytest.raises(CommandError, match="There is no release nothing"):
        call_command("train", "--base", "nothing")


def test_without_a_network_the_error_names_the_checkpoint_option(
    champion: Release, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreachable(*args: object, **kwargs: object) -> None:
        raise OSError("Name or service not known")

    monkeypatch.setattr(socket, "create_connection", unreachable)
    with pytest.raises(CommandError, match=r"Is there a network\?.*--checkpoint FILE") as refused:
        change_encoder("--arch", "ViT-B-32", "--pretrained", "laion2b_s34b_b79k")
    assert "laion/CLIP-ViT-B-32-laion2B-s34B-b79K" in str(refused.value)
    assert not Release.objects.filter(status="base").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--arch", "ViT-B-32", "--pretrained", "nothing"], "its tags are: .*laion2b_s34b_b79k"),
        (["--arch", "ViT-Q-99", "--pretrained", "x"], "knows no architecture 'ViT-Q-99'"),
        (["--checkpoint", "nowhere.safetensors"], "There is no file"),
        (["--checkpoint", __file__], "is not a safetensors file"),
        (["--pretrained", "openai", "--pretrained-cfg", "openai"], "brings its own preprocessing"),
        (["--arch", "timm/nothing", "--pretrained", "x"], "timm knows no tower 'nothing'"),
        (["--arch", "timm/vit_small_patch14_dinov2", "--pretrained", "x"], "its tags are: lvd142m"),
    ],
)
def test_weights_that_cannot_be_had_are_refused_in_words(champion: Release, arguments: list[str], said: str) -> None:
    with pytest.raises(CommandError, match=said):
        change_encoder(*arguments)
    assert not Release.objects.filter(status="base").exists()


def test_weights_of_another_architecture_are_refused(small_arch: str, champion: Release, tmp_path: Path) -> None:
    checkpoint_of(small_arch, tmp_path / "weights.safetensors")
    arguments = ("--arch", "ViT-B-32", "--checkpoint", str(tmp_path / "weights.safetensors"))
    with pytest.raises(CommandError, match=r"open_clip_config\.json cannot be used: it describes a model with"):
        change_encoder(*arguments)
    with pytest.raises(CommandError, match=r"does not fit ViT-B-32: \d+ of \d+ weights"):
        change_encoder(*arguments, "--pretrained-cfg", "openai")


def test_embedding_goes_on_where_it_stopped_and_twice_does_no_harm(
    champion: Release, monkeypatch: pytest.MonkeyPatch
) -> None:
    label_photos(train=3, calibration=1, test=1)
    first, lost = EyeImage.objects.order_by("pk")[:2]
    EyeImage.objects.filter(pk=lost.pk).update(stored_name="aa/lost.png")
    monkeypatch.setattr(embeddings_worker, "_CHUNK", 2)
    out = io.StringIO()
    call_command("embed_photos", stdout=out)
    job = EmbeddingJob.objects.get(release=champion, status="waiting")
    assert f"{job.total} photos" in out.getvalue()
    assert EmbeddingJob.objects.ask_for(release=champion) == job

    assert embeddings_worker.go_on(job.pk, seconds=0), "time for one chunk, and photos are left"
    assert Embedding.objects.filter(image=first).count() == 1
    EmbeddingJob.objects.filter(pk=job.pk).update(cursor=None)  # as after a kill between two writes
    assert embeddings_worker.go_on(job.pk, seconds=60) is False
    job.refresh_from_db()
    assert job.status == "done" and job.unreadable == 2  # the lost one was tried again
    assert Embedding.objects.filter(encoder=champion.encoder).count() == EyeImage.objects.count() - 1
    assert embeddings_worker.go_on(job.pk) is False


def test_two_workers_never_hold_one_job(champion: Release) -> None:
    label_photos(train=1, calibration=1, test=1)
    job = EmbeddingJob.objects.ask_for(release=champion)
    held = EmbeddingJob.objects.get(pk=job.pk)
    assert EmbeddingJob.objects.claim(held, timedelta(minutes=1)) == 1
    assert EmbeddingJob.objects.claim(EmbeddingJob.objects.get(pk=job.pk), timedelta(minutes=1)) is None
    assert embeddings_worker.go_on(job.pk) is False and not Embedding.objects.exists()
