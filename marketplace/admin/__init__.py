"""The operator's side of every row. What money or a state depends on is read here and changed by actions alone."""

from django.contrib import admin

from marketplace.admin import access, incident, ledger, network, notices, people, sealed, standing, work  # noqa: F401  each registers its rows

admin.site.site_header = "computenet"
admin.site.site_title = "computenet admin"
admin.site.index_title = "Rows and records"
