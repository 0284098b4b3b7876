//! Options after `-o`, as mount(8) and fstab pass them: those of `npyfs mount` by their long names, with `_`
//! for `-`, and those for mount(8) itself.

use std::ffi::OsString;

use clap::Args;

use super::MountArgs;

/// Options that mount(8) adds or uses itself, or that are true of every mount.
const FOR_OTHERS: [&str; 24] = [
    "",
    "defaults",
    // Said of every mount that is not `ro`.
    "rw",
    "suid",
    "nosuid",
    "dev",
    "nodev",
    "exec",
    "auto",
    "noauto",
    "user",
    "nouser",
    "users",
    "group",
    "owner",
    "nofail",
    "_netdev",
    "comment",
    "async",
    "silent",
    "loud",
    "nomand",
    "relatime",
    "default_permissions",
];

/// Options that have an effect on other filesystems and none here.
const WITHOUT_EFFECT: [&str; 14] = [
    "fsname",
    "subtype",
    "sync",
    "dirsync",
    "atime",
    "noatime",
    "norelatime",
    "strictatime",
    "nostrictatime",
    "diratime",
    "nodiratime",
    "lazytime",
    "nolazytime",
    "mand",
];

/// What the options after `-o` mean.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Options {
    /// The same as words of the command line, so that each option has only one parser.
    pub(super) words: Vec<OsString>,
    /// Nothing may be written.
    pub(super) read_only: bool,
    /// Options that were ignored, though somebody may rely on them.
    pub(super) warnings: Vec<String>,
}

impl Options {
    pub(super) fn new(options: &[String]) -> Result<Options, String> {
        let command = MountArgs::augment_args(clap::Command::new("mount"));
        let is_long = |name: &str| {
            command.get_arguments().any(|arg| arg.get_long() == Some(name) && !arg.is_hide_set())
        };
        let mut read = Options::default();
        for option in options {
            let (name, value) = match option.split_once('=') {
                Some((name, value)) => (name, Some(value)),
                None => (option.as_str(), None),
            };
            let (long, name) = (name.replace('_', "-"), name.replace('-', "_"));
            match (&*name, value) {
                ("ro", None) => read.read_only = true,
                _ if is_long(&long) => {
                    let value = value.map_or(String::new(), |value| format!("={value}"));
                    read.words.push(format!("--{long}{value}").into());
                }
                ("uid" | "gid", _) => {
                    return Err(format!(
                        "-o {option}: files show the owners that they have in the source; there is \
                         nothing to set"
                    ));
                }
                ("umask" | "fmask" | "dmask", _) => {
                    return Err(format!(
                        "-o {option}: files show the permissions that they have in the source; there \
                         is nothing to set"
                    ));
                }
                (name, _) if FOR_OTHERS.contains(&name) || name.starts_with("x_") => {}
                (name, _) if WITHOUT_EFFECT.contains(&name) => {
                    read.warnings.push(format!("-o {option} has no effect here, and is ignored"));
                }
                _ => return Err(format!("-o {option}: there is no such option")),
            }
        }
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(text: &str) -> Result<Options, String> {
        Options::new(&text.split(',').map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn what_mount_adds_by_itself_is_ignored_in_silence() {
        for text in ["rw,dev,suid,nofail,x-systemd.automount,_netdev,user=somebody,comment=x", ""] {
            assert_eq!(options(text), Ok(Options::default()), "{text}");
        }
    }

    #[test]
    fn what_has_no_effect_is_said() {
        let read = options("noatime,ro,fsname=x,sync").unwrap();
        assert!(read.read_only && read.words.is_empty());
        let ignored: Vec<&str> =
            read.warnings.iter().filter_map(|said| said.split(' ').nth(1)).collect();
        assert_eq!(ignored, ["noatime", "fsname=x", "sync"]);
    }

    #[test]
    fn long_options_are_passed_on_and_hidden_ones_are_not() {
        let read = options("allow_other,log-file=/a=b,tile_bytes=2K").unwrap();
        assert_eq!(read.words, ["--allow-other", "--log-file=/a=b", "--tile-bytes=2K"]);
        for text in ["in_background", "help", "o", "nonsense", "ttl,nonsense=3"] {
            assert!(options(text).unwrap_err().ends_with(": there is no such option"), "{text}");
        }
    }

    #[test]
    fn what_cannot_be_set_is_refused() {
        for text in ["uid=1000", "gid=1000", "umask=022"] {
            let why = options(text).unwrap_err();
            assert!(why.starts_with(&format!("-o {text}: files show the ")), "{why}");
        }
    }
}
