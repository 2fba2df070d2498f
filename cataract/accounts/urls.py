"""Addresses of accounts. Their names are those by which django-allauth looks for its pages."""

from allauth.account import views as allauth
from allauth.mfa.base import views as mfa
from allauth.mfa.recovery_codes import views as recovery_codes
from allauth.mfa.totp import views as totp
from allauth.mfa.webauthn import views as webauthn
from allauth.socialaccount.providers.openid_connect import views as openid
from django.contrib.auth.views import LogoutView
from django.urls import URLPattern, URLResolver, path
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from cataract.accounts import views

_form = require_http_methods(["GET", "HEAD", "POST"])  # class-based forms also take PUT for POST
urlpatterns: list[URLPattern | URLResolver] = [
    path("", views.account, name="account"),
    path("login/", _form(allauth.login), name="account_login"),
    path("logout/", LogoutView.as_view(), name="account_logout"),
    path("inactive/", allauth.account_inactive, name="account_inactive"),
    path("password/", _form(allauth.password_change), name="account_change_password"),
    path("sessions/", views.sessions, name="account_sessions"),
    path("sessions/<int:pk>/end/", views.end_session, name="account_end_session"),
    path("reauthenticate/", _form(allauth.reauthenticate), name="account_reauthenticate"),
    path("sign-on/<str:provider_id>/", require_POST(openid.login), name="openid_connect_login"),
    path("sign-on/<str:provider_id>/back/", require_GET(openid.callback), name="openid_connect_callback"),
    path("sign-on-confirm/", views.confirm_by_sign_on, name="account_confirm_by_sign_on"),
    path("sign-on-logout/", views.logout_by_provider, name="account_logout_by_provider"),
    path("second-factor/", mfa.index, name="mfa_index"),
    path("second-factor/code/", _form(mfa.authenticate), name="mfa_authenticate"),
    path("second-factor/confirm/", _form(mfa.reauthenticate), name="mfa_reauthenticate"),
    path("second-factor/app/add/", _form(totp.activate_totp), name="mfa_activate_totp"),
    path("second-factor/app/remove/", _form(totp.deactivate_totp), name="mfa_deactivate_totp"),
    path("second-factor/recovery-codes/", recovery_codes.view_recovery_codes, name="mfa_view_recovery_codes"),
    path(
        "second-factor/recovery-codes/new/",
        _form(recovery_codes.generate_recovery_codes),
        name="mfa_generate_recovery_codes",
    ),
    path("second-factor/passkeys/", webauthn.list_webauthn, name="mfa_list_webauthn"),
    path("second-factor/passkeys/add/", _form(webauthn.add_webauthn), name="mfa_add_webauthn"),
    path("second-factor/passkeys/login/", _form(webauthn.login_webauthn), name="mfa_login_webauthn"),
    path(
        "second-factor/passkeys/confirm/", _form(webauthn.reauthenticate_webauthn), name="mfa_reauthenticate_webauthn"
    ),
    path("second-factor/passkeys/<int:pk>/edit/", _form(webauthn.edit_webauthn), name="mfa_edit_webauthn"),
    path("second-factor/passkeys/<int:pk>/remove/", _form(webauthn.remove_webauthn), name="mfa_remove_webauthn"),
    path("keys/", views.keys, name="account_keys"),
    path("keys/<int:pk>/revoke/", views.revoke_key, name="account_revoke_key"),
    path("mlflow/", views.may_open_mlflow, name="account_mlflow"),
    path("stay/", views.stay, name="account_stay"),
    path("kept/", views.kept_form, name="account_kept_form"),
]
