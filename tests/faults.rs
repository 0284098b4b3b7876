//! What goes wrong around a mount: a daemon killed or ended under load, a disk full of its log, too
//! few descriptors. Callers get answers or errors, and never wait for ever.

mod common;

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use common::{
    Mounted, TestEnv, counting, eventually, in_time, mount_count, npyfs, program, run, stderr, wait,
};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Threads that open and read one slice after another, until one fails.
struct Readers {
    threads: Vec<JoinHandle<io::Error>>,
    /// Slices read so far.
    read: Arc<AtomicUsize>,
}

impl Readers {
    fn of(mounted: &Mounted) -> Readers {
        let read = Arc::new(AtomicUsize::new(0));
        let threads = (0..4).map(|reader| {
            let (read, mountpoint) = (read.clone(), mounted.mountpoint.clone());
            std::thread::spawn(move || {
                for round in 0.. {
                    let first = (reader * 250 + round) % 1000;
                    let slice = mountpoint.join(format!("big/rows/{first}-1000.raw"));
                    match std::fs::read(slice) {
                        Ok(bytes) => assert_eq!(bytes.len(), (1000 - first) * 80),
                        Err(err) => return err,
                    }
                    read.fetch_add(1, Ordering::Relaxed);
                }
                unreachable!("there are more slices than time")
            })
        });
        let readers = Readers { threads: threads.collect(), read };
        eventually("the readers to be busy", || readers.read.load(Ordering::Relaxed) > 100);
        readers
    }

    /// The errors with which they ended, which they all do soon.
    fn errors(self) -> Vec<io::Error> {
        in_time("the readers' end", || {
            self.threads.into_iter().map(|reader| reader.join().unwrap()).collect()
        })
    }
}

#[test]
fn readers_of_a_killed_daemon_get_errors_and_umount_cleans_up() {
    let env = TestEnv::new();
    let mut mounted = env.mount(&[]);
    let held = File::open(mounted.path("big/cols/3.raw")).unwrap();
    let readers = Readers::of(&mounted);
    mounted.signal("-KILL");
    wait(&mut mounted.child);
    for err in readers.errors() {
        let errno = err.raw_os_error().unwrap();
        assert!([libc::ENOTCONN, libc::ECONNABORTED].contains(&errno), "{err}");
    }
    let orphan = in_time("a read of what is open", move || held.read_at(&mut [0; 8], 0));
    assert_eq!(orphan.unwrap_err().raw_os_error(), Some(libc::ENOTCONN));
    assert!(npyfs(["umount".as_ref(), mounted.mountpoint.as_os_str()]).status.success());
    assert_eq!(mount_count(&mounted.mountpoint), 0);
}

#[test]
fn a_mount_comes_down_under_load() {
    let env = TestEnv::new();
    let mut mounted = env.mount(&[]);
    let readers = Readers::of(&mounted);
    mounted.signal("-TERM");
    assert!(wait(&mut mounted.child).success());
    assert_eq!(mount_count(&mounted.mountpoint), 0);
    assert_eq!(readers.errors().len(), 4);
}

#[test]
fn what_is_open_outlives_an_unmount_by_others_and_then_the_daemon_ends() {
    let env = TestEnv::new();
    let mut mounted = env.mount(&[]);
    let (slice, whole) = (
        File::open(mounted.path("big/cols/3.raw")).unwrap(),
        File::open(mounted.path("big.npy")).unwrap(),
    );
    assert!(run(Command::new("umount").arg("-l").arg(&mounted.mountpoint)).status.success());
    assert_eq!(mount_count(&mounted.mountpoint), 0);
    let mut value = [0; 8];
    slice.read_exact_at(&mut value, 8 * 999).unwrap();
    assert_eq!(u64::from_le_bytes(value), 9993);
    whole.read_exact_at(&mut value, 128 + 8 * 9999).unwrap();
    assert_eq!(u64::from_le_bytes(value), 9999);
    drop(slice);
    assert!(mounted.child.try_wait().unwrap().is_none(), "one file is still open");
    drop(whole);
    assert!(wait(&mut mounted.child).success());
}

/// A filesystem that has no room left, unmounted when dropped.
struct FullDisk(PathBuf);

impl FullDisk {
    fn new(env: &TestEnv) -> FullDisk {
        let path = env.path("full");
        std::fs::create_dir(&path).unwrap();
        let tmpfs = ["-t", "tmpfs", "-o", "size=64k", "tmpfs"];
        let mounted = run(Command::new("mount").args(tmpfs).arg(&path));
        assert!(mounted.status.success(), "{}", stderr(&mounted));
        let disk = FullDisk(path);
        // The log is there, and not a byte can be added to it.
        File::create(disk.log()).unwrap();
        let filled = std::fs::write(disk.0.join("filler"), [0; 1 << 17]);
        assert_eq!(filled.unwrap_err().kind(), io::ErrorKind::StorageFull);
        disk
    }

    fn log(&self) -> PathBuf {
        self.0.join("log")
    }
}

impl Drop for FullDisk {
    fn drop(&mut self) {
        let _ = run(Command::new("umount").arg("-l").arg(&self.0));
    }
}

#[test]
fn a_source_that_does_not_answer_keeps_only_its_own_readers_waiting() {
    let env = TestEnv::new();
    // A filesystem in the source whose daemon is stopped.
    let inner_env = TestEnv::with_data_in(&env.data());
    let inner = inner_env.mount(&[]);
    let mounted = env.mount(&["--threads=2"]);
    let silent = inner.mountpoint.strip_prefix(env.data()).unwrap().join("big/rows");
    let silent = mounted.mountpoint.join(silent);
    for round in 0..3 {
        inner.signal("-STOP");
        let silent = silent.join(format!("{round}-5.npy"));
        let reader = std::thread::spawn(move || std::fs::read(silent));
        std::thread::sleep(Duration::from_millis(200));
        assert!(!reader.is_finished(), "it was answered all the same");
        for stop in [997, 998, 999] {
            let path = mounted.path(&format!("big/rows/{round}-{stop}.npy"));
            in_time("a read from another file", move || std::fs::read(path)).unwrap();
        }
        inner.signal("-CONT");
        in_time("the silent one", || reader.join().unwrap()).unwrap();
    }
}

#[test]
fn a_log_that_cannot_be_written_disturbs_no_reader() {
    let env = TestEnv::new();
    let disk = FullDisk::new(&env);
    for log in [disk.log(), "/dev/full".into()] {
        std::fs::write(env.data().join("cut.npy"), counting(&[1000])).unwrap();
        let mut mounted = env.mount(&["--debug", "--log-file", log.to_str().unwrap()]);
        // Strided, and so not given to the kernel when it is opened.
        let held = File::open(mounted.path("cut/slice/::-1.raw")).unwrap();
        File::options().write(true).open(env.data().join("cut.npy")).unwrap().set_len(500).unwrap();
        for row in 0..200 {
            assert!(held.read_at(&mut [0], 7000).is_err(), "there is something to be logged");
            assert_eq!(mounted.read(&format!("big/rows/{row}.raw")).unwrap().len(), 80);
        }
        drop(held);
        mounted.signal("-TERM");
        assert!(wait(&mut mounted.child).success(), "{}", log.display());
    }
    assert_eq!(disk.log().metadata().unwrap().len(), 0, "the disk was to be full");
}

#[test]
fn a_storm_of_errors_is_a_few_lines_and_hides_no_other_error() {
    let env = TestEnv::new();
    for name in ["cut", "other"] {
        let path = env.data().join(format!("{name}.npy"));
        std::fs::write(path, counting(&[1000])).unwrap();
    }
    let log = env.path("log");
    // With every read the kernel asks for the attributes first, which must not be what fails.
    let mounted = env.mount(&["--ttl", "0", "--log-file", log.to_str().unwrap()]);
    // Strided, and so not given to the kernel when they are opened.
    let [cut, other] = ["cut", "other"].map(|name| {
        let held = File::open(mounted.path(&format!("{name}/slice/::-1.raw"))).unwrap();
        let path = env.data().join(format!("{name}.npy"));
        File::options().write(true).open(path).unwrap().set_len(500).unwrap();
        held
    });
    let in_source = File::options().write(true).open(env.data().join("cut.npy")).unwrap();
    let began = Instant::now();
    for round in 0..10_000 {
        // Each message has another size in it.
        in_source.set_len(500 + round % 100).unwrap();
        let error = cut.read_at(&mut [0], 7000).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::EIO));
    }
    assert!(other.read_at(&mut [0], 7000).is_err());
    let text = std::fs::read_to_string(&log).unwrap();
    let lines = |of: &str| text.lines().filter(|line| line.contains(of)).count();
    // A few a minute.
    let most = 20 * (1 + began.elapsed().as_secs() as usize / 60);
    assert!((1..=most).contains(&lines("cut.npy: header says")), "{text}");
    assert!(lines("other.npy: header says") >= 1, "{text}");
}

/// Mounts with the daemon's limits of open files set to these.
fn mount_with_limits(env: &TestEnv, soft: u64, hard: u64) -> Mounted {
    let script = format!(r#"ulimit -Sn {soft}; ulimit -Hn {hard}; exec "$0" mount -f "$@""#);
    let log = env.path("log");
    env.mount_by(Command::new("bash").args(["-c", &script, program(), "--log-file"]).arg(log))
}

/// Makes arrays `0.npy`, `1.npy`, … of ten numbers.
fn many_arrays(env: &TestEnv, count: usize) {
    let content = counting(&[10]);
    for i in 0..count {
        std::fs::write(env.data().join(format!("{i}.npy")), &content).unwrap();
    }
}

#[test]
fn a_client_may_have_ten_thousand_files_open_where_the_hard_limit_allows_it() {
    const COUNT: usize = 10_000;
    let needed = COUNT as u64 + 1000;
    let own = getrlimit(Resource::Nofile);
    let hard = own.maximum.unwrap_or(u64::MAX);
    assert!(hard >= needed, "this test needs a hard limit of {needed} open files; it is {hard}");
    setrlimit(Resource::Nofile, Rlimit { current: own.maximum, ..own }).unwrap();

    let env = TestEnv::new();
    many_arrays(&env, COUNT);
    let mounted = mount_with_limits(&env, 64, needed);
    let open = |i| {
        let file = File::open(mounted.path(&format!("{i}/rows/0-10.raw")));
        file.unwrap_or_else(|err| panic!("file {i}: {err}"))
    };
    let files: Vec<File> = (0..COUNT).map(open).collect();
    for (i, file) in files.iter().enumerate() {
        let mut value = [0; 8];
        file.read_exact_at(&mut value, 72).unwrap_or_else(|err| panic!("file {i}: {err}"));
        assert_eq!(u64::from_le_bytes(value), 9);
    }
}

#[test]
fn without_descriptors_an_open_fails_and_all_is_well_when_there_are_some_again() {
    const COUNT: usize = 200;
    let env = TestEnv::new();
    many_arrays(&env, COUNT);
    let mounted = mount_with_limits(&env, 64, 64);
    let paths: Vec<_> = (0..COUNT).map(|i| mounted.path(&format!("{i}/rows/3.raw"))).collect();
    for path in &paths {
        std::fs::read(path).expect("one file at a time needs one descriptor at a time");
    }
    let (files, errors): (Vec<_>, Vec<_>) = in_time("many opens", {
        let paths = paths.clone();
        move || paths.iter().map(File::open).partition(Result::is_ok)
    });
    assert!(files.len() > 20 && !errors.is_empty(), "{} were opened", files.len());
    for err in errors {
        assert_eq!(err.unwrap_err().raw_os_error(), Some(libc::EMFILE));
    }
    for file in &files {
        file.as_ref().unwrap().read_exact_at(&mut [0; 8], 0).unwrap();
    }
    drop(files);
    for path in paths {
        eventually("a file can be opened again", || std::fs::read(&path).is_ok());
    }
}
