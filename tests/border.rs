//! The border: nothing outside of the source is opened, whatever symlinks say or become.

mod common;

use std::os::unix::fs::symlink;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use common::{PATIENCE, TestEnv, counting};
use npyfs::caller::Caller;
use npyfs::error::Error;
use npyfs::source::{self, Which};
use npyfs::tree::{Node, Options, Tree};

fn tree(env: &TestEnv, follow_symlinks: bool) -> Tree {
    env.tree(source::Options { follow_symlinks, for_others: false }, Options::default())
}

fn find(tree: &Tree, path: &str) -> Result<Node, Error> {
    let root = tree.root().unwrap();
    path.split('/').try_fold(root, |node, name| Ok(tree.lookup(&node, name.as_ref())?.0))
}

fn read(tree: &Tree, path: &str) -> Result<Vec<u8>, Error> {
    tree.open(&find(tree, path)?, Caller::ROOT, Which::AtPath)?.read_at(0, 1 << 20, <[u8]>::to_vec)
}

fn listed(tree: &Tree, path: &str) -> Vec<String> {
    let node = if path.is_empty() { tree.root().unwrap() } else { find(tree, path).unwrap() };
    let listing = tree.list(&node).unwrap();
    let mut names: Vec<String> = listing
        .entries_after(0)
        .map(|(_, name, _)| name.into_owned().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// `secret.npy` and `outside/` lie beside the source.
fn env_with_secret() -> TestEnv {
    let env = TestEnv::new();
    std::fs::write(env.path("secret.npy"), counting(&[7])).unwrap();
    std::fs::create_dir(env.path("outside")).unwrap();
    std::fs::write(env.path("outside/secret.npy"), counting(&[7])).unwrap();
    env
}

#[test]
fn a_link_out_of_the_source_has_a_directory_that_says_so_and_no_more() {
    let env = env_with_secret();
    let data = env.data();
    symlink("../secret.npy", data.join("relative.npy")).unwrap();
    symlink(env.path("secret.npy"), data.join("absolute.npy")).unwrap();
    symlink("relative.npy", data.join("chain.npy")).unwrap();
    symlink("nowhere.npy", data.join("dangling.npy")).unwrap();
    symlink("loop.npy", data.join("loop.npy")).unwrap();
    symlink("big.npy", data.join("inside.npy")).unwrap();
    let tree = tree(&env, false);
    for name in ["relative", "absolute", "chain"] {
        assert_eq!(listed(&tree, name), ["error.txt"]);
        let why = String::from_utf8(read(&tree, &format!("{name}/error.txt")).unwrap()).unwrap();
        assert_eq!(
            why,
            format!("{name}.npy: the symlink is absolute, or leads out of the source\n")
        );
        for path in ["rows/0.raw", "header.json", "T.npy"] {
            assert!(read(&tree, &format!("{name}/{path}")).is_err(), "{name}/{path}");
        }
        assert!(read(&tree, &format!("{name}.raw")).is_err());
        assert!(read(&tree, &format!("{name}.npy")).is_err(), "a symlink is no file");
    }
    for name in ["dangling", "loop"] {
        assert!(find(&tree, name).is_err(), "{name}");
    }
    assert_eq!(read(&tree, "inside/rows/3.raw").unwrap().len(), 80);
}

#[test]
fn sockets_fifos_and_devices_are_left_out_but_keep_their_names() {
    let env = TestEnv::new();
    let data = env.data();
    std::os::unix::net::UnixListener::bind(data.join("socket.npy")).unwrap();
    for (name, kind) in [("fifo.npy", "p"), ("big", "p")] {
        let made = common::run(std::process::Command::new("mknod").arg(data.join(name)).arg(kind));
        assert!(made.status.success());
    }
    symlink("fifo.npy", data.join("link.npy")).unwrap();
    let tree = tree(&env, false);
    assert_eq!(listed(&tree, ""), ["big.npy", "big.npy.d", "link.npy"]);
    for name in ["socket.npy", "socket", "fifo.npy", "fifo", "big", "link"] {
        assert!(find(&tree, name).is_err(), "{name}");
    }
    assert_eq!(read(&tree, "big.npy.d/rows/3.raw").unwrap().len(), 80);
}

#[test]
fn a_directory_that_becomes_a_link_while_it_is_read_leads_nowhere() {
    let env = env_with_secret();
    let (real, link, spot) = (env.path("real"), env.path("link"), env.data().join("sub"));
    std::fs::create_dir(&real).unwrap();
    std::fs::write(real.join("secret.npy"), counting(&[3])).unwrap();
    symlink("../outside", &link).unwrap();
    let tree = tree(&env, false);
    let done = AtomicBool::new(false);
    let (mut inside, mut rounds, began) = (0, 0, Instant::now());
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                for version in [&real, &link] {
                    std::fs::rename(version, &spot).unwrap();
                    std::fs::rename(&spot, version).unwrap();
                }
            }
        });
        // However the threads take turns, both come to it.
        while (rounds < 20_000 || inside == 0) && began.elapsed() < PATIENCE {
            rounds += 1;
            for path in ["sub/secret.npy", "sub/secret/rows/0-3.npy"] {
                if let Ok(bytes) = read(&tree, path) {
                    assert_eq!(bytes, counting(&[3]), "{path}: what lies outside has 7 elements");
                    inside += 1;
                }
            }
        }
        done.store(true, Ordering::Relaxed);
    });
    assert!(inside > 0, "the real directory was never met");
}

#[test]
fn links_are_followed_where_their_owner_says_so_but_not_for_ever() {
    let env = env_with_secret();
    let data = env.data();
    symlink("../outside", data.join("directory")).unwrap();
    symlink("../secret.npy", data.join("out.npy")).unwrap();
    symlink("..", data.join("parent")).unwrap();
    symlink(".", data.join("self")).unwrap();
    let tree = tree(&env, true);
    assert_eq!(read(&tree, "directory/secret/rows/3.raw").unwrap(), 3u64.to_le_bytes());
    assert_eq!(read(&tree, "out/rows/3.raw").unwrap(), 3u64.to_le_bytes());
    assert!(matches!(find(&tree, "self"), Ok(Node::Symlink(..))), "it would have no end");
    assert!(matches!(find(&tree, "parent/data/parent"), Ok(Node::Symlink(..))));
}

/// A version of a file may be reached by several names, each of which is a path of its own.
#[test]
fn every_name_of_a_file_has_its_own_fate() {
    let env = TestEnv::new();
    let data = env.data();
    std::fs::hard_link(data.join("big.npy"), data.join("hard.npy")).unwrap();
    symlink("big.npy", data.join("latest.npy")).unwrap();
    std::fs::write(data.join("next.npy"), counting(&[7])).unwrap();
    let tree = tree(&env, false);
    let source = |name: &str| {
        let text = String::from_utf8(read(&tree, &format!("{name}/header.json")).unwrap()).unwrap();
        text.lines().nth(1).unwrap().trim().to_owned()
    };
    for name in ["latest", "hard", "big"] {
        read(&tree, &format!("{name}/rows/3.raw")).unwrap();
        assert_eq!(source(name), format!("\"source\": \"{name}.npy\","));
    }
    std::fs::remove_file(data.join("latest.npy")).unwrap();
    symlink("next.npy", data.join("latest.npy")).unwrap();
    std::fs::remove_file(data.join("hard.npy")).unwrap();
    assert_eq!(read(&tree, "latest/rows/3.raw").unwrap().len(), 8);
    assert_eq!(read(&tree, "big/rows/3.raw").unwrap().len(), 80);
    assert!(read(&tree, "hard/rows/3.raw").is_err());
}

#[test]
fn a_link_leads_nobody_past_a_directory_that_is_closed_to_them() {
    use std::os::unix::fs::PermissionsExt;
    let env = TestEnv::new();
    let data = env.data();
    let closed = data.join("closed");
    std::fs::create_dir(&closed).unwrap();
    std::fs::write(closed.join("secret.npy"), counting(&[7])).unwrap();
    symlink("closed/secret.npy", data.join("link.npy")).unwrap();
    symlink("big.npy", data.join("beside.npy")).unwrap();
    // Who sees the link has come through here.
    std::fs::set_permissions(&data, std::fs::Permissions::from_mode(0o750)).unwrap();
    let options = source::Options { follow_symlinks: false, for_others: true };
    for (mode, served) in [(0o700, false), (0o750, false), (0o711, true), (0o755, true)] {
        std::fs::set_permissions(&closed, std::fs::Permissions::from_mode(mode)).unwrap();
        let tree = env.tree(options, Options::default());
        for path in ["link/rows/3.raw", "link.raw"] {
            assert_eq!(read(&tree, path).is_ok(), served, "{path}, {mode:o}");
        }
        assert_eq!(read(&tree, "link/error.txt").is_ok(), !served, "{mode:o}");
        assert_eq!(read(&tree, "beside/rows/3.raw").unwrap().len(), 80);
    }
}

#[test]
fn a_followed_link_into_the_mount_itself_is_left_out() {
    let env = TestEnv::new();
    symlink(env.mountpoint().join("big"), env.data().join("straight")).unwrap();
    symlink(env.path(""), env.data().join("around")).unwrap();
    symlink(env.mountpoint().join("big"), env.path("hop")).unwrap();
    symlink("../hop", env.data().join("by a link")).unwrap();
    // One thread, which would wait for itself; and nothing that the kernel knows by heart.
    let mounted = env.mount(&["--follow-symlinks", "--threads", "1", "--ttl", "0"]);
    let gone = |path: &str| {
        let listed = common::run(std::process::Command::new("ls").arg(mounted.path(path)));
        assert!(!listed.status.success(), "{path}");
    };
    gone("straight");
    gone("around/mnt");
    gone("around/mnt/big");
    let listed = common::run(std::process::Command::new("ls").arg(mounted.path("around")));
    assert_eq!(String::from_utf8_lossy(&listed.stdout), "data\n");
    // That stays a link, for others to follow.
    let text = common::run(std::process::Command::new("readlink").arg(mounted.path("by a link")));
    assert_eq!(String::from_utf8_lossy(&text.stdout), "../hop\n");
    assert_eq!(mounted.read("big/rows/3.raw").unwrap().len(), 80);
}

#[test]
fn a_link_or_a_directory_is_the_one_that_was_looked_up() {
    let env = TestEnv::new();
    let data = env.data();
    symlink("big.npy", data.join("link")).unwrap();
    std::fs::create_dir(data.join("directory")).unwrap();
    let tree = tree(&env, false);
    let (link, directory) = (find(&tree, "link").unwrap(), find(&tree, "directory").unwrap());
    assert_eq!(tree.read_link(&link).unwrap(), "big.npy");
    std::fs::remove_file(data.join("link")).unwrap();
    symlink("other.npy", data.join("link")).unwrap();
    std::fs::rename(data.join("directory"), data.join("aside")).unwrap();
    std::fs::create_dir(data.join("directory")).unwrap();
    symlink("secret", data.join("directory/link")).unwrap();
    assert!(matches!(tree.read_link(&link), Err(Error::Stale)));
    assert!(matches!(tree.list(&directory), Err(Error::Stale)));
    assert!(matches!(tree.attr(&directory), Err(Error::Stale)));
    assert!(matches!(tree.lookup(&directory, "link".as_ref()), Err(Error::Stale)));
    assert_eq!(tree.read_link(&find(&tree, "link").unwrap()).unwrap(), "other.npy");
}
