//! Kernel memory of all maps, as `--debug` says it.

use std::error::Error;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use denet::sys::account::{self, Reaped};

use crate::binary::DENET;
use crate::table::Row;

const HERD: usize = 10_000;
const LIMIT_MIB: f64 = 32.0;

/// Starts that many processes, each waiting for the end of stdin, and ends before them: denet then
/// reads its account while they live. They must not keep denet's own output open.
const START_HERD: &str = "exec 3<&0 </dev/null >/dev/null 2>&1; i=0
while [ $i -lt $1 ]; do read _ <&3 & i=$((i + 1)); done";

/// Measures once: this does not depend on speed.
pub fn rows() -> Result<Vec<Row>, Box<dyn Error>> {
    let alone = bytes(&profiled(&["true"])?, "at the start")?;
    let row = |what: String, bytes: u64| {
        let mib = bytes as f64 / (1024.0 * 1024.0);
        Row::new(what, format!("{mib:.1} MiB")).at_most(LIMIT_MIB, "MiB", mib)
    };
    let herd = format!("kernel memory of all maps, {HERD} live processes followed");
    Ok(vec![
        row("kernel memory of all maps, at the start".to_owned(), alone),
        match of_herd() {
            Ok(bytes) => row(herd, bytes),
            Err(reason) => Row::missing(herd, reason),
        },
    ])
}

fn of_herd() -> Result<u64, Box<dyn Error>> {
    // The herd's own shell ends early: somebody has to bury the others.
    account::become_subreaper()?;
    let output = profiled(&["sh", "-c", START_HERD, "sh", &HERD.to_string()]);
    // Here `profiled` has closed the herd's stdin.
    bury_all()?;
    let output = output?;
    let living = still_running(&output)?;
    if living != HERD {
        return Err(format!("{living} lived at the end").into());
    }
    bytes(&output, "at the end")
}

fn bury_all() -> Result<(), Box<dyn Error>> {
    loop {
        match account::reap()? {
            Reaped::Child(_) => {}
            Reaped::NoneYet => std::thread::sleep(Duration::from_millis(1)),
            Reaped::NoChildren => return Ok(()),
        }
    }
}

/// What denet says with `--debug --json`; stdin stays open until then.
fn profiled(command: &[&str]) -> Result<Output, Box<dyn Error>> {
    let mut denet = Command::new(DENET);
    denet
        .args(["--enable-ebpf", "--debug", "--json", "run", "--"])
        .args(command)
        .env_remove("RUST_LOG");
    let mut child = denet
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let stdin = child.stdin.take();
    let output = child.wait_with_output()?;
    drop(stdin);
    if !output.status.success() {
        return Err(format!("denet, or the command under it: {}", output.status).into());
    }
    Ok(output)
}

fn bytes(output: &Output, when: &str) -> Result<u64, Box<dyn Error>> {
    let label = format!("kernel memory of all maps {when} bytes=");
    let said = String::from_utf8_lossy(&output.stderr);
    let bytes = said
        .lines()
        .find_map(|line| line.split_once(&label)?.1.parse().ok());
    bytes.ok_or_else(|| format!("--debug did not say: {label}").into())
}

fn still_running(output: &Output) -> Result<usize, Box<dyn Error>> {
    let said = String::from_utf8_lossy(&output.stdout);
    let summary: serde_json::Value = serde_json::from_str(said.lines().last().unwrap_or_default())?;
    Ok(summary["still_running"].as_array().map_or(0, Vec::len))
}
