//! Says which commit the program is built from: `npyfs 0.1.0 (0123456 2026-11-27)`.
//!
//! Only if this very directory is a git checkout: a crate or a tarball may lie in the checkout of something else.
//! The date is the commit's, so that the same commit gives the same program. And only with optimizations, since
//! everything would be built anew after each commit.

use std::path::Path;
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let version = env!("CARGO_PKG_VERSION");
    let is_optimized = std::env::var("PROFILE").is_ok_and(|profile| profile == "release");
    let long = match is_optimized.then(commit).flatten() {
        Some(commit) => format!("{version} ({commit})"),
        None if is_optimized => version.to_owned(),
        None => format!("{version} (debug build)"),
    };
    println!("cargo::rustc-env=NPYFS_LONG_VERSION={long}");
}

/// The commit that is checked out here, and its date.
fn commit() -> Option<String> {
    if !git(&["rev-parse", "--show-prefix"])?.is_empty() {
        return None;
    }
    let hash = git(&["rev-parse", "HEAD"])?;
    let date = git(&["show", "--no-patch", "--format=%cs", "HEAD"])?;
    // What changes when another commit is checked out: which branch that is, and which commit that has.
    let branch = git(&["symbolic-ref", "--quiet", "HEAD"]);
    for name in [Some("HEAD"), branch.as_deref(), Some("logs/HEAD")].into_iter().flatten() {
        let path = git(&["rev-parse", "--git-path", name])?;
        if Path::new(&path).exists() {
            println!("cargo::rerun-if-changed={path}");
        }
    }
    Some(format!("{} {date}", hash.get(..7)?))
}

/// What git says, if it is there and has an answer.
fn git(args: &[&str]) -> Option<String> {
    let output = Command::new("git").args(args).output().ok()?;
    let said = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| said.trim_end().to_owned())
}
