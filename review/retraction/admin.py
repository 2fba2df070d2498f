"""Retract the labels of a reader in the admin: an action on accounts, and the record of each retraction."""

from typing import Any

from django.contrib import admin, messages
from django.contrib.auth.models import User
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from cataract.core.admin import ReadOnlyAdmin
from cataract.core.errors import DomainError
from cataract.core.http.users import user_of
from review.retraction import services
from review.retraction.forms import RetractionForm
from review.retraction.models import Retraction

RETRACT = "review.retract_labels"


@admin.register(Retraction)
class RetractionAdmin(ReadOnlyAdmin):
    list_title = "Retracted readers"
    list_display = ("at", "reader", "reason", "by", "counts", "learned")
    list_select_related = ("reader", "by")
    fields = ("reader", "reason", "by", "at", "counts", "learned")

    def has_add_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm(RETRACT)

    @admin.display(description="retracted")
    def counts(self, row: Retraction) -> str:
        return f"{row.readings.count()} readings, {row.labels.count()} labels"

    @admin.display(description="what learned from them")
    def learned(self, row: Retraction) -> SafeString:
        return format_html(
            '<a href="{}?reader={}">Datasets, runs, releases</a>', reverse("training:lineage"), row.reader_id
        )

    def add_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """Ask for the reader and the reason; retract when the form is posted."""
        if not self.has_add_permission(request):
            return HttpResponseRedirect(reverse("admin:review_retraction_changelist"))
        form = RetractionForm(request.POST or None, initial={"reader": request.GET.get("reader")})
        if form.is_valid():
            try:
                made = services.retract_reader(user=user_of(request), **form.cleaned_data)
            except DomainError as error:
                form.add_error(None, error.message)
            else:
                messages.success(request, f"Retracted: {self.counts(made)}. Their photos wait for readers again.")
                return HttpResponseRedirect(reverse("admin:review_retraction_changelist"))
        context = {"title": "Retract the labels of a reader", "form": form}
        return self.page(request, "admin/review/retract.html", context, 422 if form.errors else 200)


@admin.action(description="Retract the labels of the chosen reader", permissions=["retract"])
def retract_labels(accounts: Any, request: HttpRequest, chosen: QuerySet[User]) -> HttpResponse | None:
    """An action of the user administration, which offers it to those who hold RETRACT."""
    if chosen.count() != 1:
        accounts.message_user(request, "Choose one reader.", messages.ERROR)
        return None
    return HttpResponseRedirect(f"{reverse('admin:review_retraction_add')}?reader={chosen.get().pk}")
