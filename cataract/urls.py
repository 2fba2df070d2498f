"""Every address of the system, by app."""

from allauth.account.decorators import secure_admin_login
from django.contrib import admin
from django.urls import include, path
from django.views.generic import RedirectView
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView

from cataract.frame.views import home, search
from cataract.ops.metrics.views import Metrics

handler400 = "cataract.core.http.handlers.bad_request"
handler404 = "cataract.core.http.handlers.not_found"
handler500 = "cataract.core.http.handlers.server_error"
admin.site.login = secure_admin_login(admin.site.login)  # type: ignore[method-assign]  # one sign-in for all pages
admin.site.enable_nav_sidebar = False  # the frame has the navigation
admin.site.index_title = "All tables"
urlpatterns = [
    path("", home, name="home"),
    path("search/", search, name="search"),
    path("", include("predictions.urls")),
    path("review/", include("review.urls")),
    path("notices/", include("cataract.ops.notices.urls")),
    path("audit/", include("cataract.ops.audit.urls")),
    path("training/", include("training.urls")),
    path("api/v1/", include("predictions.api_urls")),
    path("api/v1/", include("review.api_urls")),
    path("api/v1/", include("training.api_urls")),
    path("api/v1/", include("cataract.ops.urls")),
    path("metrics", Metrics.as_view(), name="metrics"),
    path("api/v1/schema/", SpectacularAPIView.as_view(), name="api-schema"),
    path("api/v1/docs/", SpectacularSwaggerSplitView.as_view(url_name="api-schema"), name="api-docs"),
    path("accounts/", include("cataract.accounts.urls")),
    path("admin/password_change/", RedirectView.as_view(pattern_name="account_change_password")),
    path("admin/", admin.site.urls),
]
