//! Names of files that would act on a terminal, or forge a line of a log: nowhere are they shown as
//! they are.

mod common;

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::Path;
use std::process::Command;

use common::{TestEnv, counting, npyfs, program, run, stderr};

/// Names that hold what a terminal acts on, each with what of it must not be shown.
const NAMES: [&[u8]; 6] = [
    b"over\rwritten",
    b"\x1b[31mred\x1b[0m",
    b"a\nnpyfs: all is well",
    b"\n[2026-01-01T00:00:00Z WARN  npyfs] forged",
    "\u{202e}reversed\u{9b}31m".as_bytes(),
    b"not\xffUTF-8",
];

fn joined(directory: &Path, name: &[u8], suffix: &str) -> std::path::PathBuf {
    directory.join(OsStr::from_bytes(&[name, suffix.as_bytes()].concat()))
}

/// Whether a text is one line that a terminal only writes.
#[track_caller]
fn assert_plain_line(said: &[u8], about: &str) {
    let text = std::str::from_utf8(said).unwrap_or_else(|_| panic!("{about}: {said:?}"));
    let line = text.strip_suffix('\n').unwrap_or(text);
    let acts = |c: char| c.is_control() || ('\u{202a}'..='\u{202e}').contains(&c);
    assert!(!line.is_empty() && !line.contains(acts), "{about}: {text:?}");
}

#[test]
fn no_command_shows_a_name_as_it_is() {
    let env = TestEnv::new();
    for name in NAMES {
        let array = joined(&env.data(), name, ".npy");
        std::fs::write(&array, "no array").unwrap();
        let missing = joined(&env.data(), name, "-missing");
        let (directory, other) = (joined(&env.data(), name, ""), joined(&env.data(), name, ".NPY"));
        for words in [
            vec!["info".as_ref(), array.as_os_str()],
            vec!["info".as_ref(), directory.as_os_str()],
            vec!["info".as_ref(), missing.as_os_str()],
            vec!["ls".as_ref(), missing.as_os_str()],
            vec!["cat".as_ref(), missing.as_os_str()],
            vec!["refs".as_ref(), array.as_os_str()],
            vec!["refs".as_ref(), missing.as_os_str()],
            vec!["umount".as_ref(), directory.as_os_str()],
            vec!["mount".as_ref(), missing.as_os_str(), directory.as_os_str()],
            vec!["mount".as_ref(), array.as_os_str(), directory.as_os_str()],
            vec!["create".as_ref(), array.as_os_str(), "--shape=3".as_ref(), "--dtype=f8".as_ref()],
            vec!["create".as_ref(), other.as_os_str(), "--shape=3".as_ref(), "--dtype=f8".as_ref()],
        ] {
            let said = npyfs(&words);
            assert_eq!(said.status.code(), Some(1), "{words:?}: {}", stderr(&said));
            assert_plain_line(&said.stderr, &format!("{words:?}"));
        }
        // The shell may have put the name anywhere.
        let usage = npyfs(["umount".as_ref(), directory.as_os_str(), array.as_os_str()]);
        assert_eq!(usage.status.code(), Some(2));
        for line in usage.stderr.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()) {
            assert_plain_line(line, "usage");
            assert!(!line.starts_with(b"npyfs: all is well"));
        }
        let shown = npyfs(["info".as_ref(), array.as_os_str()]);
        assert!(stderr(&shown).contains(": not a .npy file"), "{}", stderr(&shown));
        // What is wrong with it names it too.
        let error = npyfs(["cat".as_ref(), directory.join("error.txt").as_os_str()]);
        assert_plain_line(&error.stdout, "error.txt");
    }
}

#[test]
fn what_is_wrong_with_a_header_quotes_it_without_what_acts_on_a_terminal() {
    let env = TestEnv::new();
    for text in [
        "{'\x1b[31m\u{9b}': 1}",
        "{'descr': '\u{202e}\r', 'fortran_order': False, 'shape': ()}",
        "\x1b",
    ] {
        let header = format!("{text}\n");
        let mut bytes = b"\x93NUMPY\x03\0".to_vec();
        bytes.extend(u32::try_from(header.len()).unwrap().to_le_bytes());
        bytes.extend(header.as_bytes());
        std::fs::write(env.data().join("bad.npy"), bytes).unwrap();
        let said = npyfs(["cat".as_ref(), env.path("data/bad/error.txt").as_os_str()]);
        assert_plain_line(&said.stdout, text);
    }
}

/// What a command writes to a terminal.
fn on_terminal(words: &[&OsStr]) -> Vec<u8> {
    // `script` gives its command a terminal of its own.
    let quoted = |word: &&OsStr| {
        let quoted = word.as_bytes().iter().map(|byte| format!("\\x{byte:02x}"));
        format!("$'{}'", quoted.collect::<String>())
    };
    let words: Vec<String> = words.iter().map(quoted).collect();
    let said = run(Command::new("script")
        .args(["-qec", &words.join(" "), "/dev/null"])
        .env("SHELL", "/bin/bash"));
    assert!(said.status.success(), "{}", stderr(&said));
    said.stdout
}

#[test]
fn ls_escapes_names_on_a_terminal_and_only_there() {
    let env = TestEnv::new();
    for name in NAMES {
        let directory = joined(&env.path(""), name, ".dir");
        std::fs::create_dir(&directory).unwrap();
        std::fs::write(joined(&directory, name, ".txt"), "").unwrap();
        let words = [program().as_ref(), "ls".as_ref(), directory.as_os_str()];
        let shown = on_terminal(&words);
        // The terminal itself ends a line so.
        let line = shown.strip_suffix(b"\r\n").unwrap();
        assert_plain_line(line, "ls");
        assert!(line.ends_with(b".txt"));
        let piped = npyfs(&words[1..]).stdout;
        assert_eq!(piped, [name, b".txt\n"].concat());
    }
}

#[test]
fn a_name_forges_no_line_of_the_log() {
    let env = TestEnv::new();
    for name in NAMES {
        std::fs::write(joined(&env.data(), name, ".npy"), counting(&[1000, 10])).unwrap();
    }
    let log = env.path("log");
    let mounted = env.mount(&["--log-file", log.to_str().unwrap()]);
    for name in NAMES {
        let mut slice = OsString::from_vec(name.to_vec());
        slice.push("/slice/::-1.raw");
        // Strided, and so not given to the kernel when it is opened.
        let held = std::fs::File::open(mounted.mountpoint.join(slice)).unwrap();
        let file = joined(&env.data(), name, ".npy");
        std::fs::File::options().write(true).open(file).unwrap().set_len(500).unwrap();
        assert!(held.read_at(&mut [0], 70_000).is_err());
    }
    let bytes = std::fs::read(&log).unwrap();
    let lines: Vec<&[u8]> =
        bytes.strip_suffix(b"\n").unwrap().split(|&byte| byte == b'\n').collect();
    for line in &lines {
        assert_plain_line(line, "a line of the log");
        assert!(line.ends_with(b": header says 80128 bytes, the file has 500"));
    }
    assert!(lines.len() >= NAMES.len(), "{}", String::from_utf8_lossy(&bytes));
}

#[test]
fn the_log_is_its_owners_alone() {
    let env = TestEnv::new();
    let log = env.path("log");
    let mounted = env.mount(&["--log-file", log.to_str().unwrap()]);
    mounted.read("big/rows/3.npy").unwrap();
    let mode = std::fs::metadata(&log).unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o600);
}

#[test]
fn a_symlink_in_the_place_of_the_log_is_not_followed() {
    let env = TestEnv::new();
    let (log, target) = (env.path("log"), env.path("target"));
    for exists in [false, true] {
        if exists {
            std::fs::write(&target, "").unwrap();
        }
        let _ = std::fs::remove_file(&log);
        std::os::unix::fs::symlink(&target, &log).unwrap();
        for background in [&[][..], &["-f"]] {
            let said = run(Command::new(program())
                .args(["mount", "--log-file"])
                .args([&log, &env.data(), &env.mountpoint()])
                .args(background));
            assert_eq!(said.status.code(), Some(1));
            let said = stderr(&said);
            assert!(
                said.contains("log: it is a symlink, which is not followed to write a log"),
                "{said}"
            );
        }
        assert_eq!(target.exists(), exists);
    }
}
