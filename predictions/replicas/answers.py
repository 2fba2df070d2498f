"""What a replica does with questions: answer each by the release that it names, together where that changes nothing."""

import logging
from collections import defaultdict

from django.conf import settings

from predictions.releases import serving
from predictions.replicas import wire
from predictions.replicas.wire import Question

log = logging.getLogger(__name__)
_Answer = tuple[int, bytes]  # the HTTP status and the body


def answer_all(asked: list[tuple[str, bytes]]) -> list[_Answer]:
    """The HTTP status and body for each (query, body); one that fails spoils no other.

    200 with the outcome; 400 for what is no question, 409 when the files of the release are damaged here, 422 when the
    photo cannot be computed.
    """
    answers: dict[int, _Answer] = {}
    groups: defaultdict[tuple[str, str, str, bool], dict[int, Question]] = defaultdict(dict)
    for number, (query, body) in enumerate(asked):
        try:
            question = wire.read_question(query, body)
        except wire.BadRequest as error:
            answers[number] = 400, str(error).encode()
        else:
            groups[(question.release, question.sha256, question.mode, question.check_sure)][number] = question
    for group in groups.values():
        answers |= zip(group, _answer_alike(list(group.values())), strict=True)
    return [answers[number] for number in range(len(asked))]


def _answer_alike(questions: list[Question]) -> list[_Answer]:
    """Answers to questions that differ in their photo only."""
    first = questions[0]
    cascade = serving.load_or_none(first.release, first.sha256)
    if cascade is None:
        return [(409, f"The files of {first.release} are damaged here.".encode())] * len(questions)
    try:
        outcomes = cascade.predict(
            [question.pixels for question in questions],
            mode=first.mode,
            check_sure=first.check_sure,
            together=settings.RAY_BATCH_SIZE,
        )
    except Exception as error:
        if len(questions) > 1:  # one of them is the cause
            return [answer for question in questions for answer in _answer_alike([question])]
        log.exception("A photo failed in a replica")
        return [(422, f"{type(error).__name__}: {error}".encode())]
    return [(200, wire.pack(outcome)) for outcome in outcomes]
