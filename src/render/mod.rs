//! From data to what people and scripts read. Writes to what it is given, knows no files.

pub mod csv;
pub mod doctor;
pub mod json;
pub mod live;
mod object;
pub mod setup;
pub mod smoke;
pub mod stats;
pub mod text;
mod usage;
