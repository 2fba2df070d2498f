"""Live tests in the Django admin: start one in shadow or A/B, read its report, stop it."""

from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.urls import URLPattern, path, reverse
from django.utils.safestring import SafeString
from django.views.decorators.http import require_POST

from cataract.core import charts
from cataract.core.admin import ReadOnlyAdmin
from cataract.core.errors import DomainError
from cataract.core.http.users import user_of
from predictions.releases.models import LiveTest
from training.comparison.admin_utils import require_promote_permission
from training.livetests import services
from training.livetests.forms import LiveTestForm
from training.livetests.models import LiveTestReview
from training.livetests.report import report_to


@admin.register(LiveTestReview)
class LiveTestAdmin(ReadOnlyAdmin):
    list_title = "Live tests"
    list_display = ("challenger", "kind", "share", "champion", "photos", "started_at", "ended_at", "end_reason")
    list_filter = ("kind",)
    list_select_related = ("challenger", "champion")

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm("predictions.view_livetest")

    def has_add_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("predictions.promote_release")

    def get_urls(self) -> list[URLPattern]:
        stop = self.admin_site.admin_view(require_POST(self.stop))
        return [path("<uuid:test_id>/stop/", stop, name="training_live_stop"), *super().get_urls()]

    def add_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """Start a test: challenger, kind, number of photos and reason."""
        require_promote_permission(request)
        form = LiveTestForm(request.POST or None, initial={"release": request.GET.get("release", "")})
        if request.method == "POST" and form.is_valid():
            try:
                test = services.start_live_test(user=user_of(request), **form.cleaned_data)
            except DomainError as error:
                form.add_error(None, str(error))
            else:
                messages.success(request, f"The live test of {test.challenger_id} has started.")
                return HttpResponseRedirect(_page_of(test))
        context = {"title": "Try a challenger on live photos", "form": form}
        return self.page(request, "admin/training/live_start.html", context, 422 if form.errors else 200)

    def change_view(self, request: HttpRequest, object_id: str, *args: Any, **kwargs: Any) -> HttpResponse:
        """The test and its report. It discloses live predictions, so the user no longer reads these photos blind."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        test = get_object_or_404(LiveTest.objects.select_related("challenger", "champion", "started_by"), pk=object_id)
        report = report_to(user_of(request), test)
        context = {
            "title": f"Live test of {test.challenger_id}",
            "test": test,
            "report": report,
            "histogram": _histogram(report) if "scores" in report else "",
            "may_act": request.user.has_perm("predictions.promote_release"),
        }
        return self.page(request, "admin/training/live.html", context)

    def stop(self, request: HttpRequest, test_id: Any) -> HttpResponse:
        require_promote_permission(request)
        test = get_object_or_404(LiveTest, pk=test_id)
        try:
            services.stop_live_test(user=user_of(request), test=test, reason=request.POST.get("reason", "")[:500])
            messages.success(request, "Stopped. The champion answers every photo from now on.")
        except DomainError as error:
            messages.error(request, str(error))
        return HttpResponseRedirect(_page_of(test))


def _page_of(test: LiveTest) -> str:
    return reverse("admin:training_livetestreview_change", args=[test.pk])


def _histogram(report: dict[str, Any]) -> SafeString:
    bins = [(row["champion"], row["challenger"]) for row in report["scores"]["bins"]]
    return charts.histogram("How often each release gave which probability", bins)
