"""What a document of recipes has to run: its sections, and the fenced blocks in each."""

import re
from dataclasses import dataclass, field
from pathlib import Path

_FENCE = re.compile(r"(?:<!-- with: (\w+) -->\n)?```(\w+)\n(.*?)```\n", re.DOTALL)
_NAME = re.compile(r"(?:# |% |/\* )(\w+\.\w+)(?: \*/)?\n")
_PRINT = re.compile(r"^ *print\(.*\)  # (.*)$", re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """A fenced block."""

    language: str
    text: str
    needs: str | None
    """What it takes besides what every run has."""

    @property
    def file_name(self):
        """The file that it is, if it begins with a name."""
        named = _NAME.match(self.text)
        return named and named[1]

    @property
    def printed(self):
        """What its lines of Python print, by their comments."""
        return _PRINT.findall(self.text)

    @property
    def commands(self):
        """Its command lines, each with what that prints."""
        _, *each = re.split(r"^\$ ", self.text, flags=re.MULTILINE)
        return [tuple(lines.split("\n", 1)) for lines in each]


@dataclass(frozen=True)
class Recipe:
    """A section of the document."""

    title: str
    blocks: list[Block] = field(repr=False)

    def __str__(self):
        return self.title

    def given(self, things):
        """What of it can be run where there are these things."""
        return Recipe(self.title, [block for block in self.blocks if block.needs in {None, *things}])

    @property
    def runs(self):
        """Whether there is anything in it to run."""
        return any(not block.file_name and block.language in ("python", "console") for block in self.blocks)


def recipes(text):
    """The sections of a document, by their titles in order."""
    _, *sections = re.split(r"^## ", text, flags=re.MULTILINE)
    return [Recipe(section.split("\n", 1)[0], _blocks(section)) for section in sections]


def _blocks(section):
    return [Block(language, text, needs or None) for needs, language, text in _FENCE.findall(section)]


RECIPES = recipes((Path(__file__).parents[3] / "contrib/RECIPES.md").read_text())
