"""The calls by which a machine shows how fast it is: `workers.protocol` over HTTP."""

import base64
import binascii
from typing import Any

from rest_framework import serializers
from rest_framework.exceptions import ValidationError

from marketplace.actions import challenges
from marketplace.api.base import Nothing, Strict, documented
from marketplace.api.fields import Text, WholeNumber
from marketplace.api.machine_call import MachineCall
from marketplace.api.serializers.machines import Digest
from workers.catalog.matrix_rate import LARGEST, MOST_ROUNDS, OPENED, STEP, leaf_count

MAX_LEAVES = leaf_count(LARGEST, MOST_ROUNDS)
MAX_PATH_BYTES = 32 * (MAX_LEAVES.bit_length() - 1)


class ChallengeStart(serializers.Serializer):
    n = serializers.IntegerField()
    rounds = serializers.IntegerField(help_text=f"The machine commits after every {STEP}.")
    seed = serializers.CharField(help_text="32 hex digits.")
    seconds = serializers.FloatField(help_text="In which the root must come.")


class ChallengeRoot(Strict):
    root: Any = Digest()


class ChallengeColumns(serializers.Serializer):
    columns = serializers.ListField(child=serializers.IntegerField())


class Base64(Text):
    """Bytes, at most `max_bytes` of them."""

    def __init__(self, *, max_bytes: int) -> None:
        super().__init__(max_length=4 * -(-max_bytes // 3), allow_blank=True)

    def to_internal_value(self, data: object) -> bytes:  # type: ignore[override]
        text = super().to_internal_value(data)
        try:
            return base64.b64decode(text, validate=True)
        except (ValueError, binascii.Error):
            raise ValidationError("This must be base64.") from None


class OpenedColumn(Strict):
    leaf = WholeNumber(max_value=MAX_LEAVES - 1)
    data: Any = Base64(max_bytes=LARGEST)
    path = Base64(max_bytes=MAX_PATH_BYTES)


class ChallengeOpening(Strict):
    columns = serializers.ListField(child=OpenedColumn(), max_length=2 * OPENED)


class ChallengeOutcome(serializers.Serializer):
    passed = serializers.BooleanField()
    rate = serializers.FloatField(allow_null=True, help_text="Measured matrix rate, TFLOPS.")
    doubted = serializers.BooleanField()
    reason = serializers.CharField()


class Start(MachineCall):
    """Get what to compute. The clock starts, and no job comes until it has stopped."""

    serializer_class = Nothing

    @documented(ChallengeStart, missing=True, tags=["machines"], operation_id="challenge_start")
    def post(self, request, challenge_id):
        self.parsed()
        return challenges.start(machine=self.machine, challenge_id=challenge_id)


class Commit(MachineCall):
    """Hand in the Merkle root. The clock stops, and the columns to open are drawn."""

    serializer_class = ChallengeRoot

    @documented(ChallengeColumns, missing=True, tags=["machines"], operation_id="challenge_commit")
    def post(self, request, challenge_id):
        root = self.parsed()["root"]
        return challenges.commit(machine=self.machine, challenge_id=challenge_id, root=root)


class Open(MachineCall):
    """Open the columns that were drawn; they are recomputed before the answer comes."""

    serializer_class = ChallengeOpening

    @documented(ChallengeOutcome, missing=True, tags=["machines"], operation_id="challenge_open")
    def post(self, request, challenge_id):
        given = self.parsed()["columns"]
        opened = {each["leaf"]: (each["data"], each["path"]) for each in given}
        return challenges.open_columns(machine=self.machine, challenge_id=challenge_id, opened=opened)
