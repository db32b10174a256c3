//! `wharf sign`: what a backend signs, made by hand.

pub(crate) mod digest;
mod pusher;
pub(crate) mod raw;
#[cfg(test)]
mod tests;

use std::process::ExitCode;

use clap::Subcommand;

/// Sign for a client or a request, as your backend would
///
/// Examples:
///   wharf sign url --channel private-x                       a raw URL, good for an hour
///   wharf sign url --channel presence-x --user-id 7 --expires-in 5m
///   wharf sign channel --socket-id 1234.1234 --channel private-x
///   wharf sign user --socket-id 1234.1234 --data '{"id":"7"}'
///   wharf sign request --path /apps/1/events --body '{"name":"e","channel":"c","data":"x"}'
///
/// Key and secret are those of the `wharf dev` of this folder, unless --key and --secret-file say
/// others. No gateway is asked.
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    Url(raw::Args),
    Channel(pusher::Channel),
    User(pusher::User),
    Request(pusher::Request),
}

pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let text = match &args.what {
        What::Url(args) => args.url()?,
        What::Channel(args) => args.auth()?,
        What::User(args) => args.auth()?,
        What::Request(args) => args.query()?,
    };
    crate::output::line(&text)?;
    Ok(ExitCode::SUCCESS)
}
