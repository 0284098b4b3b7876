"""Fixtures: arrays on disk."""

import pytest


@pytest.fixture
def save(tmp_path):
    """Puts a sample on disk."""

    def write(sample):
        path = tmp_path / f"{sample.name}.npy"
        path.write_bytes(sample.blob)
        return path

    return write
