//! The version of records.

/// Incremented when a field is removed or changes its type.
pub(crate) const SCHEMA: u32 = 1;
