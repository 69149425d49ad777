"""Every route, by who speaks it: programs, contributors' machines, browsers."""

from django.contrib import admin
from django.urls import include, path

urlpatterns = [
    path("admin/", admin.site.urls),
    path("", include("marketplace.api.urls")),
    path("", include("marketplace.dashboard.urls")),
]
