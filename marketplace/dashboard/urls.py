"""The pages that people look at."""

from django.urls import URLPattern

urlpatterns: list[URLPattern] = []
