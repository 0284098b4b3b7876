//! `mount.npyfs`: what mount(8) calls for `mount -t npyfs`, at boot too. It is npyfs itself by another name.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process;

use clap::{ArgAction, Parser};

/// Mount a directory of NumPy arrays, as mount(8) asks for it
#[derive(Debug, Parser)]
#[command(name = "mount.npyfs", version)]
struct Helper {
    /// The directory, or the .npy file, to serve
    source: OsString,
    /// The directory to mount on
    mountpoint: OsString,
    /// Options of `npyfs mount`, with _ for -: writable,allow_other,ttl=5
    #[arg(short = 'o', value_name = "OPT,OPT")]
    options: Vec<OsString>,
    /// Do everything except mounting
    #[arg(short)]
    fake: bool,
    /// For other filesystems; without effect here
    #[arg(short, short_aliases = ['n', 'v'], action = ArgAction::Count)]
    sloppy: u8,
    /// A mount namespace to mount in, which is refused: mount(8) leaves it to its helpers to go there
    #[arg(short = 'N', value_name = "NAMESPACE", value_parser = another_namespace)]
    namespace: Option<OsString>,
    /// The type of the filesystem, which is known
    #[arg(short = 't', value_name = "TYPE")]
    kind: Option<OsString>,
}

/// Whether mount(8) is the caller: it calls `mount.npyfs`, or `mount.fuse.npyfs`.
pub(super) fn is_called(args: &[OsString]) -> bool {
    let name = args.first().and_then(|program| Path::new(program).file_name());
    name.is_some_and(|name| name.as_bytes().starts_with(b"mount."))
}

fn another_namespace(_: &str) -> Result<OsString, &'static str> {
    Err("it cannot mount in another mount namespace; run mount there with nsenter(1)")
}

/// The same in words of npyfs, or the end of the program.
pub(super) fn command(args: Vec<OsString>) -> Vec<OsString> {
    let helper = Helper::parse_from(args);
    if helper.fake {
        process::exit(0);
    }
    let options = helper.options.into_iter().flat_map(|options| ["-o".into(), options]);
    let places = ["--".into(), helper.source, helper.mountpoint];
    ["npyfs".into(), "mount".into()].into_iter().chain(options).chain(places).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<OsString> {
        line.split(' ').map(Into::into).collect()
    }

    #[test]
    fn it_is_known_by_its_name() {
        for (program, called) in [
            ("mount.npyfs", true),
            ("/sbin/mount.fuse.npyfs", true),
            ("npyfs", false),
            ("/mount.d/npyfs", false),
        ] {
            assert_eq!(is_called(&[program.into()]), called, "{program}");
        }
        assert!(!is_called(&[]));
    }

    #[test]
    fn what_mount_passes_becomes_words_of_npyfs() {
        for (line, expected) in [
            ("mount.npyfs data mnt", "npyfs mount -- data mnt"),
            ("mount.npyfs data mnt -n -v -s -o rw,ttl=2", "npyfs mount -o rw,ttl=2 -- data mnt"),
            ("mount.npyfs /a /b -sv -o ro -t fuse.npyfs", "npyfs mount -o ro -- /a /b"),
        ] {
            assert_eq!(command(words(line)), words(expected), "{line}");
        }
        for (line, why) in [
            ("mount.npyfs data", "MOUNTPOINT"),
            ("mount.npyfs a b -o rw -N /proc/7/fd/4", "run mount there with nsenter"),
        ] {
            let refused = Helper::try_parse_from(words(line)).unwrap_err().to_string();
            assert!(refused.contains(why), "{refused}");
        }
    }
}
