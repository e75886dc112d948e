//! `chatfold completions` and `chatfold man`: what a package puts beside the binary.

use super::help;
use clap::{Args, Command};
use clap_complete::Shell;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

/// Arguments of `chatfold completions`.
#[derive(Debug, Args)]
pub struct CompletionsArgs {
    /// The shell that reads the script
    shell: Shell,
}

/// Arguments of `chatfold man`.
#[derive(Debug, Args)]
pub struct ManArgs {
    /// The folder to write the pages into. It is made if there is none
    folder: PathBuf,
}

/// Prints a script that completes commands, flags and values.
pub fn completions(args: &CompletionsArgs) -> anyhow::Result<ExitCode> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut help::command(), "chatfold", &mut script);
    std::io::stdout().lock().write_all(&script)?;
    Ok(ExitCode::SUCCESS)
}

/// Writes a page for each command.
pub fn man(args: &ManArgs) -> anyhow::Result<ExitCode> {
    let written = std::fs::create_dir_all(&args.folder)
        .and_then(|()| clap_mangen::generate_to(whole(help::command()), &args.folder));
    match written {
        Ok(()) => Ok(ExitCode::SUCCESS),
        Err(error) => anyhow::bail!("cannot write pages into {}: {error}", args.folder.display()),
    }
}

/// The command with all that the short help leaves out.
fn whole(command: Command) -> Command {
    command.mut_args(|arg| arg.hide_short_help(false)).mut_subcommands(whole)
}
