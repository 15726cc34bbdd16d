//! Calls told of at speed, into a file: how many were lost.

use std::error::Error;
use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use denet::sys::account::trivial_syscall;

use crate::DENET;
use crate::table::Row;
use crate::workload::FLOOD;

const THREADS: u32 = 2;
const CALLS_PER_SECOND: u32 = 500_000;
const SECONDS: u32 = 5;
/// Each thread calls so often, and sleeps until the next turn.
const TURN: Duration = Duration::from_millis(1);
const CALLS_PER_TURN: u32 = CALLS_PER_SECOND / THREADS / 1000;
/// What stands before the speed that was reached.
const REACHED: &str = "calls per second: ";

/// Calls that fast from two threads, or as fast as the machine lets them, and prints how fast that was.
pub fn flood() -> Result<(), Box<dyn Error>> {
    let start = Instant::now();
    let threads: Vec<_> = (0..THREADS).map(|_| std::thread::spawn(turns)).collect();
    for thread in threads {
        thread.join().map_err(|_| "a thread panicked")?;
    }
    let calls = f64::from(CALLS_PER_SECOND * SECONDS);
    let reached = calls / start.elapsed().as_secs_f64();
    Ok(writeln!(io::stdout(), "{REACHED}{reached:.0}")?)
}

fn turns() {
    let start = Instant::now();
    for turn in 1..=SECONDS * 1000 {
        (0..CALLS_PER_TURN).for_each(|_| trivial_syscall());
        std::thread::sleep((start + TURN * turn).saturating_duration_since(Instant::now()));
    }
}

/// Text and JSON lines, each into a file.
pub fn rows() -> Result<Vec<Row>, Box<dyn Error>> {
    let file = std::env::temp_dir().join(format!("denet-bench-flood-{}", std::process::id()));
    let rows = [("lines", false), ("JSON lines", true)].map(|(form, json)| {
        let what =
            format!("calls lost of 500,000 a second from two threads, as {form} into a file");
        row(&what, json, &file)
    });
    let _ = std::fs::remove_file(&file);
    rows.into_iter().collect()
}

fn row(what: &str, json: bool, file: &Path) -> Result<Row, Box<dyn Error>> {
    let mut denet = Command::new(DENET);
    if json {
        denet.arg("--quiet").arg("--out").arg(file);
        denet.stderr(Stdio::null());
    } else {
        denet.stderr(File::create(file)?);
    }
    let bench = std::env::current_exe()?;
    let done = denet.args(["trace", "--"]).arg(bench).arg(FLOOD).output()?;
    let said = String::from_utf8_lossy(&done.stdout);
    let reached = said.lines().find_map(|line| line.strip_prefix(REACHED));
    let reached: f64 = reached.ok_or("the flood did not come")?.parse()?;
    let wanted = CALLS_PER_SECOND * SECONDS;
    let seen = told_in(file, json)?;
    let lost = f64::from(wanted) - seen as f64;
    let measured = format!("{lost} of {wanted}, at {reached:.0} a second");
    let row = Row::new(what, measured);
    Ok(row.at_most(0.0, "calls", lost))
}

/// Line by line: a child's peak memory is also what its parent had when it began.
fn told_in(file: &Path, json: bool) -> io::Result<usize> {
    let lines = BufReader::new(File::open(file)?).split(b'\n');
    lines
        .map(|line| Ok(usize::from(is_told(&line?, json))))
        .sum()
}

fn is_told(line: &[u8], json: bool) -> bool {
    let name: &[u8] = if json {
        b"\"name\":\"getppid\""
    } else {
        b" getppid()"
    };
    line.windows(name.len()).any(|part| part == name)
}
