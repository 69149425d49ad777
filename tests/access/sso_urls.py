"""The routes of a network that has a single sign-on, which is otherwise settled when the process starts."""

from computenet.urls import *  # noqa: F403
from computenet.urls import urlpatterns as usual
from marketplace.dashboard.account_urls import single_sign_on

urlpatterns = [*usual, *single_sign_on]
