"""Every route, by who speaks it: programs, contributors' machines, browsers."""

from django.contrib import admin
from django.urls import include, path

from marketplace.api.negotiation import by_accept
from marketplace.api.root import Root
from marketplace.dashboard import views as pages

urlpatterns = [
    path("", by_accept(program=Root.as_view(), browser=pages.home)),
    path("admin/", admin.site.urls),
    path("", include("marketplace.api.urls")),
    path("", include("marketplace.dashboard.urls")),
]

handler400 = "marketplace.api.errors.bad_request"
handler403 = "marketplace.api.errors.permission_denied"
handler404 = "marketplace.api.errors.page_not_found"
handler500 = "marketplace.api.errors.server_error"
