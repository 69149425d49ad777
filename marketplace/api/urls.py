"""The API's routes: the seed's paths, and what came after."""

from django.urls import URLPattern

urlpatterns: list[URLPattern] = []
