"""Every recipe does what its text says."""

import yaml

from document import RECIPES
from mounting import program, run
from place import place


def lines(text):
    return [line.rstrip() for line in text.rstrip("\n").split("\n")]


def test_a_recipe_prints_what_it_says(recipe, data):
    with place(data) as here:
        for block in recipe.blocks:
            if block.file_name:
                here.write(block.file_name, block.text)
            elif block.language == "python":
                assert lines(here.python(block.text)) == lines("\n".join(block.printed)), block.text
            elif block.language == "console":
                for command, expected in block.commands:
                    assert lines(here.shell(command)) == lines(expected), command


def test_what_is_given_as_yaml_is_yaml():
    texts = [block.text for recipe in RECIPES for block in recipe.blocks if block.language == "yaml"]
    assert texts
    for text in texts:
        for thing in yaml.safe_load_all(text):
            assert {"apiVersion", "kind", "metadata", "spec"} == thing.keys()


def test_the_line_of_fstab_mounts(data):
    """With npyfs in /usr/local/bin, as this test has it in mounts of its own."""
    [line] = [block.text for recipe in RECIPES for block in recipe.blocks if block.language == "fstab"]
    with place(data) as here:
        (here.path / "boot").mkdir()
        for name, at in {"/srv/data": "data", "/mnt/npy": "boot", "/var/log": ""}.items():
            line = line.replace(name, str(here.path / at))
        (here.path / "fstab").write_text(line)
        steps = f"""
            mount -t tmpfs programs /usr/local/bin && cp {program()} /usr/local/bin/npyfs &&
            mount --fstab fstab {here.path}/boot && od -An -t f8 -j 800 -N 8 boot/big/rows/0-50.raw && umount boot
        """
        done = run("unshare", "--mount", "sh", "-c", steps, cwd=here.path, check=False)
        assert (done.returncode, done.stdout.split()) == (0, ["100"]), done
