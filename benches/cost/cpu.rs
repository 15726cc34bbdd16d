//! Where a loop runs: always on the same CPU, or it measures migrations.

use std::error::Error;

/// The last CPU that this process may use: the first ones serve most interrupts.
pub fn last() -> Result<String, Box<dyn Error>> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    // As in `0-3,6`.
    let list = status
        .lines()
        .find_map(|line| line.strip_prefix("Cpus_allowed_list:"));
    let list = list
        .ok_or("no Cpus_allowed_list in /proc/self/status")?
        .trim();
    Ok(list.rsplit(['-', ',']).next().unwrap_or(list).to_owned())
}
