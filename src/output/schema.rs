//! The version of records.

/// Changes when a field goes or changes its type.
pub(crate) const SCHEMA: u32 = 1;
