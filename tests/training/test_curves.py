"""The plots of a run's page: trials, learning curve and epochs as they come."""

import json
import math
import re

import pytest
from django.test import Client
from django.urls import reverse

from predictions.releases.models import Release
from tests.factories import TrainingRunFactory, UserFactory
from tests.training.makers import TRIALS
from training.runs.curves import Curves, plots
from training.runs.models import TrainingRun
from training.runs.reporter import RunReporter


def test_a_running_run_shows_its_losses_and_a_poll_brings_the_next(client: Client, champion: Release) -> None:
    client.force_login(UserFactory.create(roles=["admin"]))
    run = TrainingRunFactory.create(base_release=champion)
    TrainingRun.objects.filter(pk=run.pk).move("running", attempts=1)
    run.refresh_from_db()
    part = reverse("admin:training_run_part", args=[run.pk])
    assert "chart" not in client.get(part).content.decode()
    reporter = RunReporter(run)
    reporter.metric(TRIALS[0], 0)
    reporter.beat()
    assert "1 trial, 0 pruned" in client.get(part).content.decode()
    reporter.metric(TRIALS[1], 1)
    reporter.metric({"validation_loss": 0.5, "train_loss": 0.4, "fit": 0, "fits": 2}, 1)
    reporter.beat()
    page = client.get(part).content.decode()
    assert "2 trials, 1 pruned. Over its 2 folds the best trial&#x27;s log loss goes from 0.300 to 0.500" in page
    assert "pruned after fold 1 (log loss 0.100)" in page
    assert re.search(r"<title>Fine-tuning of the accurate model</title><desc>loss by epoch", page)
    assert "Fit 1 of 2." in page


def test_a_point_that_a_later_attempt_reports_again_counts_once_and_nan_is_left_out() -> None:
    curves = Curves()
    curves.add({"validation_loss": 0.9}, 1)
    again = Curves(json.loads(json.dumps(curves.stored(), allow_nan=False)))
    again.add({"validation_loss": 0.5}, 1)
    again.add({"validation_loss": math.nan, "train_loss": 0.3}, 2)
    stored = json.loads(json.dumps(again.stored(), allow_nan=False))
    assert stored == {"epochs": {"0.1": {"validation_loss": 0.5}, "0.2": {"train_loss": 0.3}}}


@pytest.mark.parametrize("stored", [{}, {"trials": {"0": {"pruned": True, "log_loss": 0.3}}}, {"epochs": {"0.0": {}}}])
def test_without_a_finished_trial_or_epoch_there_is_no_plot(stored: dict[str, dict[str, object]]) -> None:
    assert plots(stored) == []


def test_the_fits_of_the_accurate_model_show_their_spread() -> None:
    curves = Curves()
    for fit, lowest in ((0, 0.30), (1, 0.42)):
        for epoch, loss in enumerate((0.6, lowest, 0.5)):
            curves.add({"validation_loss": loss, "train_loss": 0.4, "fit": fit, "fits": 3}, epoch)
    (plot,) = plots(curves.stored())
    assert plot.words == "Fit 2 of 3. The lowest held-out loss of the fits goes from 0.300 to 0.420."
    assert "fit 1: 3 values" in plot.svg and "held out: 3 values" in plot.svg
