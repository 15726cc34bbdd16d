//! From data to what people and scripts read. Writes to what it is given, knows no files.

mod approximate;
pub mod csv;
pub(crate) mod doctor;
pub(crate) mod json;
pub(crate) mod live;
mod memory;
mod mix;
mod object;
pub(crate) mod setup;
pub(crate) mod smoke;
pub mod stats;
pub(crate) mod text;
mod usage;
