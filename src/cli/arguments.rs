//! What the commands take.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use npyfs::npy::dtype::DType;
use npyfs::npy::header::Order;
use npyfs::npy::typed::{self, Shape};
use npyfs::zarr::Format;

use super::{completion, values};

#[derive(Clone, Debug, Args)]
#[command(args_override_self = true)]
pub(crate) struct MountArgs {
    /// The directory, or the .npy file, to serve
    #[arg(add = completion::sources())]
    pub(crate) source: PathBuf,
    /// The empty directory to mount on; made if it is missing, but its parent must be there
    #[arg(add = completion::directories())]
    pub(crate) mountpoint: PathBuf,
    /// Stay in the foreground until Ctrl-C
    #[arg(short, long)]
    pub(crate) foreground: bool,
    /// Log every request to the terminal, with its path, outcome and time; stays in the foreground.
    /// NPYFS_LOG=debug adds what the FUSE library receives
    #[arg(short, long)]
    pub(crate) debug: bool,
    /// The same options, as mount(8) and fstab pass them, with _ for -: writable,allow_other,ttl=5.
    /// Options for mount(8) itself are ignored; so are fsname, sync and the atime options, with a warning
    #[arg(short = 'o', value_name = "OPT,OPT", value_delimiter = ',')]
    pub(super) options: Vec<String>,
    /// Allow the values of arrays to be written through the mount; their shapes, dtypes and names stay
    #[arg(long)]
    pub(crate) writable: bool,
    /// Let other users do what the files' permissions allow them
    #[arg(long)]
    pub(crate) allow_other: bool,
    /// Seconds for which names and attributes may be out of date
    #[arg(long, value_name = "SECONDS", default_value = "1", value_parser = values::seconds)]
    pub(crate) ttl: Duration,
    /// Threads that answer requests [default: one for each core, at most 4]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=64))]
    pub(crate) threads: Option<u16>,
    /// Size of the tiles that rows/ lists; K, M and G are powers of 1024
    #[arg(long, value_name = "BYTES", default_value = "64M", value_parser = values::bytes)]
    pub(crate) tile_bytes: u64,
    /// Size of the chunks of .zarr directories
    #[arg(long, value_name = "BYTES", default_value = "4M", value_parser = values::bytes)]
    pub(crate) chunk_bytes: u64,
    /// The largest slice that is copied into memory when it is opened, on root's read-only mounts; 0 copies none
    #[arg(long, value_name = "BYTES", default_value = "256M", value_parser = values::bytes_or_none)]
    pub(crate) stage_bytes: u64,
    /// List no tiles and no fields, for tools that walk directories; they can still be opened by name
    #[arg(long)]
    pub(crate) no_tiles: bool,
    /// Serve the targets of symlinks as plain files and directories, wherever they are
    #[arg(long)]
    pub(crate) follow_symlinks: bool,
    /// Do not let files be executed
    #[arg(long = "noexec")]
    pub(crate) no_exec: bool,
    /// Unmount even if the daemon is killed
    #[arg(long)]
    pub(crate) auto_unmount: bool,
    /// Unmount when standard input ends, as it does when the program at its other end is gone
    #[arg(long)]
    pub(crate) until_eof: bool,
    /// Append the log to this file [default: the terminal; in the background, the system's log]
    #[arg(long, value_name = "FILE", add = completion::files())]
    pub(crate) log_file: Option<PathBuf>,
    /// How the log is written: lines of text, or a JSON object a line (timestamp, level, target, message)
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub(crate) log_format: LogFormat,
    /// Warnings about ignored options
    #[arg(skip)]
    pub(crate) warnings: Vec<String>,
    /// The command line after the word `mount`
    #[arg(skip)]
    pub(crate) words: Vec<OsString>,
    /// Set by the process that waits in the foreground for this one
    #[arg(long, hide = true)]
    pub(crate) in_background: bool,
}

/// How the log is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    Text,
    Json,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct StatsArgs {
    /// The directory that is mounted on
    #[arg(add = completion::mountpoints())]
    pub(crate) mountpoint: PathBuf,
    /// Print stats.json as it is
    #[arg(long)]
    pub(crate) json: bool,
    /// Look again every second, or every so many seconds, until Ctrl-C; and say how much came a second
    #[arg(
        long, value_name = "SECONDS", num_args = 0..=1, require_equals = true,
        default_missing_value = "1", value_parser = values::pause
    )]
    pub(crate) watch: Option<Duration>,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct LsArgs {
    /// Real paths, or paths as they would be in a mount
    #[arg(default_value = ".", add = completion::in_mount())]
    pub(crate) paths: Vec<PathBuf>,
    /// Show the size of each file, and the dtype and shape of the array in it
    #[arg(short, long)]
    pub(crate) long: bool,
    /// Print one JSON list for all paths, with an object for each entry that has these facts
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct CreateArgs {
    /// The file to make, X.npy; it must not exist yet
    #[arg(add = completion::directories())]
    pub(crate) path: PathBuf,
    /// The length of each axis: 1000000,100 or (1000000, 100); () has no axis
    #[arg(long, value_name = "N,N", allow_hyphen_values = true, required_unless_present = "like")]
    pub(crate) shape: Option<Shape>,
    /// What an item is: f8, '>i4', float64, S10, M8[ns], or fields: "[('r', '<f4'), ('i', '<f4')]"
    #[arg(
        long,
        value_parser = typed::dtype,
        required_unless_present = "like",
        add = completion::dtypes()
    )]
    pub(crate) dtype: Option<DType>,
    /// Which index runs fastest: the last (C) or the first (F) [default: C]
    #[arg(long, value_name = "C|F", value_parser = values::order, add = completion::orders())]
    pub(crate) order: Option<Order>,
    /// Take shape, dtype and order from this .npy file where they are not given
    #[arg(long, value_name = "FILE", add = completion::arrays())]
    pub(crate) like: Option<PathBuf>,
    /// Reserve no disk space; only set the file's length
    #[arg(long)]
    pub(crate) sparse: bool,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct RefsArgs {
    /// A .npy file, a directory with any number of them, or a path as it would be in a mount:
    /// data/big/rows/0-50, data/big/fields/r, data/model/weights
    #[arg(add = completion::in_mount())]
    pub(crate) source: PathBuf,
    /// Where readers find the directory of the source, or the one that a single file is in:
    /// https://example.org/data, s3://bucket/data [default: where it is on this machine]
    #[arg(long, value_name = "PREFIX")]
    pub(crate) url: Option<String>,
    /// The version of Zarr that the readers know: VirtualiZarr and xarray's kerchunk engine want 2
    #[arg(long, value_name = "2|3", default_value = "3")]
    pub(crate) zarr_format: Format,
    /// The most that a chunk has, unless an item is larger; K, M and G are powers of 1024
    #[arg(long, value_name = "BYTES", default_value = "4M", value_parser = values::bytes)]
    pub(crate) chunk_bytes: u64,
}
