//! `npyfs mount`: in the foreground, or in the background once the mount is ready.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;

use npyfs::escape::shown;
use npyfs::mount::{End, GRACE, Options, Place, Process};
use npyfs::tree;
use rustix::process::{Resource, Rlimit};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use super::{Outcome, advice, by, notify};
use crate::cli::MountArgs;
use crate::logging;

/// What the daemon writes to the watcher when there is nothing left to unmount.
pub(super) const DONE: &[u8] = b"done";

/// What the background process writes to the process that waits for it.
const READY: &[u8] = b"ready";

pub(crate) fn run(args: &MountArgs) -> Outcome {
    for warning in args.warnings.iter().filter(|_| !args.in_background) {
        eprintln!("npyfs: {}", shown(warning));
    }
    if args.foreground || args.debug || args.in_background {
        return serve(args);
    }
    // A process of its own rather than a fork: no thread and no lock is shared, and its errors
    // reach the terminal as they are.
    let mut daemon = Command::new(std::env::current_exe()?);
    daemon.args(["mount", "--in-background"]).args(&args.words);
    daemon.stdin(if args.until_eof { Stdio::inherit() } else { Stdio::null() });
    let mut child = daemon.stdout(Stdio::piped()).spawn()?;
    let mut said = Vec::new();
    if let Some(mut output) = child.stdout.take() {
        output.read_to_end(&mut said)?;
    }
    if said == READY {
        return Ok(());
    }
    // It has said why on the terminal.
    let status = child.wait()?;
    std::process::exit(status.code().unwrap_or(1));
}

fn serve(args: &MountArgs) -> Outcome {
    if args.in_background {
        // Away from the terminal: a Ctrl-C there is not for us.
        rustix::process::setsid()?;
    }
    logging::start(args.debug, args.log_format, args.log_file.as_deref())
        .map_err(|err| named(args.log_file.as_deref(), &err))?;
    let defaults = Options::default();
    let options = Options {
        allow_other: args.allow_other,
        follow_symlinks: args.follow_symlinks,
        tree: tree::Options {
            tile_bytes: args.tile_bytes,
            chunk_bytes: args.chunk_bytes,
            no_tiles: args.no_tiles,
            writable: args.writable,
        },
        ttl: args.ttl,
        threads: args.threads.map_or(defaults.threads, usize::from),
        stage_bytes: args.stage_bytes,
        no_exec: args.no_exec,
    };
    let prepared = npyfs::mount::prepare(&args.source, &args.mountpoint, &options);
    let prepared = prepared.map_err(|err| match advice::file_of_array(&args.source) {
        Some(file) if !args.source.exists() => {
            let source = shown(&args.source);
            format!("{source}: there is no such directory; the array is the file {}", shown(&file))
        }
        _ => err.to_string(),
    })?;
    let (asked, end) = mpsc::channel();
    let signals = ending_signals()?;
    raise_file_limit();
    let mount = prepared.mount()?;
    // A thread inherits privileges from the one that starts it, so this comes before any is started.
    npyfs::mount::give_up_privileges(&options)
        .map_err(|err| format!("cannot give up root's privileges: {err}"))?;
    ask_on(signals, asked.clone());
    let watcher = match mount.place() {
        Some(place) if args.auto_unmount => Some(watch(place)?),
        _ => None,
    };
    if let Some(place) = mount.place().filter(|_| args.until_eof) {
        unmount_at_eof(place.clone(), asked.clone());
    }
    if args.in_background {
        detach(args.until_eof)?;
    } else {
        if let Err(err) = notify::ready() {
            log::warn!("the service manager was not told that the mount is ready: {err}");
        }
        eprintln!(
            "npyfs: {} is mounted on {}, {}; Ctrl-C unmounts it",
            shown(&args.source),
            shown(&args.mountpoint),
            if args.writable { "writable" } else { "read-only" }
        );
    }
    log::info!(
        "{} is mounted on {}: {}",
        shown(&args.source),
        shown(&args.mountpoint),
        said(&options)
    );
    let served = mount.serve(asked, &end, |users| say_in_use(&args.mountpoint, users));
    match &served {
        Ok(()) => log::info!("{} is unmounted", shown(&args.mountpoint)),
        // The terminal is out of reach.
        Err(err) if args.in_background => log::error!("{err}"),
        Err(_) => {}
    }
    if let Some(mut input) = watcher.and_then(|watcher| watcher.stdin) {
        // The watcher unmounts if its input ends without a word.
        if served.is_ok() {
            // If it is gone, it need not know.
            let _ = input.write_all(DONE);
        }
    }
    Ok(served?)
}

/// Options in words, for the log.
fn said(options: &Options) -> String {
    let Options { allow_other, follow_symlinks, tree, ttl, threads, no_exec, .. } = options;
    let mut said = if tree.writable { "writable" } else { "read-only" }.to_owned();
    for (is_so, what) in [
        (*allow_other, ", for all users"),
        (*follow_symlinks, ", following symlinks"),
        (tree.no_tiles, ", listing no tiles"),
        (*no_exec, ", noexec"),
    ] {
        if is_so {
            said += what;
        }
    }
    format!("{said}, ttl {} s, {threads} threads", ttl.as_secs_f64())
}

fn named(file: Option<&Path>, err: &io::Error) -> String {
    format!("{}: {err}", shown(file.unwrap_or(Path::new("the log"))))
}

/// Passes SIGINT, SIGTERM and SIGHUP on as a request to end.
pub(super) fn ask_on_signal(asked: mpsc::Sender<End>) -> io::Result<()> {
    ask_on(ending_signals()?, asked);
    Ok(())
}

/// The signals that end a mount. From now on they are kept until somebody looks.
fn ending_signals() -> io::Result<Signals> {
    Signals::new([SIGINT, SIGTERM, SIGHUP])
}

fn ask_on(mut signals: Signals, asked: mpsc::Sender<End>) {
    thread::spawn(move || {
        for _ in signals.forever() {
            // Nobody listens once the end has come.
            let _ = asked.send(End::Asked);
        }
    });
}

/// Says why it does not end at once.
pub(super) fn say_in_use(mountpoint: &Path, users: &[Process]) {
    // The terminal may be gone, which must not keep us from unmounting.
    let _ = writeln!(
        io::stderr(),
        "npyfs: {} is in use{}; open files are served for {} s more; Ctrl-C again leaves at once",
        shown(mountpoint),
        by(users),
        GRACE.as_secs(),
    );
}

/// Every array that is read needs a descriptor.
fn raise_file_limit() {
    let limit = rustix::process::getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, ..limit };
    if let Err(err) = rustix::process::setrlimit(Resource::Nofile, raised) {
        log::debug!("the limit of open files stays as it is: {err}");
    }
}

/// Unmounts when standard input ends, as `npyfs umount` does: what is open is served until it is closed.
fn unmount_at_eof(place: Place, asked: mpsc::Sender<End>) {
    thread::spawn(move || {
        // An error means the same as an end.
        let _ = io::copy(&mut io::stdin(), &mut io::sink());
        let unmounted = place.unmount();
        if let Err(err) = &unmounted {
            log::warn!("{err}");
        }
        // It stays if another mount lies over it, and then the daemon goes.
        if unmounted.is_err() || place.is_there().unwrap_or(true) {
            let _ = asked.send(End::Asked);
        }
        // Whoever holds the other end of a socket can wait for this.
        let _ = File::open("/dev/null").and_then(|null| Ok(rustix::stdio::dup2_stdin(null)?));
    });
}

/// Tells the waiting process that the mount is ready, and leaves the terminal and the current directory.
fn detach(keeps_stdin: bool) -> io::Result<()> {
    // Everything that can fail comes before that word.
    let null = File::options().read(true).write(true).open("/dev/null")?;
    std::env::set_current_dir("/")?;
    let mut out = io::stdout();
    out.write_all(READY)?;
    out.flush()?;
    logging::detach();
    if !keeps_stdin {
        rustix::stdio::dup2_stdin(&null)?;
    }
    rustix::stdio::dup2_stdout(&null)?;
    Ok(rustix::stdio::dup2_stderr(&null)?)
}

/// Starts a process that unmounts if this one goes, for whatever reason.
fn watch(place: &Place) -> io::Result<Child> {
    Command::new(std::env::current_exe()?)
        .args(["watch", &place.identity()])
        .arg(place.mountpoint())
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        // Out of reach of a Ctrl-C that is meant for us.
        .process_group(0)
        .spawn()
}
