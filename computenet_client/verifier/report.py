"""What a check found."""

from dataclasses import dataclass, field
from typing import Any

from .checkpoints import CAN_CHECK, Checkpoint


@dataclass
class Report:
    leaves: int = 0  # that hold, from the first
    checkpoints: int = 0
    checkpoint: Checkpoint | None = None  # the newest
    extends: bool | None = None  # the older checkpoint, where one was given
    problems: list[dict[str, Any]] = field(default_factory=list)

    def problem(self, where: str, what: str, leaf: int | None = None) -> None:
        self.problems.append({"where": where, "what": what, "leaf": leaf})

    @property
    def ok(self) -> bool:
        return not self.problems

    def document(self) -> dict[str, Any]:
        return {
            "ok": self.ok,
            "leaves": self.leaves,
            "checkpoints": self.checkpoints,
            "checkpoint": self.checkpoint.fields if self.checkpoint else None,
            "signature": "checked" if CAN_CHECK else "not checked",
            "extends": self.extends,
            "first_bad_leaf": next((each["leaf"] for each in self.problems if each["leaf"] is not None), None),
            "problems": self.problems,
        }
