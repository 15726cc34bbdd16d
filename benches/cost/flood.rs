//! Calls traced at speed, into a file: how many were lost.

use std::error::Error;
use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use denet::sys::account::trivial_syscall;

use crate::binary::DENET;
use crate::table::Row;

/// The argument for [`flood`]: calls at speed from two threads.
pub const FLOOD: &str = "--flood";

const THREADS: u32 = 2;
/// The calls are as many times faster than strace's.
const TIMES_STRACE: f64 = 25.0;
const SECONDS: f64 = 5.0;
/// Each thread calls so often, and sleeps until the next turn.
const TURN: Duration = Duration::from_millis(1);
/// More than strace follows in that time.
const TURNS_UNDER_STRACE: u32 = 100;
const CALLS_PER_TURN_UNDER_STRACE: u32 = 250;
/// Precedes the speed that was reached.
const REACHED: &str = "calls per second: ";

/// Two threads that make this number of calls in each of that number of turns, or as many as the machine
/// lets them. Prints how many a second they made.
#[derive(Clone, Copy)]
struct Flood {
    calls_per_turn: u32,
    turns: u32,
}

/// The flood that the arguments after [`FLOOD`] describe.
pub fn flood() -> Result<(), Box<dyn Error>> {
    let mut numbers = std::env::args().skip(2).map(|number| number.parse());
    let mut next = || Ok::<u32, Box<dyn Error>>(numbers.next().ok_or("two numbers")??);
    let flood = Flood {
        calls_per_turn: next()?,
        turns: next()?,
    };
    let start = Instant::now();
    let threads: Vec<_> = (0..THREADS)
        .map(|_| std::thread::spawn(move || flood.run_thread()))
        .collect();
    for thread in threads {
        thread.join().map_err(|_| "a thread panicked")?;
    }
    let reached = f64::from(flood.calls()) / start.elapsed().as_secs_f64();
    Ok(writeln!(io::stdout(), "{REACHED}{reached:.0}")?)
}

impl Flood {
    fn run_thread(self) {
        let start = Instant::now();
        for turn in 1..=self.turns {
            (0..self.calls_per_turn).for_each(|_| trivial_syscall());
            std::thread::sleep((start + TURN * turn).saturating_duration_since(Instant::now()));
        }
    }

    fn calls(self) -> u32 {
        THREADS * self.calls_per_turn * self.turns
    }

    /// Calls a second, under this tracer.
    fn under(self, mut tracer: Command) -> Result<f64, Box<dyn Error>> {
        tracer.arg(std::env::current_exe()?).arg(FLOOD);
        tracer.args([self.calls_per_turn, self.turns].map(|number| number.to_string()));
        let done = tracer.output()?;
        let said = String::from_utf8_lossy(&done.stdout);
        let reached = said.lines().find_map(|line| line.strip_prefix(REACHED));
        Ok(reached.ok_or("the calls were not made")?.parse()?)
    }
}

/// Text and JSON lines, each into a file.
pub fn rows() -> Result<Vec<Row>, Box<dyn Error>> {
    let file = std::env::temp_dir().join(format!("denet-bench-flood-{}", std::process::id()));
    let rows = [("lines", false), ("JSON lines", true)].map(|(form, json)| {
        let what = format!(
            "calls lost of two threads at {TIMES_STRACE} × the speed of `strace -f -tt -T`, as {form} into a file"
        );
        match strace_speed(&file) {
            Ok(speed) => row(&what, speed, json, &file),
            Err(error) => Ok(Row::missing(what, error)),
        }
    });
    let _ = std::fs::remove_file(&file);
    rows.into_iter().collect()
}

fn strace_speed(file: &Path) -> Result<f64, Box<dyn Error>> {
    let mut strace = Command::new("strace");
    strace.args(["-f", "-tt", "-T", "-o"]).arg(file);
    let flood = Flood {
        calls_per_turn: CALLS_PER_TURN_UNDER_STRACE,
        turns: TURNS_UNDER_STRACE,
    };
    flood.under(strace)
}

fn row(what: &str, strace: f64, json: bool, file: &Path) -> Result<Row, Box<dyn Error>> {
    let mut denet = Command::new(DENET);
    if json {
        denet.arg("--quiet").arg("--out").arg(file);
        denet.stderr(Stdio::null());
    } else {
        denet.stderr(File::create(file)?);
    }
    denet.args(["trace", "--"]);
    let turn = TURN.as_secs_f64();
    let flood = Flood {
        calls_per_turn: (TIMES_STRACE * strace * turn / f64::from(THREADS)).round() as u32,
        turns: (SECONDS / turn) as u32,
    };
    let reached = flood.under(denet)?;
    let calls = flood.calls();
    let lost = f64::from(calls) - lines_of_calls(file, json)? as f64;
    let measured = format!("{lost} of {calls}, at {reached:.0} a second");
    let row = Row::new(what, measured).times(reached / strace, "strace's speed");
    Ok(row.at_most(0.0, "calls", lost))
}

/// Line by line: a child's peak memory is also what its parent had when it began.
fn lines_of_calls(file: &Path, json: bool) -> io::Result<usize> {
    let lines = BufReader::new(File::open(file)?).split(b'\n');
    lines
        .map(|line| Ok(usize::from(is_call(&line?, json))))
        .sum()
}

fn is_call(line: &[u8], json: bool) -> bool {
    let name: &[u8] = if json {
        b"\"name\":\"getppid\""
    } else {
        b" getppid()"
    };
    line.windows(name.len()).any(|part| part == name)
}
