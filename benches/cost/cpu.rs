//! Where a loop runs: always on the same CPU, or it measures migrations.

use std::error::Error;
use std::process::{Command, Stdio};

/// This process on one CPU, until dropped.
#[derive(Debug)]
pub struct Pinned {
    before: String,
}

impl Pinned {
    /// Pins it to the last CPU that it may use.
    pub fn to_last() -> Result<Self, Box<dyn Error>> {
        let before = allowed()?;
        confine(&last_of(&before))?;
        Ok(Self { before })
    }
}

impl Drop for Pinned {
    fn drop(&mut self) {
        // What follows is noisier if this fails, not wrong.
        let _ = confine(&self.before);
    }
}

/// The last CPU that this process may use: the first ones serve most interrupts.
pub fn last() -> Result<String, Box<dyn Error>> {
    Ok(last_of(&allowed()?))
}

/// As in `0-3,6`.
fn allowed() -> Result<String, Box<dyn Error>> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let list = status
        .lines()
        .find_map(|line| line.strip_prefix("Cpus_allowed_list:"));
    Ok(list
        .ok_or("no Cpus_allowed_list in /proc/self/status")?
        .trim()
        .to_owned())
}

fn last_of(list: &str) -> String {
    list.rsplit(['-', ',']).next().unwrap_or(list).to_owned()
}

fn confine(cpus: &str) -> Result<(), Box<dyn Error>> {
    let own = std::process::id().to_string();
    let done = Command::new("taskset")
        .args(["-pc", cpus, &own])
        .stdout(Stdio::null())
        .status();
    match done.map_err(|error| format!("taskset: {error}"))? {
        status if status.success() => Ok(()),
        status => Err(format!("taskset: {status}").into()),
    }
}
