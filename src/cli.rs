//! The command line: what can be typed, and what is meant by it.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser, Subcommand};
use npyfs::escape::shown;

mod arguments;
mod completion;
#[cfg(test)]
mod man;
mod mount_helper;
mod options;
mod values;

pub(crate) use arguments::{CreateArgs, LogFormat, LsArgs, MountArgs, RefsArgs, StatsArgs};
pub(crate) use completion::Shell;
use options::Options;

/// The version, and which commit it was built from if that is known. Set by build.rs.
const LONG_VERSION: &str = env!("NPYFS_LONG_VERSION");

/// How a command ends.
const STATUS: &str = "Exit status: 0; 1 if it could not be done (standard error says why); 2 if the \
                      command line is wrong";

/// What else there is to set.
const ENVIRONMENT: &str = "NPYFS_LOG, in the environment, sets what is logged: off, error, warn (the \
                           default), info, debug, trace";

/// What `info` prints where no person reads it.
const JSON: &str = "A terminal gets a summary; a file or another program gets JSON, that of an array being its \
                    header.json. A path that means nothing is an error, which says why";

/// Where the numbers of `stats` come from.
const STATISTICS: &str = "The numbers are those of MOUNTPOINT/.npyfs/stats.json, which any program can read; \
                          `man npyfs-stats` says what each means";

/// What reads the output of `refs`.
const REFERENCES: &str = "The output is kerchunk JSON, version 1: fsspec's reference filesystem makes a Zarr \
                          array of it, or a Zarr group of a directory. A selection has a reference for each \
                          piece of the file that it lies in, of which there may be 65536. Nothing is \
                          mounted, and no file changes";

/// How a shell comes to know a script.
const SCRIPTS: &str = "Packages install the scripts. Without one: npyfs completions bash >> ~/.bashrc; npyfs \
                       completions zsh > _npyfs, in a directory of $fpath; npyfs completions fish > \
                       ~/.config/fish/completions/npyfs.fish";

/// Mount a directory so that every NumPy array in it can be sliced by path
#[derive(Debug, Parser)]
#[command(version, long_version = LONG_VERSION, propagate_version = true, after_help = STATUS)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Mount a directory, or a single .npy file
    #[command(after_help = ENVIRONMENT)]
    Mount(MountArgs),
    /// Unmount. A busy mount goes when its last user is done; a dead one goes at once
    #[command(alias = "unmount")]
    Umount {
        /// The directory that is mounted on
        #[arg(add = completion::mountpoints())]
        mountpoint: PathBuf,
        /// Cut off a daemon that does not answer; whoever waits for it gets an error
        #[arg(long)]
        force: bool,
    },
    /// Describe arrays and slices, or list the arrays of a directory or an archive; needs no mount
    #[command(after_help = JSON)]
    Info {
        /// Print JSON, on a terminal too
        #[arg(long)]
        json: bool,
        /// In JSON, name the file of this machine that has the bytes of an array too
        #[arg(long, hide = true)]
        with_file: bool,
        /// Real paths, or paths as they would be in a mount: data/big/rows/0-50
        #[arg(required = true, add = completion::in_mount())]
        paths: Vec<PathBuf>,
    },
    /// List directories as they would be in a mount; needs no mount
    Ls(LsArgs),
    /// Write files as they would be in a mount to standard output; needs no mount
    Cat {
        /// Real paths, or paths as they would be in a mount: data/big/rows/0-50.npy
        #[arg(required = true, add = completion::in_mount())]
        paths: Vec<PathBuf>,
    },
    /// Print where the chunks of arrays lie, for Zarr readers that fetch them from a web server or a bucket
    #[command(after_help = REFERENCES)]
    Refs(RefsArgs),
    /// Make the file of an array of zeros, and reserve its disk space
    Create(CreateArgs),
    /// Show what a mount has done and holds: requests, bytes, errors, open files
    #[command(after_help = STATISTICS)]
    Stats(StatsArgs),
    /// List the npyfs mounts of this machine: source, mountpoint, owner, mode, and whether the daemon lives
    Mounts {
        /// Print a JSON array, with an object for each mount
        #[arg(long)]
        json: bool,
    },
    /// Make sample arrays, mount them, say what to try; Ctrl-C cleans up
    Demo,
    /// Print the script by which a shell completes commands, options and paths
    #[command(after_help = SCRIPTS)]
    Completions {
        /// The shell that is to read it
        shell: Shell,
    },
    /// Print what the script of a shell asks for
    #[command(hide = true)]
    Complete {
        shell: Shell,
        /// Set by the process that waits for this one
        #[arg(long)]
        awaited: bool,
        #[arg(last = true)]
        words: Vec<OsString>,
    },
    /// Unmount when standard input ends
    #[command(hide = true)]
    Watch { identity: String, mountpoint: PathBuf },
    /// Write a file of a mount to standard output, as a user if one is given; the status is the errno
    #[command(hide = true)]
    Read {
        file: PathBuf,
        #[arg(requires = "group")]
        user: Option<u32>,
        group: Option<u32>,
    },
}

/// What was typed, or the end of the program with the reason why it means nothing.
pub(crate) fn parse(args: impl Iterator<Item = OsString>) -> Cli {
    let args = with_command(args.collect());
    read(&args).unwrap_or_else(|err| {
        // A shell may have put in any name of a file for a `*`, and errors quote it.
        let shown_args: Vec<OsString> =
            args.iter().map(|arg| shown(arg).to_string().into()).collect();
        read(&shown_args).err().unwrap_or(err).exit()
    })
}

fn read(args: &[OsString]) -> Result<Cli, clap::Error> {
    let cli = Cli::try_parse_from(args)?;
    let Command::Mount(mount) = &cli.command else { return Ok(cli) };
    let usage = |why: String| {
        let mut program = Cli::command();
        // So that the usage that is shown with it is this command's.
        program.build();
        let command = program.find_subcommand_mut("mount").expect("`mount` has been typed");
        command.error(ErrorKind::ValueValidation, why)
    };
    let Options { words, read_only, warnings } = Options::new(&mount.options).map_err(usage)?;
    // After the word `mount`, so that an option by its own name comes later, and counts.
    let (before, after) = args.split_at(2.min(args.len()));
    let mut cli = Cli::try_parse_from([before, &*words, after].concat())?;
    if let Command::Mount(mount) = &mut cli.command {
        if read_only && mount.writable {
            return Err(usage(
                "writable and -o ro contradict each other; give one of them".to_owned(),
            ));
        }
        mount.warnings = warnings;
        mount.words = after.to_vec();
    }
    Ok(cli)
}

/// Puts in the word for what to do where mount(8) has called us, or its helper for FUSE: they name the source and
/// the mountpoint, and nothing else.
fn with_command(mut args: Vec<OsString>) -> Vec<OsString> {
    if mount_helper::is_called(&args) {
        return mount_helper::command(args);
    }
    let is_path = |arg: &OsString| arg.as_bytes().contains(&b'/');
    if args.get(1).is_some_and(is_path) && args.len() > 2 {
        args.insert(1, "mount".into());
    }
    args
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn mount(args: &[&str]) -> Result<MountArgs, String> {
        let args = std::iter::once("npyfs").chain(args.iter().copied()).map(Into::into);
        let args = with_command(args.collect());
        match read(&args).map_err(|err| err.to_string())?.command {
            Command::Mount(args) => Ok(args),
            other => Err(format!("{other:?}")),
        }
    }

    #[test]
    fn options_of_mount_are_understood_and_those_for_others_ignored() {
        let args = mount(&[
            "/data",
            "/mnt",
            "-o",
            "rw,nofail,x-systemd.automount,allow_other,ttl=0.5,tile_bytes=2K,chunk_bytes=1M",
        ]);
        let args = args.unwrap();
        assert!(args.allow_other);
        assert_eq!((args.ttl, args.tile_bytes), (Duration::from_millis(500), 2048));
        assert_eq!(args.chunk_bytes, 1 << 20);
        for (options, why) in [
            ("nonsense", "-o nonsense: there is no such option"),
            ("uid=7", "-o uid=7: files show the owners that they have in the source"),
        ] {
            let refused = mount(&["mount", "a", "b", "-o", options]).unwrap_err();
            assert!(refused.contains(why), "{refused}");
            assert!(refused.contains("Usage: npyfs mount "), "{refused}");
        }
        assert!(!args.writable, "mount(8) says rw of itself");
        assert!(mount(&["/data", "/mnt", "-o", "rw,writable"]).unwrap().writable);
        assert!(!mount(&["/data", "/mnt", "-o", "ro"]).unwrap().writable);
        assert!(mount(&["/data", "/mnt", "-o", "no_tiles"]).unwrap().no_tiles);
        let both = mount(&["mount", "a", "b", "--writable", "-o", "ro"]).unwrap_err();
        assert!(
            both.contains("writable and -o ro contradict each other; give one of them"),
            "{both}"
        );
        assert!(mount(&["mount", "a", "b", "--tile-bytes", "0"]).is_err());
        assert!(mount(&["mount", "a", "b", "--chunk-bytes", "0"]).is_err());
        assert_eq!(mount(&["mount", "a", "b"]).unwrap().chunk_bytes, npyfs::zarr::CHUNK_BYTES);
        assert!(mount(&["mount", "a", "b", "--ttl", "-1"]).is_err());
    }

    #[test]
    fn an_option_means_the_same_by_either_name_and_its_own_counts() {
        for (name, wrong) in
            [("threads", "0"), ("threads", "65"), ("ttl", "-1"), ("tile_bytes", "0"), ("ttl", "x")]
        {
            let long = format!("--{}={wrong}", name.replace('_', "-"));
            let by_long = mount(&["mount", &long, "a", "b"]).unwrap_err();
            let by_o = mount(&["mount", "-o", &format!("{name}={wrong}"), "a", "b"]).unwrap_err();
            assert_eq!(by_long, by_o);
        }
        let args =
            mount(&["mount", "--ttl=3", "a", "b", "-o", "ttl=4,threads=5,threads=6"]).unwrap();
        assert_eq!((args.ttl, args.threads), (Duration::from_secs(3), Some(6)));
        let args = mount(&["/a", "/b", "-o", "ttl=4,log_file=/l", "-o", "noexec,sync"]).unwrap();
        assert_eq!(args.warnings, ["-o sync has no effect here, and is ignored"]);
        assert!(args.no_exec && args.log_file == Some("/l".into()));
        assert!(mount(&["mount", "a", "b", "-o", "writable=1"]).is_err());
        assert!(mount(&["mount", "a", "b", "-o", "ttl"]).is_err());
        let args = mount(&["mount", "a", "b", "-o", "log_format=json"]).unwrap();
        assert_eq!(args.log_format, LogFormat::Json);
        assert!(mount(&["mount", "a", "b", "--log-format=xml"]).is_err());
    }

    #[test]
    fn the_command_line_is_consistent() {
        <Cli as clap::CommandFactory>::command().debug_assert();
    }
}
