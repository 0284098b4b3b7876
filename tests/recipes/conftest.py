"""Recipes, and the things that some of them need."""

import sys

import pytest

import mounting
from document import RECIPES


def pytest_addoption(parser):
    parser.addoption("--with", action="append", default=[], dest="things", help="what there is, besides what CI has")


def pytest_sessionstart(session):
    """Nothing can be tested without the program: say so once, and fail."""
    if not session.config.option.collectonly:
        try:
            mounting.program()
        except mounting.MountFailed as missing:
            pytest.exit(str(missing), returncode=2)


def pytest_generate_tests(metafunc):
    if "recipe" in metafunc.fixturenames:
        given = [recipe.given(metafunc.config.option.things) for recipe in RECIPES]
        metafunc.parametrize("recipe", [recipe for recipe in given if recipe.runs], ids=str)


@pytest.fixture(scope="session")
def data(tmp_path_factory):
    """The directory that make.py makes."""
    directory = tmp_path_factory.mktemp("data")
    [block] = next(recipe.blocks for recipe in RECIPES if recipe.title == "The data")
    (directory / block.file_name).write_text(block.text)
    mounting.run(sys.executable, block.file_name, cwd=directory)
    return directory / "data"
