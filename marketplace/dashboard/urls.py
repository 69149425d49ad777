"""The pages that people look at. The first one is also what `/` answers to a browser."""

from django.urls import include, path
from django.views.generic import RedirectView

from marketplace.dashboard import incident, jobs, market, new_job, result, standing, views, writes

urlpatterns = [
    path("", include("marketplace.dashboard.account_urls")),
    path("dashboard/", include("marketplace.dashboard.money_urls")),
    path("dashboard", RedirectView.as_view(pattern_name="home")),
    path("dashboard/", views.home, name="home"),
    path("dashboard/clients/", writes.register_client, name="register-client"),
    path("dashboard/workers/", writes.register_worker, name="register-worker"),
    path("dashboard/workers/<str:name>/", views.worker, name="worker"),
    path("dashboard/workers/<str:name>/stake/", standing.top_up, name="stake"),
    path("dashboard/workers/<str:name>/unstake/", standing.unstake, name="unstake"),
    path("dashboard/workers/<str:name>/pause/", standing.pause, name="pause"),
    path("dashboard/workers/<str:name>/hours/", standing.hours, name="hours"),
    path("dashboard/workers/<str:name>/contest/", standing.contest, name="contest"),
    path("dashboard/market/", market.market, name="market"),
    path("dashboard/market/market.csv", market.market_csv, name="market-csv"),
    path("dashboard/jobs/", jobs.jobs, name="jobs"),
    path("dashboard/jobs/cancel/", jobs.cancel_jobs, name="cancel-jobs"),
    path("dashboard/jobs/new/", new_job.data_step, name="new-job"),
    path("dashboard/jobs/new/model/", new_job.model_step, name="new-job-model"),
    path("dashboard/jobs/new/quote/", new_job.quote_step, name="new-job-quote"),
    path("dashboard/data/<sha256:dataset_id>/delete/", writes.delete_data, name="delete-data"),
    path("dashboard/jobs/<uuid:job_id>/", views.job, name="job"),
    path("dashboard/jobs/<uuid:job_id>/cancel/", writes.cancel_job, name="cancel-job"),
    path("dashboard/jobs/<uuid:job_id>/retry/", writes.retry_job, name="retry-job"),
    path("dashboard/jobs/<uuid:job_id>/result/", result.result, name="result"),
    path("dashboard/jobs/<uuid:job_id>/result/<slug:name>.csv", result.result_csv, name="result-csv"),
    path("dashboard/jobs/<uuid:job_id>/result/<slug:name>.svg", result.result_svg, name="result-svg"),
    path("dashboard/incident/", incident.incident, name="incident"),
    path("dashboard/incident/<str:verb>/", incident.act, name="incident-act"),
    path("dashboard/network/<str:verb>/", writes.control, name="control"),
]
