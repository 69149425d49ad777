"""All settings, read from the environment. `docs/settings.md` lists them."""

import re
from datetime import timedelta
from pathlib import Path

import environ
from django.core.exceptions import ImproperlyConfigured

from computenet import logs, production
from marketplace.domain.policy import Policy

BASE_DIR = Path(__file__).resolve().parent.parent
env = environ.Env()

VERSION = "0.1.0"

# The sandbox is the one open mode: loopback only, no log-in, money for the asking. Everything else is closed.
SANDBOX = env.bool("COMPUTENET_SANDBOX", default=False)
COMPUTENET_HOME = Path(env.str("COMPUTENET_HOME", default=str(BASE_DIR / ".computenet"))).resolve()
POLICY = Policy.from_environment(env.ENVIRON)

# A home that the sandbox made keeps a key of its own; elsewhere it comes from the environment or nothing starts.
_key_file = COMPUTENET_HOME / "secret_key"
SECRET_KEY = env.str("SECRET_KEY", default=_key_file.read_text().strip() if _key_file.is_file() else "")
DEBUG = False
LOOPBACK_HOSTS = ["localhost", "127.0.0.1", "[::1]"]
ALLOWED_HOSTS = LOOPBACK_HOSTS if SANDBOX else env.list("ALLOWED_HOSTS", default=[])
PUBLIC_URL = env.str("PUBLIC_URL", default="").rstrip("/")
if not SANDBOX and (missing := production.problem({**env.ENVIRON, "SECRET_KEY": SECRET_KEY})):
    raise SystemExit(missing)

INSTALLED_APPS = [
    "marketplace",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "channels",
    "corsheaders",
    "django_filters",
    "django_htmx",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "django_structlog",
    "allauth",
    "allauth.account",
    "allauth.socialaccount",
    "allauth.socialaccount.providers.openid_connect",
    "axes",
]

# What a call of the API passes that comes with nothing of a browser's; `plain.PlainCalls` sees to the rest of it.
PLAIN_MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "marketplace.api.metrics.Measured",
    "marketplace.api.content_policy.ContentPolicy",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
MIDDLEWARE = [
    "marketplace.api.plain.PlainCalls",
    "django.middleware.security.SecurityMiddleware",
    "marketplace.api.metrics.Measured",
    "django_structlog.middlewares.RequestMiddleware",
    "marketplace.api.content_policy.ContentPolicy",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "corsheaders.middleware.CorsMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "marketplace.api.origin.OriginMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "marketplace.api.throttles.ThrottleMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "axes.middleware.AxesMiddleware",  # the last: it answers in the place of a refused log-in
]

ROOT_URLCONF = "computenet.urls"
ASGI_APPLICATION = "computenet.asgi.application"
APPEND_SLASH = False

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "builtins": ["marketplace.filters"],
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "marketplace.dashboard.context.network",
            ],
        },
    },
]

DATABASES = {"default": env.db("DATABASE_URL", default=f"sqlite:///{COMPUTENET_HOME / 'db.sqlite3'}")}
if DATABASES["default"]["ENGINE"].endswith("sqlite3"):
    DATABASES["default"]["OPTIONS"] = {
        "transaction_mode": "IMMEDIATE",
        "timeout": 20,
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA recursive_triggers=ON;",
    }
else:
    options = DATABASES["default"].setdefault("OPTIONS", {})
    if env.bool("DATABASE_PREPARE", default=True):  # planned once a connection: half of PostgreSQL's CPU was planning
        options |= {"server_side_binding": True, "prepare_threshold": 2}
    if env.bool("DATABASE_POOL", default=False):  # not where processes fork, which a pool does not survive
        # One that lies idle is closed, one every so many seconds: PostgreSQL keeps some 10 MiB of plans for each.
        options["pool"] = {"min_size": 1, "max_size": 16, "max_idle": 15.0}
        DATABASES["default"]["CONN_HEALTH_CHECKS"] = True  # else each connection that a restart cut fails one request
if env.bool("DATABASE_KEEP", default=False):  # by each thread, which must be kept too
    DATABASES["default"] |= {"CONN_MAX_AGE": None, "CONN_HEALTH_CHECKS": True}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

REDIS_URL = env.str("REDIS_URL", default="redis://127.0.0.1:6379/0")
CELERY_BROKER_URL = REDIS_URL
PUBLIC_BROKER_URL = env.str("PUBLIC_BROKER_URL", default="" if not SANDBOX else REDIS_URL)
CACHES = {
    "default": {
        "BACKEND": "marketplace.cache.KeptRedisCache",
        "LOCATION": REDIS_URL,
        "KEY_PREFIX": "cache",
    }
}
# Calls a minute, by address and by user. A sandbox has nobody to fear but a script in an endless loop.
_factor = 100 if SANDBOX else 1
THROTTLES = {
    "address": _factor * env.int("THROTTLE_ADDRESS", default=600),
    "user": _factor * env.int("THROTTLE_USER", default=600),
}
CHANNEL_LAYERS = {
    "default": {
        "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
        "CONFIG": {"hosts": [REDIS_URL], "prefix": "live"},
    }
}

AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 12}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
LOGIN_URL = "login"
LOGIN_REDIRECT_URL = "home"
SESSION_ENGINE = "marketplace.sessions"

# Accounts: `SIGNUP` is closed, invitation or open. An OpenID Connect provider is one more way to log in.
SIGNUP = env.str("SIGNUP", default="invitation")
if SIGNUP not in ("closed", "invitation", "open"):
    raise ImproperlyConfigured("SIGNUP must be closed, invitation or open.")
SIGNUP_ROLES = env.list("SIGNUP_ROLES", default=["client", "contributor"])  # of who signs up without an invitation
AUTHENTICATION_BACKENDS = [
    "axes.backends.AxesStandaloneBackend",
    "django.contrib.auth.backends.ModelBackend",
    "allauth.account.auth_backends.AuthenticationBackend",
]
ACCOUNT_ADAPTER = "marketplace.dashboard.accounts.AccountAdapter"
ACCOUNT_LOGIN_METHODS = {"username"}
ACCOUNT_SIGNUP_FIELDS = ["username*", "email*", "password1*", "password2*"]
ACCOUNT_SIGNUP_FORM_CLASS = "marketplace.dashboard.accounts.InvitationForm"
# Who signs up unasked shows that their address is theirs before anything else.
ACCOUNT_EMAIL_VERIFICATION = env.str("EMAIL_VERIFICATION", default="mandatory" if SIGNUP == "open" else "optional")
ACCOUNT_CONFIRM_EMAIL_ON_GET = False
ACCOUNT_LOGOUT_REDIRECT_URL = "login"
ACCOUNT_USERNAME_VALIDATORS = "marketplace.dashboard.accounts.username_validators"
ACCOUNT_RATE_LIMITS = {"login_failed": None}  # axes counts these, in the database
SOCIALACCOUNT_ADAPTER = "marketplace.dashboard.accounts.SocialAdapter"
SOCIALACCOUNT_AUTO_SIGNUP = False  # the form asks for the invitation
SOCIALACCOUNT_LOGIN_ON_GET = True  # a link: our pages let no form end up elsewhere
OIDC_SERVER_URL = env.str("OIDC_SERVER_URL", default="")
SOCIALACCOUNT_PROVIDERS = {
    "openid_connect": {
        "OAUTH_PKCE_ENABLED": True,
        "APPS": [
            {
                "provider_id": env.str("OIDC_ID", default="sso"),
                "name": env.str("OIDC_NAME", default="single sign-on"),
                "client_id": env.str("OIDC_CLIENT_ID", default=""),
                "secret": env.str("OIDC_CLIENT_SECRET", default=""),
                "settings": {"server_url": OIDC_SERVER_URL},
            }
        ]
        if OIDC_SERVER_URL
        else [],
    }
}
# One address that fails so often at one name waits so long; others still reach the account.
AXES_FAILURE_LIMIT = env.int("LOGIN_FAILURE_LIMIT", default=5)
AXES_COOLOFF_TIME = timedelta(seconds=env.int("LOGIN_LOCKOUT_SECONDS", default=900))
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_RESET_ON_SUCCESS = True
AXES_LOCKOUT_TEMPLATE = "account/locked_out.html"
AXES_VERBOSE = False
AXES_DISABLE_ACCESS_LOG = True
_email = env.email_url("EMAIL_URL", default="consolemail://")
vars().update({name: value for name, value in _email.items() if name.startswith("EMAIL_")})
EMAIL_TIMEOUT = 10  # seconds: a mail server that does not answer holds up nothing else
DEFAULT_FROM_EMAIL = env.str("EMAIL_FROM", default="computenet@localhost")

WEBHOOK_HOSTS = env.list("WEBHOOK_HOSTS", default=[])  # exact names that notices may be sent to

# The faucet gives this once to each account whose e-mail address is shown to be its own; 0 turns it off.
FAUCET_TOKENS = env.float("FAUCET_TOKENS", default=0)
FAUCET_DAILY_CAP = env.float("FAUCET_DAILY_CAP", default=10 * FAUCET_TOKENS)  # tokens a day (UTC), to all together

# The sealed log: how often at most its checkpoints are signed, and the key; without one, the home keeps its own.
CHECKPOINT_SECONDS = env.float("CHECKPOINT_SECONDS", default=60)
LOG_KEY = env.str("LOG_KEY", default="")
if LOG_KEY and not re.fullmatch("[0-9a-f]{64}", LOG_KEY):
    raise ImproperlyConfigured("LOG_KEY must be an Ed25519 key as 64 hexadecimal digits.")

LANGUAGE_CODE = "en"
TIME_ZONE = "UTC"
USE_I18N = False
USE_TZ = True

STATIC_URL = "static/"
STATIC_ROOT = Path(env.str("STATIC_ROOT", default=str(COMPUTENET_HOME / "static")))
STATICFILES_DIRS = [BASE_DIR / "marketplace" / "dashboard" / "static"]
WHITENOISE_USE_FINDERS = True

# Bytes of a request's body, by what it may be; `computenet.asgi` refuses more before it is read.
MAX_BODY_BYTES = env.int("MAX_BODY_BYTES", default=4 * 1024**2)
MAX_UPLOAD_BYTES = env.int("MAX_UPLOAD_BYTES", default=1024**3)
MAX_DATASET_BYTES = env.int("MAX_DATASET_BYTES", default=16 * 1024**3)  # of a file that comes in parts
UPLOAD_PART_BYTES = env.int("UPLOAD_PART_BYTES", default=8 * 1024**2)
MAX_RESULT_BYTES = env.int("MAX_RESULT_BYTES", default=256 * 1024**2)
BODY_IDLE_SECONDS = env.int("BODY_IDLE_SECONDS", default=30)  # without a byte, while a body is still to come
MAX_MATRIX_CELLS = env.int("MAX_MATRIX_CELLS", default=400_000_000)
MATRIX_AT_ONCE_CELLS = env.int("MATRIX_AT_ONCE_CELLS", default=4_000_000)
DATA_UPLOAD_MAX_MEMORY_SIZE = MAX_BODY_BYTES
FILE_UPLOAD_TEMP_DIR = None
FILE_UPLOAD_HANDLERS = ["django.core.files.uploadhandler.TemporaryFileUploadHandler"]

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "marketplace.api.key_auth.KeyAuthentication",
        "rest_framework.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["marketplace.api.permissions.Scoped"],
    "DEFAULT_RENDERER_CLASSES": [
        "rest_framework.renderers.JSONRenderer",
        "rest_framework.renderers.BrowsableAPIRenderer",
    ],
    "DEFAULT_PARSER_CLASSES": ["marketplace.api.parsers.StrictJSONParser"],
    "DEFAULT_THROTTLE_CLASSES": ["marketplace.api.throttles.PerUser"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "EXCEPTION_HANDLER": "marketplace.api.errors.exception_handler",
    "UNAUTHENTICATED_USER": "django.contrib.auth.models.AnonymousUser",
    "TEST_REQUEST_DEFAULT_FORMAT": "json",
}
SPECTACULAR_SETTINGS = {
    "TITLE": "computenet",
    "DESCRIPTION": "A self-hosted compute network: machine-learning jobs on your own data, paid when right.",
    "VERSION": VERSION,
    "SERVE_INCLUDE_SCHEMA": False,
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "marketplace.api.schema.refusals",
    ],
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
}

CORS_ALLOWED_ORIGINS = env.list("CORS_ALLOWED_ORIGINS", default=[])
CORS_ALLOWED_ORIGIN_REGEXES = [r"^http://(localhost|127\.0\.0\.1|\[::1\])(:\d+)?$", r"^null$"] if SANDBOX else []
CORS_EXPOSE_HEADERS = ["X-Request-ID", "Retry-After"]
CSRF_TRUSTED_ORIGINS = env.list("CSRF_TRUSTED_ORIGINS", default=[])

SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": ["'self'"],
        "script-src": ["'self'"],
        "style-src": ["'self'"],
        "img-src": ["'self'", "data:"],
        "object-src": ["'none'"],
        "base-uri": ["'none'"],
        "form-action": ["'self'", *([OIDC_SERVER_URL] if OIDC_SERVER_URL else [])],
        "frame-ancestors": ["'none'"],
    }
}
# All of it comes over TLS, which a proxy ends; only the health check inside may be plain.
SECURE_SSL_REDIRECT = env.bool("SECURE_SSL_REDIRECT", default=not SANDBOX)
SECURE_REDIRECT_EXEMPT = [r"^health(/ready)?$", r"^metrics$"]
SECURE_HSTS_SECONDS = 0 if SANDBOX else env.int("HSTS_SECONDS", default=365 * 24 * 3600)
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = env.bool("HSTS_SUBDOMAINS", default=True)
X_FRAME_OPTIONS = "DENY"
CSRF_FAILURE_VIEW = "marketplace.api.errors.csrf_failure"
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = not SANDBOX
if env.bool("BEHIND_PROXY", default=False):
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")

# What the owner of a worker of an older version is told to run; name your own where workers are installed otherwise.
WORKER_UPGRADE_COMMAND = env.str("WORKER_UPGRADE_COMMAND", default="git pull && ~/computenet/bin/pip install ./workers")

# A monitor shows it as its key and may read /metrics, and nothing else; without one, operators alone may.
METRICS_KEY = env.str("METRICS_KEY", default="")
if METRICS_KEY and len(METRICS_KEY) < 20:
    raise ImproperlyConfigured("METRICS_KEY must be a long random text, of 20 characters at least.")

LOGGING = logs.configuration(env.str("LOG_LEVEL", default="INFO"), env.str("LOG_FORMAT", default="line"))
DJANGO_STRUCTLOG_TRUST_UPSTREAM_REQUEST_ID = True  # `marketplace.api.requests` makes it, or has looked at it
DJANGO_STRUCTLOG_IP_LOGGING_ENABLED = False  # it would believe any X-Forwarded-For
DJANGO_STRUCTLOG_CELERY_ENABLED = False  # it would put a request's context into contributors' messages
