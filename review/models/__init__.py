"""A person looks: the case, the readings of it, and the label that they make."""

from review.models.answers import VIEWER_KEYS, Answer, Grade, OtherPathology, UngradableBecause
from review.models.cases import ReviewCase, ReviewCaseQuerySet, ShownFirst, Skip
from review.models.labels import Label, LabelQuerySet
from review.models.readings import Reading, ReviewerSettings

__all__ = [
    "VIEWER_KEYS",
    "Answer",
    "Grade",
    "Label",
    "LabelQuerySet",
    "OtherPathology",
    "Reading",
    "ReviewCase",
    "ReviewCaseQuerySet",
    "ReviewerSettings",
    "ShownFirst",
    "Skip",
    "UngradableBecause",
]
