"""Releases in the Django admin: compare, promote and roll back."""

from typing import Any
from uuid import UUID

from django.conf import settings
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.urls import URLPattern, path, reverse
from django.views.decorators.http import require_POST

from cataract.core.admin import ReadOnlyAdmin
from cataract.core.errors import DomainError
from cataract.core.http.step_up import require_confirmation
from cataract.core.http.users import user_of
from predictions.acceptance import rules
from predictions.answering.services import disclose_photos
from predictions.photos.models import EyeImage
from predictions.releases import services as releases_services
from predictions.releases.models import Promotion, Release
from training.comparison import services as comparison_services
from training.comparison.admin_utils import release_admin_url, require_promote_permission
from training.comparison.forms import ReasonForm
from training.comparison.measure_rows import measure_rows
from training.comparison.models import Comparison, ReleaseReview
from training.comparison.promotable import needs_acknowledgement
from training.evidence import views as evidence_views
from training.evidence.card import card_sections
from training.promotion import decision
from training.promotion import services as promotion_services
from training.promotion.forms import FlipForm, PromoteForm, RejectionForm


@admin.register(ReleaseReview)
class ReleaseReviewAdmin(ReadOnlyAdmin):
    list_title = "Releases"
    list_display = ("id", "status", "created_at", "promoted_at", "verdict")
    list_filter = ("status",)
    change_list_template = "admin/training/release_list.html"

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm("predictions.view_release")

    @admin.display(description="against the champion")
    def verdict(self, release: Release) -> str:
        comparison = Comparison.objects.standing(release)
        return comparison.get_verdict_display() if comparison else "-"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return super().get_queryset(request).defer("manifest", "metrics")

    def get_urls(self) -> list[URLPattern]:
        wrap = self.admin_site.admin_view
        return [
            path("<str:release_id>/evidence/", wrap(evidence_views.page), name="training_evidence"),
            path("<str:release_id>/evidence.pdf", wrap(evidence_views.download), name="training_evidence_pdf"),
            path("rollback/", wrap(self.rollback), name="training_rollback"),
            path("<str:release_id>/compare/", wrap(require_POST(self.compare)), name="training_compare"),
            path("<str:release_id>/promote/", wrap(require_POST(self.promote)), name="training_promote"),
            path("<str:release_id>/reject/", wrap(require_POST(self.reject)), name="training_reject"),
            path("<str:release_id>/decide/", wrap(require_POST(self.decide)), name="training_decide"),
            path("<str:release_id>/flips/<uuid:image_id>/", wrap(self.flip), name="training_flip"),
            *super().get_urls(),
        ]

    def change_view(self, request: HttpRequest, object_id: str, *args: Any, **kwargs: Any) -> HttpResponse:
        """One release with its evidence, and the form that promotes it."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        return self._release_page(request, get_object_or_404(Release, pk=object_id))

    def compare(self, request: HttpRequest, release_id: str) -> HttpResponse:
        require_promote_permission(request)
        release = get_object_or_404(Release, pk=release_id)
        try:
            comparison_services.request_comparison(release=release)
            messages.success(request, "A worker is comparing the two releases. Reload this page in a minute.")
        except DomainError as error:
            messages.error(request, str(error))
        return HttpResponseRedirect(release_admin_url(release.pk))

    def promote(self, request: HttpRequest, release_id: str) -> HttpResponse:
        """Promote, or request it where two people promote; answer 422 with every reason why not."""
        require_promote_permission(request)
        require_confirmation(request)
        release = get_object_or_404(Release, pk=release_id)
        form = PromoteForm(request.POST)
        if form.is_valid():
            try:
                made = promotion_services.promote(user=user_of(request), release=release, **form.cleaned_data)
            except DomainError as error:
                form.add_error(None, str(error))
            else:
                done = isinstance(made, Promotion)
                message = f"Release {release.pk} serves now." if done else "Another admin must confirm this promotion."
                messages.success(request, message)
                return HttpResponseRedirect(release_admin_url(release.pk))
        return self._release_page(request, release, form, status=422)

    def reject(self, request: HttpRequest, release_id: str) -> HttpResponse:
        """Reject a challenger for good; answer 422 without a reason."""
        require_promote_permission(request)
        release = get_object_or_404(Release, pk=release_id)
        form = RejectionForm(request.POST)
        if form.is_valid():
            try:
                releases_services.reject_release(
                    release=release, user=user_of(request), reason=form.cleaned_data["reason"]
                )
            except DomainError as error:
                form.add_error(None, str(error))
            else:
                messages.success(request, f"Release {release.pk} is rejected.")
                return HttpResponseRedirect(release_admin_url(release.pk))
        return self._release_page(request, release, rejection=form, status=422)

    def decide(self, request: HttpRequest, release_id: str) -> HttpResponse:
        """Confirm or decline a promotion request; answer 422 with every reason why not."""
        require_promote_permission(request)
        require_confirmation(request)
        release = get_object_or_404(Release, pk=release_id)
        open_request = promotion_services.open_request(release)
        if open_request is None:
            raise Http404
        try:
            if "confirm" in request.POST:
                promotion_services.confirm_promotion(user=user_of(request), request=open_request)
                messages.success(request, f"Release {release_id} serves now.")
            else:
                promotion_services.decline_promotion(user=user_of(request), request=open_request)
                messages.success(request, "The request was declined.")
        except DomainError as error:
            form = PromoteForm({"reason": open_request.reason})
            form.add_error(None, str(error))
            return self._release_page(request, release, form, status=422)
        return HttpResponseRedirect(release_admin_url(release_id))

    def flip(self, request: HttpRequest, release_id: str, image_id: UUID) -> HttpResponse:
        """A photo that turns from right to wrong, with both outputs; saving its cause opens the next one."""
        require_promote_permission(request)
        release = get_object_or_404(Release, pk=release_id)
        comparison = Comparison.objects.standing(release)
        order = comparison.right_to_wrong() if comparison else []
        if comparison is None or str(image_id) not in order:
            raise Http404
        disclose_photos(images=[image_id], user=user_of(request))
        noted = comparison.standing_causes().get(str(image_id))
        sent = request.POST if request.method == "POST" else None
        form = FlipForm(sent, initial={"cause": noted.cause} if noted else {})
        if form.is_valid():
            comparison_services.note_flip(
                user=user_of(request), comparison=comparison, image=str(image_id), cause=form.cleaned_data["cause"]
            )
            left = comparison.flips_without_cause()
            return HttpResponseRedirect(
                _flip_url(release.pk, left[0]) if left else f"{release_admin_url(release.pk)}#flips"
            )
        context = {
            "title": f"Photo {order.index(str(image_id)) + 1} of {len(order)} that turn from right to wrong",
            "release": release,
            "flip": next(flip for flip in comparison.report["flips"] if flip["image"] == str(image_id)),
            "image": get_object_or_404(EyeImage.objects.kept(), pk=image_id),
            "noted": noted,
            "form": form,
            "left": len(comparison.flips_without_cause()),
        }
        return self.page(request, "admin/training/flip.html", context, 422 if form.errors else 200)

    def rollback(self, request: HttpRequest) -> HttpResponse:
        """Show which release would serve again; roll back when the form is posted."""
        require_promote_permission(request)
        require_confirmation(request)
        form = ReasonForm(request.POST or None)
        if request.method == "POST" and form.is_valid():
            try:
                promotion = promotion_services.rollback(user=user_of(request), reason=form.cleaned_data["reason"])
            except DomainError as error:
                form.add_error(None, str(error))
            else:
                messages.success(request, f"Release {promotion.release_id} serves again.")
                return HttpResponseRedirect(reverse("admin:training_releasereview_changelist"))
        last = Promotion.objects.filter(release__status=Release.Status.CHAMPION).first()
        context = {"title": "Roll back", "form": form, "last": last}
        return self.page(request, "admin/training/rollback.html", context, 422 if form.errors else 200)

    def _release_page(
        self,
        request: HttpRequest,
        release: Release,
        form: PromoteForm | None = None,
        rejection: RejectionForm | None = None,
        status: int = 200,
    ) -> HttpResponse:
        user = user_of(request)
        comparison, standing = decision.shown_comparison(release)
        report = comparison.report if comparison else {}
        flips = report.get("flips", [])
        disclose_photos(images=[UUID(flip["image"]) for flip in flips], user=user)
        causes = comparison.standing_causes() if comparison else {}
        left = comparison.flips_without_cause() if comparison and standing else []
        champion = Release.objects.champions().first()
        has_champion = champion is not None
        can_be_promoted = release.status in (Release.Status.CHALLENGER, Release.Status.RETIRED)
        context = {
            "title": f"Release {release.pk}",
            "headline": decision.headline(
                release, comparison if standing else None, open_causes=len(left), has_champion=has_champion
            ),
            "release": release,
            "champion": champion,
            "comparison": comparison,
            "standing": standing,
            "report": report,
            "plots": decision.plots(report),
            "gate_lines": decision.gate_lines(report.get("gates", [])),
            "more_patients": decision.more_patients(report),
            "confusions": decision.confusions(report),
            "measures": list(measure_rows(report)),
            "flips": [{**flip, "noted": causes.get(flip["image"])} for flip in flips],
            "left": left,
            "missing": decision.missing(
                release, comparison, standing=standing, has_champion=has_champion, left=len(left)
            ),
            "form": form or PromoteForm(),
            "rejection": rejection or RejectionForm(),
            "can_be_rejected": release.status == Release.Status.CHALLENGER,
            "open_request": promotion_services.open_request(release),
            "needs_two": settings.PROMOTION_NEEDS_TWO,
            "needs_acknowledgement": needs_acknowledgement(release),
            "card": card_sections(release),
            "promotions": release.promotions.select_related("promoted_by", "previous"),
            "runs": release.training_runs.all(),
            "may_promote": user.has_perm("predictions.promote_release"),
            "needs_acceptance": rules.needs_acceptance(),
            "can_be_promoted": can_be_promoted,
        }
        return self.page(request, "admin/training/release.html", context, status)


def _flip_url(release_id: str, image: str) -> str:
    return reverse("admin:training_flip", args=[release_id, image])
