//! The floor of sampling: the files that a sample reads, only opened, read and closed.

use std::fs::File;
use std::io::{self, Read as _};
use std::time::{Duration, Instant};

use denet::sys::account;

/// What denet reads of each process.
const FILES: [&str; 3] = ["stat", "statm", "io"];

/// A process and its children.
pub fn with_children(pid: u32) -> io::Result<Vec<u32>> {
    let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"))?;
    let children = children.split_whitespace().filter_map(|id| id.parse().ok());
    Ok(std::iter::once(pid).chain(children).collect())
}

/// Reads the files of all once.
pub fn sample(pids: &[u32]) -> io::Result<()> {
    let mut buffer = [0; 4096];
    for pid in pids {
        for file in FILES {
            let length = File::open(format!("/proc/{pid}/{file}"))?.read(&mut buffer)?;
            std::hint::black_box(&buffer[..length]);
        }
    }
    Ok(())
}

/// Milliseconds of CPU that one such reading takes.
pub fn sample_ms(pids: &[u32]) -> io::Result<f64> {
    const TIMES: u32 = 5;
    let before = account::own_cpu();
    for _ in 0..TIMES {
        sample(pids)?;
    }
    Ok((account::own_cpu() - before).as_secs_f64() * 1e3 / f64::from(TIMES))
}

/// Repeats it every 100 ms for five seconds.
pub fn watch(pid: u32) -> io::Result<()> {
    let pids = with_children(pid)?;
    let start = Instant::now();
    for turn in 1..=50 {
        sample(&pids)?;
        let next = start + Duration::from_millis(100) * turn;
        std::thread::sleep(next.saturating_duration_since(Instant::now()));
    }
    Ok(())
}
