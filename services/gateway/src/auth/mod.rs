//! Whether a credential holds. The only room that looks at secrets; it compares them in constant
//! time and tells a stranger nothing but no.

pub mod bearer;
pub mod origin;
pub mod signature;

#[cfg(test)]
mod tests;

pub use signature::{verify_api, verify_body, verify_signature};
