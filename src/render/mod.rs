//! From data to what people and scripts read. Writes to what it is given, knows no files.

pub mod doctor;
#[cfg(feature = "ebpf")]
pub mod exec;
pub mod json;
mod layout;
pub mod live;
#[cfg(feature = "ebpf")]
pub mod net;
mod object;
pub mod setup;
pub mod smoke;
pub mod stats;
#[cfg(feature = "ebpf")]
pub mod stream;
mod styled;
pub mod text;
mod usage;
pub mod xdp;
pub mod xdp_json;
