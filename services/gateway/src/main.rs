//! `wharf-gateway`: flags, configuration, telemetry, run, exit code.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use gateway::process;

/// Holds the connections of WebSocket clients.
///
/// Examples:
///   wharf-gateway --config gateway.toml
///   wharf-gateway --config gateway.toml --check-config
///   wharf-gateway --print-config > gateway.toml
#[derive(Debug, Parser)]
#[command(version, verbatim_doc_comment)]
struct Flags {
    /// The configuration; each key can also be set by a variable, as
    /// WHARF_GATEWAY__LIMITS__CONNECTIONS_MAX=5000.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Check configuration and apps, say what is wrong, and exit: 0 if all is well, 78 if not.
    #[arg(long)]
    check_config: bool,
    /// Print the configuration in force, with an explanation of each key, and exit.
    #[arg(long)]
    print_config: bool,
}

fn main() -> ExitCode {
    let flags = Flags::parse();
    let asked = match (flags.check_config, flags.print_config) {
        (true, _) => process::Asked::Check,
        (false, true) => process::Asked::Print,
        (false, false) => process::Asked::Run,
    };
    process::main(flags.config.as_deref(), asked)
}
