//! The binary under test, built in the bench profile.

/// Its path.
pub const DENET: &str = env!("CARGO_BIN_EXE_denet");
