"""Forms of the user administration and of people's own passwords."""

from typing import Any

from allauth.account import forms as allauth
from allauth.account.adapter import get_adapter
from django import forms
from django.contrib.auth.forms import AdminPasswordChangeForm, AdminUserCreationForm, UserChangeForm
from django.contrib.auth.models import Group, User

from cataract.accounts import access, services
from cataract.core.models import ApiToken
from cataract.roles import NOT_FOR_SERVICES

_ROLES_HELP = "What the user may do. You can give the roles listed here."
_LAST = "This is the last account that can administer the system. Make another admin first."


class _RolesMixin(forms.ModelForm):  # type: ignore[type-arg]
    """Roles that the acting person may give. `actor` is set by the admin on a class of its own for each request."""

    actor: User

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "groups" in self.fields:
            self.fields["groups"] = forms.ModelMultipleChoiceField(
                access.roles_to_give(self.actor).order_by("name"),
                required=False,
                label="Roles",
                widget=forms.CheckboxSelectMultiple,
                help_text=_ROLES_HELP,
            )


class UserForm(_RolesMixin, UserChangeForm):  # type: ignore[type-arg]
    """An account, as the user administration changes it; it holds no single permissions."""

    class Meta:
        model = User
        fields = ("username", "password", "first_name", "last_name", "email", "is_active", "is_superuser", "groups")

    def clean(self) -> dict[str, Any]:
        values = super().clean() or self.cleaned_data
        unfit = {role.name for role in values.get("groups", ())} & NOT_FOR_SERVICES
        if unfit and services.is_service(self.instance):
            self.add_error("groups", f"{', '.join(sorted(unfit)).capitalize()}: only for people.")
        access.lock_admins()
        others = access.admins().exclude(pk=self.instance.pk)
        was = access.admins().filter(pk=self.instance.pk).exists()
        if was and not others.exists() and not self._stays_admin(values):
            raise forms.ValidationError(_LAST)
        return values

    def _stays_admin(self, values: dict[str, Any]) -> bool:
        roles: Any = values.get("groups") or Group.objects.none()
        app_label, _, codename = access.ADMINISTER.partition(".")
        administers = roles.filter(permissions__content_type__app_label=app_label, permissions__codename=codename)
        return bool(values.get("is_active") and (values.get("is_superuser", False) or administers.exists()))


class NewUserForm(_RolesMixin, AdminUserCreationForm):
    """A new account with its first password, which the user must change, or that of another system without one."""

    is_service = forms.BooleanField(
        required=False,
        label="Service account",
        help_text="For another system: it has API keys and cannot sign in. Leave the passwords empty.",
    )

    class Meta:
        model = User
        fields = ("username", "email", "groups")

    def validate_passwords(self, *args: Any, **kwargs: Any) -> None:
        if self.cleaned_data.get("is_service"):
            self.cleaned_data["usable_password"] = "false"
        super().validate_passwords(*args, **kwargs)

    def clean(self) -> dict[str, Any]:
        values = super().clean() or self.cleaned_data
        if values.get("is_service"):
            unfit = {role.name for role in values.get("groups", ())} & NOT_FOR_SERVICES
            if unfit:
                self.add_error("groups", f"{', '.join(sorted(unfit)).capitalize()}: only for people.")
        return values


class ResetPasswordForm(AdminPasswordChangeForm):
    """A new password for somebody else, which they must change when they next sign in."""

    def __init__(self, user: User, *args: Any, by: User, **kwargs: Any) -> None:
        super().__init__(user, *args, **kwargs)
        self.by = by

    def clean(self) -> dict[str, Any]:
        values = super().clean() or self.cleaned_data
        if services.is_service(self.user):
            self.add_error("password1", "A service account has no password: it uses API keys.")
        return values

    def save(self, commit: bool = True) -> User:
        password = self.cleaned_data["password1"] if self.cleaned_data.get("set_usable_password", True) else None
        services.reset_password(user=self.user, password=password, by=self.by)
        return self.user


class ChangePasswordForm(allauth.ChangePasswordForm):  # type: ignore[misc]
    """A person's own new password; their keys end with it if they say so."""

    end_keys = forms.BooleanField(required=False, label="Also revoke my API keys")

    def clean_oldpassword(self) -> str:
        """The present password, guessed no faster here than at the sign-in."""
        adapter, password = get_adapter(), str(self.cleaned_data.get("oldpassword", ""))
        if not adapter.reauthenticate(self.user, password):
            raise adapter.validation_error("enter_current_password")
        return password

    def save(self) -> None:
        super().save()
        if self.cleaned_data["end_keys"]:
            services.revoke_keys(user=self.user)


class OwnKeyForm(forms.Form):
    """A key with which a program of one's own reads cases in one's name."""

    name = forms.CharField(max_length=64, help_text="By which you will know it.")
    days = forms.IntegerField(min_value=1, max_value=90, initial=90, label="Days", help_text="How long it lives.")


class KeyForm(forms.ModelForm):  # type: ignore[type-arg]
    """A new key: whose, what for, what it may do, how long."""

    scopes = forms.MultipleChoiceField(choices=ApiToken.Scope.choices, widget=forms.CheckboxSelectMultiple)
    days = forms.IntegerField(min_value=1, max_value=730, initial=90, help_text="How long it lives, in days.")

    class Meta:
        model = ApiToken
        fields = ("user", "name")

    actor: User

    def clean(self) -> dict[str, Any]:
        values = super().clean() or self.cleaned_data
        if ApiToken.Scope.REVIEW in values.get("scopes", ()) and values.get("user") != self.actor:
            self.add_error("scopes", "A key that reads cases is made by its reader only, under My account.")
        user = values.get("user")
        if user is not None and user != self.actor and not access.may_manage(self.actor, user):
            self.add_error("user", "This account is not yours to change.")
        return values
