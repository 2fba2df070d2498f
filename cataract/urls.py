"""Every address of the system, by app."""

from django.contrib import admin
from django.contrib.auth import views as auth
from django.urls import include, path
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView

from cataract.ops.metrics.views import Metrics
from cataract.views import home

handler400 = "cataract.core.http.handlers.bad_request"
handler404 = "cataract.core.http.handlers.not_found"
handler500 = "cataract.core.http.handlers.server_error"
urlpatterns = [
    path("", home, name="home"),
    path("", include("predictions.urls")),
    path("review/", include("review.urls")),
    path("notices/", include("cataract.ops.notices.urls")),
    path("training/", include("training.urls")),
    path("api/v1/", include("predictions.api_urls")),
    path("api/v1/", include("review.api_urls")),
    path("api/v1/", include("training.api_urls")),
    path("api/v1/", include("cataract.ops.urls")),
    path("metrics", Metrics.as_view(), name="metrics"),
    path("api/v1/schema/", SpectacularAPIView.as_view(), name="api-schema"),
    path("api/v1/docs/", SpectacularSwaggerSplitView.as_view(url_name="api-schema"), name="api-docs"),
    path(
        "accounts/login/",
        auth.LoginView.as_view(template_name="login.html", redirect_authenticated_user=True),
        name="login",
    ),
    path("accounts/logout/", auth.LogoutView.as_view(), name="logout"),
    path("admin/", admin.site.urls),
]
