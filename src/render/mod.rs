//! From data to what people and scripts read. Writes to what it is given, knows no files.

pub mod json;
mod layout;
pub mod smoke;
pub mod text;
