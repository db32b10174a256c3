//! The command line as its users meet it: the real binary, its output and its exit codes.

mod dev;
mod help;
mod messages;
mod process;
mod sign;
