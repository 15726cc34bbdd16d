//! The largest plausible values, and the names of what adds up.

/// The end of the year 9999.
pub(super) const MOST_MS: u64 = 253_402_300_799_999;
/// All CPUs that a kernel can have, and more.
pub(super) const MOST_CPU: f64 = 100.0 * 65_536.0;
/// As much as an address space of 64 bits could hold.
pub(super) const MOST_KB: u64 = 1 << 54;
/// Of bytes or events; what is beyond fell below zero somewhere.
pub(super) const MOST: u64 = 1 << 62;
/// Twice `PID_MAX_LIMIT`.
pub(super) const MOST_TASKS: u64 = 1 << 23;

/// What adds up from the start, in the order of the records.
pub(crate) const TOTALS: [&str; 8] = [
    "disk_read_bytes",
    "disk_write_bytes",
    "syscall_read_bytes",
    "syscall_write_bytes",
    "page_faults_cached",
    "page_faults_disk",
    "sys_net_rx_bytes",
    "sys_net_tx_bytes",
];
