"""User administration: nobody gives rights they do not hold, edits themselves or a superuser; one admin stays."""

import copy
import functools
from typing import Any

from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from allauth.socialaccount.models import SocialAccount, SocialApp, SocialToken
from allauth.usersessions.models import UserSession
from django.contrib import admin, messages
from django.contrib.auth.admin import UserAdmin
from django.contrib.auth.models import Group, User
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.html import format_html

from cataract.accounts import access, events, forms, services
from cataract.core.admin import ModelAdmin, Named, ReadOnlyAdmin
from cataract.core.http.step_up import require_confirmation
from cataract.core.http.users import user_of
from cataract.core.models import ApiToken
from review.retraction.admin import RETRACT, retract_labels

for model in (
    User,
    Group,
    Authenticator,
    EmailAddress,
    UserSession,
    SocialAccount,
    SocialApp,
    SocialToken,
):  # the last six have no page: they are people's own
    admin.site.unregister(model)


@admin.register(User)
class AccountAdmin(Named, UserAdmin):  # type: ignore[type-arg]
    """Accounts. They are deactivated and never deleted: what they did names them."""

    form = forms.UserForm
    add_form = forms.NewUserForm
    list_display = ("username", "first_name", "last_name", "roles", "is_active", "last_login")
    list_filter = ("is_active", "groups")
    fieldsets = (
        (None, {"fields": ("username", "password")}),
        ("Person", {"fields": ("first_name", "last_name", "email")}),
        ("Rights", {"fields": ("is_active", "groups", "is_superuser")}),
        ("Dates", {"fields": ("last_login", "date_joined")}),
    )
    add_fieldsets = ((None, {"fields": ("username", "email", "groups", "is_service", "password1", "password2")}),)
    readonly_fields = ("last_login", "date_joined")
    filter_horizontal = ()
    actions = ("sign_out", "let_try_again", "remove_second_factor", retract_labels)

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        allowed = super().has_change_permission(request, obj)
        return allowed and (not isinstance(obj, User) or access.may_manage(user_of(request), obj))

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def get_queryset(self, request: HttpRequest) -> QuerySet[User]:
        return super().get_queryset(request).prefetch_related("groups")

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        """Only superusers see who is one, and make others so."""
        found = super().get_fieldsets(request, obj)
        if user_of(request).is_superuser:
            return found
        return [
            (name, {**options, "fields": tuple(field for field in options["fields"] if field != "is_superuser")})
            for name, options in found
        ]

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        form = super().get_form(request, obj, change=change, **kwargs)
        return type(form.__name__, (form,), {"actor": user_of(request)})

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        """Save the roles as a service does, and what follows from a closed account."""
        super().save_related(request, form, formsets, change)
        user, by = form.instance, user_of(request)
        services.set_roles(user=user, roles=form.cleaned_data.get("groups", user.groups.all()), by=by)
        if not change and form.cleaned_data["is_service"]:
            services.make_service_account(user=user, by=by)
        elif not change:
            services.reset_password(user=user, password=form.cleaned_data.get("password1") or None, by=by)
        elif "is_active" in form.changed_data and not user.is_active:
            services.close_account(user=user, by=by)
        elif "is_active" in form.changed_data:
            events.record("account_opened", user=user, by=by)
        if "is_superuser" in form.changed_data:
            events.record("superuser_changed", user=user, by=by, is_superuser=user.is_superuser)

    def user_change_password(self, request: HttpRequest, id: str, form_url: str = "") -> HttpResponse:
        """Django's page for a new password, with a form that knows who sets it."""
        require_confirmation(request)
        page = copy.copy(self)
        page.change_password_form = functools.partial(forms.ResetPasswordForm, by=user_of(request))
        return super(AccountAdmin, page).user_change_password(request, id, form_url)

    def has_retract_permission(self, request: HttpRequest) -> bool:
        return user_of(request).has_perm(RETRACT)

    def changeform_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if self.has_change_permission(request):
            require_confirmation(request)
        return super().changeform_view(request, *args, **kwargs)

    @admin.display(description="roles")
    def roles(self, user: User) -> str:
        return ", ".join(sorted(role.name for role in user.groups.all())) or ("superuser" if user.is_superuser else "")

    @admin.action(description="Sign the chosen users out everywhere", permissions=["change"])
    def sign_out(self, request: HttpRequest, chosen: QuerySet[User]) -> None:
        by = user_of(request)
        ended = sum(services.end_sessions(user=user, by=by) for user in chosen if access.may_manage(by, user))
        self.message_user(request, f"{ended} session{'' if ended == 1 else 's'} ended.", messages.INFO)

    @admin.action(description="Let the chosen users try to sign in again at once", permissions=["change"])
    def let_try_again(self, request: HttpRequest, chosen: QuerySet[User]) -> None:
        by = user_of(request)
        for user in chosen:
            services.forget_failures(user=user, by=by)
        self.message_user(request, "They can try again now.", messages.INFO)

    @admin.action(description="Remove the second factors of the chosen users", permissions=["change"])
    def remove_second_factor(self, request: HttpRequest, chosen: QuerySet[User]) -> None:
        require_confirmation(request)
        by = user_of(request)
        allowed = [user for user in chosen if access.may_manage(by, user)]
        for user in allowed:
            services.remove_second_factor(user=user, by=by)
        self.message_user(request, f"Removed for {len(allowed)}; they set up another.", messages.INFO)


@admin.register(Group)
class RoleAdmin(ReadOnlyAdmin):
    """The roles of the product; what each may do is in `cataract/roles.py`."""

    list_title = "Roles"
    fields = ("name", "permissions")
    search_fields = ("name",)


@admin.register(ApiToken)
class KeyAdmin(ModelAdmin):
    """A key is shown once, when it is made; it can be revoked and never edited."""

    form = forms.KeyForm
    fields = ("user", "name", "scopes", "days")
    list_display = ("name", "user", "scopes", "created_at", "expires_at", "last_used_at", "revoked_at")
    list_select_related = ("user",)
    actions = ("revoke",)

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        form = super().get_form(request, obj, change=change, **kwargs)
        return type(form.__name__, (form,), {"actor": user_of(request)})

    def get_fields(self, request: HttpRequest, obj: Model | None = None) -> Any:
        seen = ("user", "name", "scopes", "created_at", "expires_at", "last_used_at", "revoked_at")
        return self.fields if obj is None else seen

    def add_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        require_confirmation(request)
        return super().add_view(request, *args, **kwargs)

    def save_model(self, request: HttpRequest, obj: ApiToken, form: Any, change: bool) -> None:
        token, plain = services.make_key(
            user=obj.user,
            name=obj.name,
            scopes=form.cleaned_data["scopes"],
            days=form.cleaned_data["days"],
            by=user_of(request),
        )
        obj.pk, obj.digest = token.pk, token.digest
        obj.scopes, obj.expires_at = token.scopes, token.expires_at
        text = format_html("The key of {}: <code>{}</code> Copy it now: it is not shown again.", token.name, plain)
        messages.warning(request, text)

    @admin.action(description="Revoke the chosen keys", permissions=["revoke"])
    def revoke(self, request: HttpRequest, chosen: QuerySet[ApiToken]) -> None:
        for token in chosen:
            services.revoke_key(key=token, by=user_of(request))
        self.message_user(request, "Keys revoked.", messages.INFO)

    def has_revoke_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("predictions.change_apitoken")
