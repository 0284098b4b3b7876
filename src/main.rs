//! The `npyfs` command.

#![cfg_attr(not(test), warn(clippy::unwrap_used))]

use std::process::ExitCode;

mod cli;
mod command;
mod logging;

use cli::Command;

fn main() -> ExitCode {
    let cli = cli::parse(std::env::args_os());
    let done = match cli.command {
        Command::Mount(args) => command::mount::run(&args),
        Command::Umount { mountpoint, force } => command::umount(&mountpoint, force),
        Command::Info { json, with_file, paths } => command::info::run(&paths, json, with_file),
        Command::Ls(args) => command::ls::run(&args),
        Command::Cat { paths } => paths.iter().try_for_each(|path| command::cat::run(path)),
        Command::Refs(args) => command::refs::run(&args),
        Command::Create(args) => command::create::run(&args),
        Command::Stats(args) => command::stats::run(&args),
        Command::Mounts { json } => command::mounts::run(json),
        Command::Demo => command::demo::run(),
        Command::Completions { shell } => command::complete::script(shell),
        Command::Complete { shell, awaited, words } => {
            command::complete::run(shell, words, awaited)
        }
        Command::Watch { identity, mountpoint } => command::watch(&identity, mountpoint),
        Command::Read { file, user, group } => command::daemon::read(&file, user.zip(group)),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            command::report(&*why);
            ExitCode::FAILURE
        }
    }
}
