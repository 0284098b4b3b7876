"""npyfs --version: which commit a program was built from, if that is known."""

import os
import re
import subprocess
from pathlib import Path

import pytest

from mounting import program, run

ROOT = Path(__file__).parents[3]

VERSION = re.search(r'^version = "(.*)"$', (ROOT / "Cargo.toml").read_text(), re.MULTILINE)[1]


def test_the_short_version_is_a_number_and_the_long_one_begins_with_it():
    assert run(program(), "-V").stdout == f"npyfs {VERSION}\n"
    long = run(program(), "--version").stdout
    assert re.fullmatch(rf"npyfs {re.escape(VERSION)}( \((debug build|[0-9a-f]{{7}} \d{{4}}-\d\d-\d\d)\))?\n", long)
    assert run(program(), "info", "--version").stdout == long.replace("npyfs", "npyfs-info")


@pytest.fixture(scope="module")
def build_script(tmp_path_factory):
    """build.rs, built as cargo builds it."""
    script = tmp_path_factory.mktemp("build") / "script"
    environment = os.environ | {"CARGO_PKG_VERSION": "1.2.3"}
    run("rustc", "--edition=2024", ROOT / "build.rs", "-o", script, env=environment)
    return script


@pytest.fixture
def checkout(tmp_path):
    """A git checkout with one commit."""
    git(tmp_path, "init", "--quiet", "--initial-branch=main")
    commit(tmp_path)
    return tmp_path


def git(directory, *words):
    return run("git", "-C", directory, "-c", "user.name=A", "-c", "user.email=a@b.c", *words).stdout.strip()


def commit(directory):
    date = {"GIT_AUTHOR_DATE": "2026-01-01T12:00:00Z", "GIT_COMMITTER_DATE": "2026-11-27T23:30:00+0000"}
    words = ["git", "-c", "user.name=A", "-c", "user.email=a@b.c", "commit", "--quiet", "--allow-empty", "-m", "x"]
    subprocess.run(words, cwd=directory, env=os.environ | date, check=True, timeout=60)


def said(script, directory, profile="release"):
    """The long version, and the files that make cargo run the script again when they change."""
    lines = run(script, cwd=directory, env=os.environ | {"PROFILE": profile}).stdout.splitlines()
    variable, again = "cargo::rustc-env=NPYFS_LONG_VERSION=", "cargo::rerun-if-changed="
    version = [line.removeprefix(variable) for line in lines if line.startswith(variable)]
    watched = {line.removeprefix(again) for line in lines if line.startswith(again)}
    assert len(version) == 1 and len(lines) == 1 + len(watched)
    return version[0], watched


def test_a_checkout_s_program_names_its_commit_and_the_commit_s_date(build_script, checkout):
    version, watched = said(build_script, checkout)
    assert version == f"1.2.3 ({git(checkout, 'rev-parse', 'HEAD')[:7]} 2026-11-27)"
    # A file that is not there would have everything built each time.
    assert all((checkout / path).exists() for path in watched - {"build.rs"})


@pytest.mark.parametrize("packed", [False, True])
def test_another_commit_is_noticed(build_script, checkout, packed):
    if packed:
        git(checkout, "pack-refs", "--all")
    before = said(build_script, checkout)
    texts = lambda: {path: (checkout / path).read_text() for path in before[1] - {"build.rs"}}
    contents = texts()
    (checkout / "file").write_text("a change that is not committed")
    git(checkout, "status")
    assert texts() == contents, "nothing is built anew for that"
    git(checkout, "commit", "--quiet", "--allow-empty", "--message=another")
    assert texts() != contents
    assert said(build_script, checkout)[0] != before[0]


def test_elsewhere_the_version_is_plain(build_script, checkout, tmp_path_factory):
    inside = checkout / "vendor/npyfs"
    inside.mkdir(parents=True)
    empty = tmp_path_factory.mktemp("empty")
    git(empty, "init", "--quiet")
    for directory in (inside, tmp_path_factory.mktemp("plain"), empty):
        assert said(build_script, directory) == ("1.2.3", {"build.rs"}), directory


def test_builds_for_debugging_are_not_made_anew_after_each_commit(build_script, checkout):
    assert said(build_script, checkout, "debug") == ("1.2.3 (debug build)", {"build.rs"})
