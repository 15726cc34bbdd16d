//! A whole run of denet: how long it takes to start and to report, and what memory it occupies. Times are
//! compared with those of a process that only attaches an empty program and removes it, in the same rounds.

use std::error::Error;
use std::io::Read as _;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use denet::sys::account::{self, Reaped, Usage, monotonic_ns};

use crate::binary::DENET;
use crate::median::median;
use crate::table::Row;
use crate::workload::{EMPTY_HOOK, TELL_TIME};

const ROUNDS: usize = 21;
/// Times what a process takes that attaches an empty program.
const OVERHEAD_LIMIT: f64 = 6.0;
const REPORT_LIMIT: f64 = 0.8;
const RESIDENT_LIMIT_MIB: f64 = 25.0;

/// Milliseconds of one round.
struct Round {
    overhead: f64,
    /// Of a process that only attaches an empty program.
    empty: f64,
    reported: f64,
    ended: f64,
    resident_mib: f64,
}

/// Measures in turns.
pub fn rows() -> Result<Vec<Row>, Box<dyn Error>> {
    let rounds: Vec<Round> = (0..ROUNDS).map(|_| round()).collect::<Result<_, _>>()?;
    let of = |what: fn(&Round) -> f64| median(rounds.iter().map(what));
    let ms = |what: &str, value: fn(&Round) -> f64| Row::new(what, format!("{:.1} ms", of(value)));
    let (overhead, reported) = (
        of(|round| round.overhead / round.empty),
        of(|round| round.reported / round.empty),
    );
    let resident_mib = of(|round| round.resident_mib);
    Ok(vec![
        ms(
            "a process that attaches an empty program, over `true`",
            |round| round.empty,
        ),
        ms("`denet --enable-ebpf run -- true`, over `true`", |round| {
            round.overhead
        })
        .times(overhead, "empty program")
        .at_most(OVERHEAD_LIMIT, "×", overhead),
        ms(
            "from the command's exit to the end of the report",
            |round| round.reported,
        )
        .times(reported, "empty program")
        .at_most(REPORT_LIMIT, "×", reported),
        ms("from the command's exit to denet's", |round| round.ended),
        Row::new(
            "denet's peak resident memory",
            format!("{resident_mib:.1} MiB"),
        )
        .at_most(RESIDENT_LIMIT_MIB, "MiB", resident_mib),
    ])
}

fn round() -> Result<Round, Box<dyn Error>> {
    let mut attaches = Command::new(std::env::current_exe()?);
    attaches.arg(EMPTY_HOOK);
    let (alone, _) = timed(Command::new("true"))?;
    let (empty, _) = timed(attaches)?;
    let (profiled, usage) = timed(denet(&["true"]))?;
    let over = |time: Duration| (time.as_secs_f64() - alone.as_secs_f64()) * 1e3;
    let (reported, ended) = after_the_command()?;
    Ok(Round {
        overhead: over(profiled),
        empty: over(empty),
        reported,
        ended,
        resident_mib: usage.max_rss_kb as f64 / 1024.0,
    })
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
