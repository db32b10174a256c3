//! The `wharf` command line: reads flags, runs one command, ends with a code that says how it went.

mod bench;
mod completions;
mod dev;
mod failure;
mod keygen;
mod output;
mod publish;
mod remote;
mod sign;
mod sub;

use std::io::{self, Write as _};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// A realtime server for the WebSocket clients that you already have.
///
/// Examples:
///   wharf dev                                  start everything, with a demo app
///   wharf sub lobby                            print what is published there
///   wharf pub lobby '{"hello":"world"}'        publish there
///   wharf sign url --channel private-x         a URL for one client, signed
///   wharf keygen                               an API key for a gateway of your own
///   wharf bench echo                           measure a server
///
/// Exit codes: 0 it worked, 1 it did not, 2 the command line is wrong, 7 the gateway could not be
/// reached or did not answer in time, 71 a port is taken, 78 the configuration is wrong.
#[derive(Debug, Parser)]
#[command(name = "wharf", version, verbatim_doc_comment)]
struct Wharf {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Dev(dev::Args),
    Sub(sub::Args),
    Pub(publish::Args),
    Sign(sign::Args),
    Keygen(keygen::Args),
    /// Measure a server: cost, latency, order and loss
    Bench(bench::Args),
    Completions(completions::Args),
}

fn main() -> ExitCode {
    let result = match Wharf::parse().command {
        Command::Dev(args) => dev::run(&args),
        Command::Sub(args) => sub::run(&args),
        Command::Pub(args) => publish::run(&args),
        Command::Sign(args) => sign::run(&args),
        Command::Keygen(args) => keygen::run(&args),
        Command::Bench(args) => bench::run(args),
        Command::Completions(args) => completions::run(&args),
    };
    result.unwrap_or_else(|error| {
        if failure::is_closed_output(&error) {
            return ExitCode::SUCCESS;
        }
        // With stderr gone there is nobody left to tell.
        let _ = writeln!(io::stderr(), "error: {}", output::spelled(&format!("{error:#}")));
        ExitCode::from(failure::exit_code(&error))
    })
}
