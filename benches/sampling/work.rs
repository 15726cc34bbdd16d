//! Work that knows its own CPU time. This program is its own workload.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

/// Names of works whose CPU time is known, and what they are.
pub const KNOWN: [(&str, &str); 2] = [
    ("spin", "one busy process, 3 s"),
    ("short", "100 children one after the other, 30 ms each"),
];

/// Fifty processes that work a little; until they are killed.
pub const CROWD: &str = "crowd";

/// Five thousand processes, most of which sleep; until they are killed.
pub const THRONG: &str = "throng";

/// Reads the files of a crowd, given by the id of its parent, as often as denet does.
pub const BARE: &str = "bare";

/// Where works tell what they used, in nanoseconds, a line each.
pub const TOLD: &str = "DENET_BENCH_TOLD";

/// Does the work that this program was started for, if it was.
pub fn asked() -> Option<ExitCode> {
    let work: fn() = match std::env::args().nth(1)?.as_str() {
        "spin" => || spin(3000),
        "burst" => || burn(30),
        "short" => short,
        "crowd" => || crowd(49, "member"),
        "throng" => || crowd(4999, "sleeper"),
        BARE => bare,
        "member" => member,
        "sleeper" => sleeper,
        _ => return None,
    };
    work();
    Some(ExitCode::SUCCESS)
}

fn itself(work: &str) -> Command {
    let mut command = Command::new("/proc/self/exe");
    command.arg(work);
    command
}

fn wait(work: &str) {
    let _ = itself(work).status();
}

fn spin(ms: u64) {
    burn(ms);
    tell(denet::sys::account::own_cpu().as_nanos());
}

/// Its children, and what it took to start them and to wait for them.
fn short() {
    (0..100).for_each(|_| wait("burst"));
    let of_children = denet::sys::account::usage_of_children().cpu().as_nanos() as u64;
    tell(denet::sys::account::own_cpu().as_nanos() + u128::from(of_children));
}

fn burn(ms: u64) {
    let end = Instant::now() + Duration::from_millis(ms);
    while Instant::now() < end {
        std::hint::black_box(0);
    }
}

fn tell(used: u128) {
    if let Some(file) = std::env::var_os(TOLD) {
        let opened = OpenOptions::new().create(true).append(true).open(file);
        if let Ok(mut file) = opened {
            let _ = writeln!(file, "{used}");
        }
    }
}

fn bare() {
    let pid = std::env::args().nth(2).and_then(|pid| pid.parse().ok());
    if let Some(Err(error)) = pid.map(crate::bare::watch) {
        let _ = writeln!(std::io::stderr(), "bare: {error}");
        std::process::exit(1);
    }
}

fn crowd(size: usize, member: &str) {
    let members: Vec<_> = (0..size)
        .filter_map(|_| itself(member).spawn().ok())
        .collect();
    for mut member in members {
        let _ = member.wait();
    }
}

/// Wakes up ten times a second; ends with who started it.
fn member() {
    let parent = std::os::unix::process::parent_id();
    while std::os::unix::process::parent_id() == parent {
        std::thread::sleep(Duration::from_millis(100));
        let rest = Instant::now() + Duration::from_micros(200);
        while Instant::now() < rest {
            std::hint::black_box(0);
        }
    }
}

/// Ends with who started it.
fn sleeper() {
    let parent = std::os::unix::process::parent_id();
    while std::os::unix::process::parent_id() == parent {
        std::thread::sleep(Duration::from_secs(1));
    }
}
