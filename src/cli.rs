//! The command line: what can be typed, and what is meant by it.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use npyfs::npy::dtype::DType;
use npyfs::npy::header::Order;
use npyfs::npy::typed::{self, Shape};
use npyfs::shown::shown;

/// Mount a directory so that every NumPy array in it can be sliced by path
#[derive(Debug, Parser)]
#[command(version, propagate_version = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Mount a directory, or a single .npy file
    Mount(MountArgs),
    /// Unmount; lazily where the mount is busy, and a dead one too
    #[command(alias = "unmount")]
    Umount {
        /// The directory that is mounted on
        mountpoint: PathBuf,
    },
    /// Print header.json of arrays, or say why there is none; needs no mount
    Info {
        /// Real paths, or paths as they would be in a mount: data/big/rows/0-50
        #[arg(required = true)]
        paths: Vec<PathBuf>,
    },
    /// List a directory as it would be in a mount
    Ls {
        /// A real path, or a path as it would be in a mount
        #[arg(default_value = ".")]
        path: PathBuf,
    },
    /// Write files as they would be in a mount to standard output
    Cat {
        /// Real paths, or paths as they would be in a mount: data/big/rows/0-50.npy
        #[arg(required = true)]
        paths: Vec<PathBuf>,
    },
    /// Make the file of an array of zeros, and reserve its disk space
    Create(CreateArgs),
    /// Make sample arrays, mount them, say what to try; Ctrl-C cleans up
    Demo,
    /// Unmount when standard input ends
    #[command(hide = true)]
    Watch { device: String, mountpoint: PathBuf },
}

#[derive(Clone, Debug, Args)]
pub(crate) struct MountArgs {
    /// The directory, or the .npy file, to serve
    pub(crate) source: PathBuf,
    /// Where to mount it; made if it is missing
    pub(crate) mountpoint: PathBuf,
    /// Stay in the foreground until Ctrl-C
    #[arg(short, long)]
    pub(crate) foreground: bool,
    /// Log every request to the terminal; stays in the foreground
    #[arg(short, long)]
    pub(crate) debug: bool,
    /// These options as mount(8) and fstab pass them, with _ for -: writable,allow_other,ttl=5
    #[arg(short = 'o', value_name = "OPT,OPT", value_delimiter = ',')]
    options: Vec<String>,
    /// Let the values of arrays be written through the mount; their shapes, dtypes and names stay
    #[arg(long)]
    pub(crate) writable: bool,
    /// Let other users do what the files' permissions let them
    #[arg(long)]
    pub(crate) allow_other: bool,
    /// Seconds for which names and attributes may be out of date
    #[arg(long, value_name = "SECONDS", default_value = "1", value_parser = seconds)]
    pub(crate) ttl: Duration,
    /// Threads that answer requests [default: one for each core, at most 4]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=64))]
    pub(crate) threads: Option<u16>,
    /// Size of the tiles that rows/ lists; K, M and G are powers of 1024
    #[arg(long, value_name = "BYTES", default_value = "64M", value_parser = bytes)]
    pub(crate) tile_bytes: u64,
    /// Serve the targets of symlinks as plain files and directories, wherever they are
    #[arg(long)]
    pub(crate) follow_symlinks: bool,
    /// Let no file be executed
    #[arg(long = "noexec")]
    pub(crate) no_exec: bool,
    /// Unmount also when the daemon is killed
    #[arg(long)]
    pub(crate) auto_unmount: bool,
    /// Append the log to this file [default: the terminal; in the background, the system's log]
    #[arg(long, value_name = "FILE")]
    pub(crate) log_file: Option<PathBuf>,
    /// Set by the process that waits in the foreground for this one
    #[arg(long, hide = true)]
    pub(crate) in_background: bool,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct CreateArgs {
    /// The file to make, X.npy; nothing may have that name yet
    pub(crate) path: PathBuf,
    /// The length of each axis: 1000000,100 or (1000000, 100); () has no axis
    #[arg(long, value_name = "N,N", allow_hyphen_values = true, required_unless_present = "like")]
    pub(crate) shape: Option<Shape>,
    /// What an item is: f8, '>i4', float64, S10, M8[ns], or fields: "[('r', '<f4'), ('i', '<f4')]"
    #[arg(long, value_parser = typed::dtype, required_unless_present = "like")]
    pub(crate) dtype: Option<DType>,
    /// Which index runs fastest: the last (C) or the first (F) [default: C]
    #[arg(long, value_name = "C|F", value_parser = order)]
    pub(crate) order: Option<Order>,
    /// Take what is not given of shape, dtype and order from this .npy file
    #[arg(long, value_name = "FILE")]
    pub(crate) like: Option<PathBuf>,
    /// Reserve no disk space; only set the file's length
    #[arg(long)]
    pub(crate) sparse: bool,
}

fn order(text: &str) -> Result<Order, String> {
    match text {
        "C" | "c" => Ok(Order::C),
        "F" | "f" => Ok(Order::Fortran),
        _ => Err("neither C nor F".to_owned()),
    }
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.parse().ok().and_then(|n| Duration::try_from_secs_f64(n).ok());
    seconds.ok_or_else(|| "not a number of seconds".to_owned())
}

fn bytes(text: &str) -> Result<u64, String> {
    let (digits, shift) = match text.char_indices().next_back() {
        Some((at, 'K' | 'k')) => (&text[..at], 10),
        Some((at, 'M' | 'm')) => (&text[..at], 20),
        Some((at, 'G' | 'g')) => (&text[..at], 30),
        _ => (text, 0),
    };
    let bytes = digits.parse().ok().and_then(|n: u64| n.checked_mul(1 << shift)).filter(|&n| n > 0);
    bytes.ok_or_else(|| "not a size from 1 byte on, such as 65536, 512K, 64M, 2G".to_owned())
}

/// Options of mount(8) that are for others, or that hold of every mount.
const IGNORED: [&str; 34] = [
    "defaults",
    // mount(8) says it of every mount that is not `ro`.
    "rw",
    "nosuid",
    "nodev",
    "suid",
    "dev",
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
    "atime",
    "noatime",
    "relatime",
    "norelatime",
    "strictatime",
    "nostrictatime",
    "diratime",
    "nodiratime",
    "lazytime",
    "nolazytime",
    "sync",
    "async",
    "dirsync",
    "silent",
    "loud",
    "mand",
    "nomand",
    "default_permissions",
];

impl MountArgs {
    /// Applies what stands behind `-o`.
    pub(crate) fn with_options(mut self) -> Result<MountArgs, String> {
        let mut read_only = false;
        for option in std::mem::take(&mut self.options) {
            let (name, value) = match option.split_once('=') {
                Some((name, value)) => (name, Some(value)),
                None => (option.as_str(), None),
            };
            let wrong = |why: String| format!("-o {option}: {why}");
            match (&*name.replace('-', "_"), value) {
                ("ro", None) => read_only = true,
                ("writable", None) => self.writable = true,
                ("allow_other", None) => self.allow_other = true,
                ("follow_symlinks", None) => self.follow_symlinks = true,
                ("auto_unmount", None) => self.auto_unmount = true,
                ("debug", None) => self.debug = true,
                ("noexec", None) => self.no_exec = true,
                ("ttl", Some(value)) => self.ttl = seconds(value).map_err(wrong)?,
                ("tile_bytes", Some(value)) => self.tile_bytes = bytes(value).map_err(wrong)?,
                ("threads", Some(value)) => {
                    let threads = value.parse().ok().filter(|n| (1..=64).contains(n));
                    self.threads =
                        Some(threads.ok_or_else(|| wrong("not a number from 1 to 64".to_owned()))?);
                }
                ("log_file", Some(value)) => self.log_file = Some(value.into()),
                (name, _) if IGNORED.contains(&name) || name.starts_with("x_") => {}
                ("" | "user" | "uid" | "gid" | "fsname" | "subtype", _) => {}
                _ => return Err(wrong("there is no such option".to_owned())),
            }
        }
        if read_only && self.writable {
            return Err("writable, and -o ro: one of the two".to_owned());
        }
        Ok(self)
    }
}

/// What was typed, or the end of the program with the reason why it means nothing.
pub(crate) fn parse(args: impl Iterator<Item = OsString>) -> Cli {
    let args = with_command(args);
    Cli::try_parse_from(&args).unwrap_or_else(|err| {
        // A shell may have put in any name of a file for a `*`, and errors quote it.
        let shown_args = args.iter().map(|arg| shown(arg).to_string());
        Cli::try_parse_from(shown_args).err().unwrap_or(err).exit()
    })
}

/// `mount -t fuse.npyfs` calls us with source and mountpoint, and no word for what to do.
fn with_command(args: impl Iterator<Item = OsString>) -> Vec<OsString> {
    let mut args: Vec<_> = args.collect();
    let is_path = |arg: &OsString| arg.as_bytes().contains(&b'/');
    if args.get(1).is_some_and(is_path) && args.len() > 2 {
        args.insert(1, "mount".into());
    }
    args
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mount(args: &[&str]) -> Result<MountArgs, String> {
        let args =
            with_command(std::iter::once("npyfs").chain(args.iter().copied()).map(Into::into));
        match Cli::try_parse_from(args).map_err(|err| err.to_string())?.command {
            Command::Mount(args) => args.with_options(),
            other => Err(format!("{other:?}")),
        }
    }

    #[test]
    fn options_of_mount_are_understood_and_those_for_others_ignored() {
        let args = mount(&[
            "/data",
            "/mnt",
            "-o",
            "rw,nofail,x-systemd.automount,allow_other,ttl=0.5,tile_bytes=2K",
        ]);
        let args = args.unwrap();
        assert!(args.allow_other);
        assert_eq!((args.ttl, args.tile_bytes), (Duration::from_millis(500), 2048));
        assert_eq!(
            mount(&["mount", "a", "b", "-o", "nonsense"]).unwrap_err(),
            "-o nonsense: there is no such option"
        );
        assert_eq!(
            mount(&["mount", "a", "b", "-o", "threads=0"]).unwrap_err(),
            "-o threads=0: not a number from 1 to 64"
        );
        assert!(!args.writable, "mount(8) says rw of itself");
        assert!(mount(&["/data", "/mnt", "-o", "rw,writable"]).unwrap().writable);
        assert!(!mount(&["/data", "/mnt", "-o", "ro"]).unwrap().writable);
        assert_eq!(
            mount(&["mount", "a", "b", "--writable", "-o", "ro"]).unwrap_err(),
            "writable, and -o ro: one of the two"
        );
        assert!(mount(&["mount", "a", "b", "--tile-bytes", "0"]).is_err());
        assert!(mount(&["mount", "a", "b", "--ttl", "-1"]).is_err());
    }

    #[test]
    fn the_command_line_is_consistent() {
        <Cli as clap::CommandFactory>::command().debug_assert();
    }
}
