"""The tests of the Python module, which finds the npyfs under test as a user's would: on PATH."""

import os

import pytest

import mounting


@pytest.fixture(autouse=True, scope="session")
def on_path(tmp_path_factory):
    directory = tmp_path_factory.mktemp("bin")
    (directory / "npyfs").symlink_to(mounting.program())
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", f"{directory}:{os.environ['PATH']}")
        yield
