//! A whole run of denet: how long it takes to start and to report, and what memory it occupies.

use std::error::Error;
use std::io::Read as _;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use denet::sys::account::{self, Reaped, Usage, monotonic_ns};

use crate::DENET;
use crate::median::median;
use crate::table::Row;
use crate::workload::TELL_TIME;

const ROUNDS: usize = 21;
const OVERHEAD_LIMIT_MS: f64 = 60.0;
const RESIDENT_LIMIT_MIB: f64 = 25.0;
const REPORT_LIMIT_MS: f64 = 10.0;

/// Measures in turns.
pub fn rows() -> Result<Vec<Row>, Box<dyn Error>> {
    let (mut overhead_ms, mut resident_mib) = (Vec::new(), Vec::new());
    let (mut reported_ms, mut ended_ms) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let (alone, _) = timed(Command::new("true"))?;
        let (profiled, usage) = timed(denet(&["true"]))?;
        overhead_ms.push((profiled.as_secs_f64() - alone.as_secs_f64()) * 1e3);
        resident_mib.push(usage.max_rss_kb as f64 / 1024.0);
        let (reported, ended) = after_the_command()?;
        reported_ms.push(reported);
        ended_ms.push(ended);
    }
    let (reported, ended) = (median(reported_ms), median(ended_ms));
    Ok(vec![
        limited(
            "`denet --enable-ebpf run -- true`, over `true`",
            median(overhead_ms),
            OVERHEAD_LIMIT_MS,
            "ms",
        ),
        limited(
            "from the command's exit to the end of the report",
            reported,
            REPORT_LIMIT_MS,
            "ms",
        ),
        Row::new(
            "from the command's exit to denet's",
            format!("{ended:.1} ms"),
        ),
        limited(
            "denet's peak resident memory",
            median(resident_mib),
            RESIDENT_LIMIT_MIB,
            "MiB",
        ),
    ])
}

fn limited(what: &str, value: f64, limit: f64, unit: &str) -> Row {
    Row::new(what, format!("{value:.1} {unit}")).at_most(limit, unit, value)
}

/// denet about to profile that, its report not shown.
pub fn denet(command: &[&str]) -> Command {
    let mut denet = Command::new(DENET);
    denet.args(["--enable-ebpf", "run", "--"]).args(command);
    denet
        .env_remove("RUST_LOG")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    denet
}

fn timed(mut command: Command) -> Result<(Duration, Usage), Box<dyn Error>> {
    let start = Instant::now();
    let child = command.spawn()?;
    let usage = ended(&child)?;
    Ok((start.elapsed(), usage))
}

/// Waits for the end. The peak memory is that of the largest of: the bench when it forked, the
/// child, and its own children.
fn ended(child: &Child) -> Result<Usage, Box<dyn Error>> {
    loop {
        match account::reap()? {
            Reaped::Child(ended) if ended.pid.as_raw() as u32 == child.id() => {
                return Ok(ended.usage);
            }
            Reaped::Child(_) => {}
            Reaped::NoneYet => std::thread::sleep(Duration::from_micros(50)),
            Reaped::NoChildren => return Err("somebody else waited for the child".into()),
        }
    }
}

/// Milliseconds from a command's last act until the report was complete, and until denet was gone.
fn after_the_command() -> Result<(f64, f64), Box<dyn Error>> {
    let bench = std::env::current_exe()?;
    let mut denet = denet(&[]);
    let mut child = denet
        .arg(bench)
        .arg(TELL_TIME)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let mut stderr = child.stderr.take().ok_or("no pipe")?;
    let (mut reported, mut page) = (0, [0; 4096]);
    while stderr.read(&mut page)? > 0 {
        reported = monotonic_ns();
    }
    let output = child.wait_with_output()?;
    let ended = monotonic_ns();
    let told: u64 = String::from_utf8_lossy(&output.stdout).trim().parse()?;
    let since = |then: u64| then.saturating_sub(told) as f64 / 1e6;
    Ok((since(reported), since(ended)))
}
