//! `wharf completions`: a script that teaches a shell this command line.

use std::process::ExitCode;

use clap::CommandFactory as _;
use clap_complete::Shell;

/// Print a script that completes this command line in a shell
///
/// Examples:
///   wharf completions bash > ~/.local/share/bash-completion/completions/wharf
///   wharf completions zsh > ~/.zfunc/_wharf
///   wharf completions fish > ~/.config/fish/completions/wharf.fish
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Args {
    shell: Shell,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut crate::Wharf::command(), "wharf", &mut script);
    std::io::Write::write_all(&mut std::io::stdout(), &script)?;
    Ok(ExitCode::SUCCESS)
}
