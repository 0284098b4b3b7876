"""The manifest, against the schemas of Kubernetes. Run by name: `run --all` does."""

import kubernetes_validate
import yaml

from document import RECIPES


def test_the_manifest_is_one():
    [text] = [block.text for recipe in RECIPES for block in recipe.blocks if block.language == "yaml"]
    things = list(yaml.safe_load_all(text))
    assert [thing["kind"] for thing in things] == ["DaemonSet", "Job"]
    for thing in things:
        kubernetes_validate.validate(thing, kubernetes_validate.latest_version(), strict=True)
