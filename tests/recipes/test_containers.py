"""Containers, as far as namespaces make one: processes, mounts and a root directory of their own, and the capabilities
that Docker leaves."""

import os
import shlex

import pytest

from mounting import program, run
from place import place

# What a container of Docker may do unless it is told otherwise.
CAPABILITIES = (
    "chown dac_override fowner fsetid kill setgid setuid setpcap net_bind_service net_raw sys_chroot mknod audit_write setfcap"
).split()

READ = "od -An -t f8 -j 800 -N 8 /mnt/npy/big/rows/0-50.raw"


def contained(root, command, *, mounts, device=False, admin=False):
    """What a shell does in a container, whose image is this machine's /usr and npyfs."""
    capabilities = ",".join(f"+{name}" for name in [*CAPABILITIES, *["sys_admin"] * admin])
    bound = {"/usr": "/usr", "/dev/null": "/dev/null", program(): "/npyfs"} | mounts
    if device:
        bound["/dev/fuse"] = "/dev/fuse"
    steps = ["set -e", f"mount -t tmpfs image {root}", f"cd {root}", "mkdir -p proc tmp mnt/npy", "mount -t proc proc proc"]
    steps += [f"ln -s usr/{name} {name}" for name in ("bin", "sbin", "lib", "lib64")]
    for outside, inside in bound.items():
        made = f"mkdir -p .{inside}" if os.path.isdir(outside) else f"install -D /dev/null .{inside}"
        steps += [made, f"mount --rbind {outside} .{inside}"]
    inside = ["/usr/sbin/chroot", ".", "/bin/sh", "-c", command]
    steps.append(shlex.join(["exec", "setpriv", f"--bounding-set=-all,{capabilities}", *inside]))
    own = "--mount --pid --ipc --uts --fork --kill-child --propagation=slave"
    return run("unshare", *own.split(), "sh", "-c", "\n".join(steps), check=False)


@pytest.fixture
def image(tmp_path):
    (tmp_path / "root").mkdir()
    return tmp_path / "root"


@pytest.mark.parametrize(("device", "admin", "complaint"), [
    (True, True, None),
    (False, True, "there is no /dev/fuse"),
    (True, False, "mount failed: Operation not permitted"),
])  # fmt: skip
def test_a_container_mounts_with_the_device_and_the_capability(data, image, device, admin, complaint):
    command = f"/npyfs mount /data /mnt/npy && {READ} && /npyfs umount /mnt/npy"
    done = contained(image, command, mounts={str(data): "/data"}, device=device, admin=admin)
    if complaint:
        assert done.returncode == 1 and complaint in done.stderr, done
    else:
        assert (done.returncode, done.stdout.split()) == (0, ["100"]), done


def test_a_container_reads_the_mount_of_its_host_and_needs_nothing(data, image):
    with place(data) as host:
        done = contained(image, READ, mounts={str(host.path / "mnt"): "/mnt"})
    assert (done.returncode, done.stdout.split()) == (0, ["100"]), done


def test_without_a_mount_the_same_paths_are_read_below_the_data(data, image):
    done = contained(image, "/npyfs cat /data/big/rows/0-50.raw | od -An -t f8 -j 800 -N 8", mounts={str(data): "/data"})
    assert (done.returncode, done.stdout.split()) == (0, ["100"]), done


def test_a_mount_of_one_pod_is_seen_by_another_through_the_node(data, tmp_path):
    """Its propagation is Bidirectional in the one that mounts, and HostToContainer in the one that reads."""
    node = tmp_path / "node"
    (node / "data").mkdir(parents=True)
    read = READ.replace("/mnt/npy", f"{node}/data")
    steps = f"""
        set -e
        mount --bind {node} {node}
        mount --make-shared {node}
        unshare --mount --propagation slave sh -c 'until [ -e {node}/data/big ]; do sleep 0.05; done; {read}' &
        reader=$!
        unshare --mount --propagation unchanged {program()} mount --foreground {data} {node}/data &
        wait $reader
        {program()} umount {node}/data
        wait
    """
    own = "--mount --pid --fork --kill-child --mount-proc --propagation=private"
    done = run("unshare", *own.split(), "sh", "-c", steps, check=False)
    assert (done.returncode, done.stdout.split()) == (0, ["100"]), done
