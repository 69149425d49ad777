"""Accounts: one's own page, and those of allauth's views that this network needs, on our pages."""

from allauth.account import views as account
from allauth.socialaccount import views as social
from allauth.socialaccount.providers.openid_connect import views as openid
from django.conf import settings
from django.urls import path, re_path
from django.views.generic import RedirectView

from marketplace.dashboard import account as own
from marketplace.dashboard import notify, theme
from marketplace.dashboard.access import strict
from marketplace.dashboard.signup import SignUp, in_one_transaction

urlpatterns = [
    path("login/", strict(account.login), name="login"),
    path("logout/", strict(account.logout), name="logout"),
    path("theme/", theme.choose, name="theme"),
    path("account/", own.account, name="account"),
    path("account/erase/", own.erase, name="erase-account"),
    path("account/keys/<uuid:key_id>/revoke/", own.revoke_key, name="revoke-key"),
    path("account/notifications/", notify.notifications, name="notifications"),
    path("account/invitations/", own.invite, name="invite"),
    path("accounts/login/", RedirectView.as_view(pattern_name="login", query_string=True), name="account_login"),
    path("accounts/logout/", RedirectView.as_view(pattern_name="logout"), name="account_logout"),
    path("accounts/signup/", strict(in_one_transaction(SignUp.as_view())), name="account_signup"),
    path("accounts/inactive/", strict(account.account_inactive), name="account_inactive"),
    path("accounts/reauthenticate/", strict(account.reauthenticate), name="account_reauthenticate"),
    path("accounts/email/", strict(account.email), name="account_email"),
    path("accounts/confirm-email/", strict(account.email_verification_sent), name="account_email_verification_sent"),
    re_path(r"^accounts/confirm-email/(?P<key>[-:\w]+)/$", strict(account.confirm_email), name="account_confirm_email"),
    path("accounts/password/change/", strict(account.password_change), name="account_change_password"),
    path("accounts/password/set/", strict(account.password_set), name="account_set_password"),
    path("accounts/password/reset/", strict(account.password_reset), name="account_reset_password"),
    path("accounts/password/reset/done/", strict(account.password_reset_done), name="account_reset_password_done"),
    re_path(
        r"^accounts/password/reset/key/(?P<uidb36>[0-9A-Za-z]+)-(?P<key>.+)/$",
        strict(account.password_reset_from_key),
        name="account_reset_password_from_key",
    ),
    path(
        "accounts/password/reset/key/done/",
        strict(account.password_reset_from_key_done),
        name="account_reset_password_from_key_done",
    ),
]
single_sign_on = [
    path("accounts/3rdparty/", strict(social.connections), name="socialaccount_connections"),
    path("accounts/3rdparty/login/cancelled/", strict(social.login_cancelled), name="socialaccount_login_cancelled"),
    path("accounts/3rdparty/login/error/", strict(social.login_error), name="socialaccount_login_error"),
    path("accounts/3rdparty/signup/", strict(in_one_transaction(social.signup)), name="socialaccount_signup"),
    path("accounts/oidc/<str:provider_id>/login/", strict(openid.login), name="openid_connect_login"),
    path("accounts/oidc/<str:provider_id>/login/callback/", strict(openid.callback), name="openid_connect_callback"),
]
if settings.OIDC_SERVER_URL:
    urlpatterns += single_sign_on
