//! Integration tests: one binary, a module per promise.

mod smoke;
mod tidy;
