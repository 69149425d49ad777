"""What a page is to the live side: named fragments, each with what it shows and the topics that change it."""

from collections.abc import Callable, Set
from dataclasses import dataclass, replace
from typing import Any

from django.template.loader import render_to_string

# "hours" is hinted at by nobody: what changes slowly comes with the whole page, and with its refresh by time.
TOPICS = frozenset({"jobs", "workers", "clients", "network", "hours"})


@dataclass(frozen=True)
class Fragment:
    """A part of a page that is swapped as one. Its template's root element has the id `name` and `hx-swap-oob`.

    What it shows may depend on nothing but what `context` closes over, so that one rendering serves all who look:
    `audience` names those: empty for everybody, else a viewer's key.
    """

    name: str
    topics: frozenset[str]
    context: Callable[[], dict[str, Any]]
    audience: str = ""

    @property
    def template(self) -> str:
        return f"dashboard/_{self.name}.html"


@dataclass(frozen=True)
class Page:
    """`key` names what is shown, to each audience the same. `socket` is where those who follow it connect."""

    key: str
    socket: str
    fragments: tuple[Fragment, ...]

    @property
    def private(self) -> bool:
        """Is it one person's?"""
        return any(fragment.audience.startswith("user:") for fragment in self.fragments)

    def parts(self) -> list["Page"]:
        """The page by audience, so that what everybody sees is rendered once for everybody."""
        audiences = dict.fromkeys(fragment.audience for fragment in self.fragments)
        return [
            replace(
                self,
                key=f"{self.key} {audience}",
                fragments=tuple(each for each in self.fragments if each.audience == audience),
            )
            for audience in audiences
        ]

    def changed_by(self, topics: Set[str]) -> bool:
        return any(fragment.topics & topics for fragment in self.fragments)

    def context(self) -> dict[str, Any]:
        """What the whole page's template needs for its fragments."""
        return {name: value for fragment in self.fragments for name, value in fragment.context().items()}

    def render(self, topics: Set[str] = TOPICS) -> dict[str, str]:
        """The HTML of every fragment that one of `topics` changes, by name."""
        return {
            fragment.name: render_to_string(fragment.template, fragment.context())
            for fragment in self.fragments
            if fragment.topics & topics
        }
