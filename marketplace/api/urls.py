"""The API's routes: the seed's paths, and what came after. `/` itself is in `computenet.urls`."""

from django.urls import path, register_converter
from django.urls.converters import StringConverter
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView

from marketplace.api import (
    audiences,
    challenges,
    clients,
    datasets,
    jobs,
    keys,
    machines,
    metrics,
    network,
    owners,
    predictions,
    sealed,
    standing,
    together,
    token,
    uploads,
    workers,
)


class Name(StringConverter):
    """A public name, without what a database could not even be asked for."""

    regex = r"[^/\x00]{1,64}"


class Sha256(StringConverter):
    regex = r"[0-9a-f]{64}"


register_converter(Name, "name")
register_converter(Sha256, "sha256")

urlpatterns = [
    path("worker/register", workers.Register.as_view()),
    path("worker/enrol", machines.Enrol.as_view()),
    path("worker/heartbeat", machines.Heartbeat.as_view()),
    path("worker/challenge/<uuid:challenge_id>/start", challenges.Start.as_view()),
    path("worker/challenge/<uuid:challenge_id>/commit", challenges.Commit.as_view()),
    path("worker/challenge/<uuid:challenge_id>/open", challenges.Open.as_view()),
    path("worker/invite", standing.Invite.as_view()),
    path("worker/<name:name>/status", workers.Status.as_view()),
    path("worker/<name:name>/stake", standing.Stake.as_view()),
    path("worker/<name:name>/unstake", standing.Unstake.as_view()),
    path("worker/<name:name>/pause", owners.Pause.as_view()),
    path("worker/<name:name>/resume", owners.Resume.as_view()),
    path("worker/<name:name>/schedule", owners.Schedule.as_view()),
    path("worker/<name:name>/reputation", standing.Reputation.as_view()),
    path("worker/<name:name>/verdicts", standing.Verdicts.as_view()),
    path("worker/<name:name>/contest", standing.ContestRejection.as_view()),
    path("workers", workers.Workers.as_view()),
    path("client/register", clients.Register.as_view()),
    path("client/<name:address>/balance", clients.Balance.as_view()),
    path("client/<name:address>/proofs", sealed.ClientProofs.as_view()),
    path("clients", clients.Clients.as_view()),
    path("datasets", datasets.Datasets.as_view()),
    path("datasets/<sha256:dataset_id>", datasets.OneDataset.as_view()),
    path("datasets/<sha256:dataset_id>/delete", datasets.DeleteDataset.as_view()),
    path("datasets/<sha256:dataset_id>/receivers", audiences.DatasetReceivers.as_view()),
    path("uploads", uploads.Uploads.as_view()),
    path("uploads/<uuid:upload_id>", uploads.OneUpload.as_view()),
    path("uploads/<uuid:upload_id>/parts/<int:number>", uploads.Part.as_view()),
    path("uploads/<uuid:upload_id>/finish", uploads.Finish.as_view()),
    path("pools", audiences.Pools.as_view()),
    path("pools/<name:name>", audiences.ChangeOnePool.as_view()),
    path("dataset/<sha256:sha256>", machines.Matrix.as_view()),
    path("job/submit", jobs.Submit.as_view()),
    path("job/<uuid:job_id>/status", jobs.Status.as_view()),
    path("job/<uuid:job_id>/result", jobs.Result.as_view()),
    path("job/<uuid:job_id>/table", predictions.OwnTable.as_view()),
    path("job/<uuid:job_id>/predict", predictions.Predict.as_view()),
    path("job/<uuid:job_id>/receipt", standing.Receipt.as_view()),
    path("job/<uuid:job_id>/proof", sealed.JobProof.as_view()),
    path("job/<uuid:job_id>/cancel", jobs.Cancel.as_view()),
    path("jobs", jobs.Jobs.as_view()),
    path("jobs/pending", jobs.PendingJobs.as_view()),
    path("quote", jobs.Quote.as_view()),
    path("assignment/<uuid:assignment_id>/start", machines.Start.as_view()),
    path("assignment/<uuid:assignment_id>/result", machines.Result.as_view()),
    path("assignment/<uuid:assignment_id>/answer", standing.Answer.as_view()),
    path("assignment/<uuid:assignment_id>/failure", machines.Failure.as_view()),
    path("assignments/start", together.Starts.as_view()),
    path("assignments/results", together.Results.as_view()),
    path("network/stats", network.NetworkStats.as_view()),
    path("network/coordination/start", network.Start.as_view()),
    path("network/coordination/stop", network.Stop.as_view()),
    path("network/coordination/trigger", network.Trigger.as_view()),
    path("log", sealed.Log.as_view()),
    path("token", token.TokenCall.as_view()),
    path("token/balance/<name:name>", token.Balance.as_view()),
    path("token/transfer", token.Transfer.as_view()),
    path("token/approve", token.Approve.as_view()),
    path("token/transfer-from", token.TransferFrom.as_view()),
    path("token/allowance", token.Allowance.as_view()),
    path("token/faucet", token.Faucet.as_view()),
    path("keys", keys.Keys.as_view()),
    path("keys/<uuid:key_id>/revoke", keys.RevokeKey.as_view()),
    path("invitations", keys.Invitations.as_view()),
    path("grants", keys.Grants.as_view()),
    path("grants/<int:grant_id>/stop", keys.StopGrant.as_view()),
    path("health", network.HealthCheck.as_view()),
    path("health/ready", network.ReadyCheck.as_view()),
    path("metrics", metrics.Metrics.as_view()),
    path("schema/", SpectacularAPIView.as_view(), name="schema"),
    path("docs/", SpectacularSwaggerSplitView.as_view(url_name="schema"), name="docs"),
]
