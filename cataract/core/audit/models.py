"""The audit log: who did and saw what, as rows that are only ever added, and the chain of hashes over them."""

from typing import ClassVar

from django.conf import settings
from django.db import models
from django.utils import timezone


class Act(models.TextChoices):
    """What was done. The words are those of the auditor's page."""

    SIGNED_IN = "signed_in", "signed in"
    SIGNED_OUT = "signed_out", "signed out"
    SIGN_IN_FAILED = "sign_in_failed", "failed to sign in"
    RIGHTS_CHANGED = "rights_changed", "changed somebody's rights"
    ACCOUNT_CHANGED = "account_changed", "changed an account"
    KEY_MADE = "key_made", "made an API key"
    KEY_REVOKED = "key_revoked", "revoked an API key"
    ADMIN_CHANGED = "admin_changed", "changed something in the admin"
    PHOTO_SENT = "photo_sent", "sent a photo"
    PHOTO_VIEWED = "photo_viewed", "looked at a photo"
    PHOTO_DOWNLOADED = "photo_downloaded", "downloaded an original"
    ANSWERS_SHOWN = "answers_shown", "was shown answers"
    EXPORTED = "exported", "exported data"
    READ = "read", "answered a case"
    READ_FINAL = "read_final", "kept or changed an answer after the AI's was shown"
    READING_UNDONE = "reading_undone", "took a reading back"
    AMENDED = "amended", "amended or reopened a case"
    LABELLED = "labelled", "a label was made"
    LABELS_RETRACTED = "labels_retracted", "retracted a reader's labels"
    OUTCOME_RECORDED = "outcome_recorded", "recorded a later outcome"
    CORRECTED = "corrected", "corrected a photo's eye or patient, or withdrew it"
    CONSENT_CHANGED = "consent_changed", "changed a consent"
    DELETION_ASKED = "deletion_asked", "asked for a deletion"
    DELETION_MOVED = "deletion_moved", "confirmed, cancelled, restored or purged a deletion"
    HOLD_CHANGED = "hold_changed", "placed or lifted a legal hold"
    PROMOTED = "promoted", "promoted a release"
    PROMOTION_ASKED = "promotion_asked", "asked for a promotion, or declined one"
    ROLLED_BACK = "rolled_back", "rolled back to the release before"
    RELEASES_SIGNED = "releases_signed", "signed releases"
    RELEASE_REJECTED = "release_rejected", "rejected a release"
    FLIP_EXPLAINED = "flip_explained", "stated why a flip is accepted"
    LIVE_TEST = "live_test", "started or ended a live test"
    ACCEPTANCE_CHANGED = "acceptance_changed", "accepted or withdrew automatic answers"
    AI_STOPPED = "ai_stopped", "switched the AI off: people only"
    AI_RESUMED = "ai_resumed", "switched the AI on again"
    TRAINING_STARTED = "training_started", "started or stopped a training run"
    OPERATED = "operated", "took care of the running system"
    CHAIN_VERIFIED = "chain_verified", "verified the audit log"
    CHAIN_BROKEN = "chain_broken", "found the audit log changed"


class AuditEntry(models.Model):
    """One act: who, by what, what about, when. The database refuses every change and every deletion.

    It names people by account and everything else by id: never a patient's pseudonym, a file name or an answer, so that
    it may outlive what it speaks of and be read by people who read photos blind.
    """

    id = models.BigAutoField(primary_key=True)
    at = models.DateTimeField(default=timezone.now, db_index=True)
    act = models.CharField(max_length=20, choices=Act)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, blank=True, related_name="+", db_index=False
    )
    username = models.CharField(max_length=150, blank=True, help_text="As it was then; empty for the system itself.")
    session = models.CharField(max_length=32, blank=True, help_text="The mark of the session, as at its sign-in.")
    key = models.BigIntegerField(null=True, blank=True, help_text="The id of the API key.")
    address = models.CharField(max_length=64, blank=True)
    kind = models.CharField(max_length=60, blank=True, help_text="The model of the object, as app.model.")
    object = models.CharField(max_length=64, blank=True, help_text="The object's id.")
    detail = models.JSONField(default=dict, blank=True)

    class Meta:
        app_label = "cataract"
        ordering: ClassVar = ["-pk"]
        default_permissions: ClassVar = ("view",)
        verbose_name_plural = "audit entries"
        indexes: ClassVar = [
            models.Index(fields=["object", "act", "user", "at"], name="audit_of_object"),
            models.Index(fields=["user", "id"], name="audit_of_user"),
            models.Index(fields=["act", "id"], name="audit_of_act"),
        ]

    def __str__(self) -> str:
        return f"{self.at:%Y-%m-%d %H:%M:%S} {self.username or 'the system'} {self.get_act_display()}"


class AuditSeal(models.Model):
    """The place of one entry in the chain. Only ever added; the last of each batch is signed.

    hash = SHA-256 of the hash before it and of the entry (`chain.text_of`). Numbers have no gaps.
    """

    number = models.BigIntegerField(primary_key=True)
    entry = models.OneToOneField(AuditEntry, on_delete=models.PROTECT, related_name="seal")
    hash = models.CharField(max_length=64)
    signature = models.CharField(max_length=64, blank=True)

    class Meta:
        app_label = "cataract"
        ordering: ClassVar = ["number"]
        default_permissions: ClassVar = ()

    def __str__(self) -> str:
        return f"{self.number}: {self.hash[:12]}"
