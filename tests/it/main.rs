//! Integration tests: one binary, a module per promise.

mod apps;
mod bad_input;
mod cross_dialect;
mod last_values;
mod limits;
mod order;
mod panics;
mod presence;
mod reload;
mod shutdown;
mod slow_consumer;
mod smoke;
mod telemetry;
mod tidy;
mod tls;
