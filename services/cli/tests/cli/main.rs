//! The command line as its users meet it: the real binary, its output and its exit codes.

mod bench;
mod dev;
mod help;
mod keygen;
mod messages;
mod process;
mod sign;
