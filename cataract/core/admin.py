"""Base classes of admin pages, and the admin of API keys."""

from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import admin, messages
from django.core.paginator import Paginator
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.functional import cached_property
from django.utils.html import format_html
from django.utils.text import capfirst

from cataract.core import tokens
from cataract.core.models import ApiToken
from cataract.core.querysets import count_up_to

if TYPE_CHECKING:
    ModelAdmin = admin.ModelAdmin[Any]
else:
    ModelAdmin = admin.ModelAdmin


MOST_LISTED = 2_000


class FirstRows(Paginator):  # type: ignore[type-arg]
    """Pages of the first MOST_LISTED rows: counting and skipping a million of them would take seconds."""

    @cached_property
    def count(self) -> int:
        return count_up_to(self.object_list, MOST_LISTED).number  # type: ignore[arg-type]


class ReadOnlyAdmin(ModelAdmin):
    """Rows to look at. Nothing is added, edited or deleted here: rows are written by services."""

    list_title = ""
    paginator = FirstRows
    show_full_result_count = False

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """The list, with `list_title` as its heading instead of "Select ... to view"."""
        title = self.list_title or capfirst(str(self.opts.verbose_name_plural))
        response = super().changelist_view(request, {"title": title, **(extra_context or {})})
        listing = getattr(response, "context_data", {}).get("cl")
        if listing is not None and listing.result_count >= MOST_LISTED:
            response.context_data["title"] = f"{title}: the first {MOST_LISTED:,}. Search or filter to see others."  # type: ignore[attr-defined]
        return response

    def page(self, request: HttpRequest, template: str, context: dict[str, Any], status: int = 200) -> HttpResponse:
        """A page of our own inside the admin's frame."""
        full = {**self.admin_site.each_context(request), "opts": self.model._meta, **context}
        return TemplateResponse(request, template, full, status=status)


class TokenForm(forms.ModelForm):  # type: ignore[type-arg]
    """A new key: whose, what for, what it may do, how long."""

    scopes = forms.MultipleChoiceField(choices=ApiToken.Scope.choices, widget=forms.CheckboxSelectMultiple)
    days = forms.IntegerField(min_value=1, max_value=730, initial=90, help_text="How long it lives, in days.")

    class Meta:
        model = ApiToken
        fields = ("user", "name")


@admin.register(ApiToken)
class ApiTokenAdmin(ModelAdmin):
    """A key is shown once, when it is made; it can be revoked and never edited."""

    form = TokenForm
    fields = ("user", "name", "scopes", "days")
    list_display = ("name", "user", "scopes", "created_at", "expires_at", "last_used_at", "revoked_at")
    list_select_related = ("user",)
    actions = ("revoke",)

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def get_fields(self, request: HttpRequest, obj: Model | None = None) -> Any:
        seen = ("user", "name", "scopes", "created_at", "expires_at", "last_used_at", "revoked_at")
        return self.fields if obj is None else seen

    def save_model(self, request: HttpRequest, obj: ApiToken, form: Any, change: bool) -> None:
        token, plain = tokens.create_token(
            user=obj.user, name=obj.name, scopes=form.cleaned_data["scopes"], days=form.cleaned_data["days"]
        )
        obj.pk, obj.digest = token.pk, token.digest
        obj.scopes, obj.expires_at = token.scopes, token.expires_at
        text = format_html("The key of {}: <code>{}</code> Copy it now: it is not shown again.", token.name, plain)
        messages.warning(request, text)

    @admin.action(description="Revoke the chosen keys", permissions=["revoke"])
    def revoke(self, request: HttpRequest, chosen: QuerySet[ApiToken]) -> None:
        for token in chosen:
            tokens.revoke_token(token=token)
        self.message_user(request, "Keys revoked.", messages.INFO)

    def has_revoke_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("predictions.change_apitoken")
