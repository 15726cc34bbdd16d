//! denet and its peers, started alike.

use std::error::Error;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::bare;
use crate::median::median;
use crate::table::Row;
use crate::work;

const DENET: &str = env!("CARGO_BIN_EXE_denet");

/// A tool that watches a command that it starts, or that is started beside it.
pub struct Running {
    pub name: &'static str,
    seen: fn(&str, &Path) -> io::Result<Option<f64>>,
}

/// What a tool saw.
pub enum Watched {
    /// CPU seconds, beside those that the work knows of.
    Seen { cpu: f64, known: f64 },
    /// It is not here.
    Absent(String),
}

pub const RUNNING: [Running; 4] = [
    Running {
        name: "denet",
        seen: denet,
    },
    Running {
        name: "`pidstat -T ALL 1`",
        seen: pidstat,
    },
    Running {
        name: "`psrecord --include-children --interval 0.1`",
        seen: psrecord,
    },
    Running {
        name: "`time -v`",
        seen: time,
    },
];

impl Running {
    pub fn run(&self, work: &str) -> Result<Watched, Box<dyn Error>> {
        let scratch = Scratch::new()?;
        let told = scratch.0.join("told");
        let cpu = match (self.seen)(work, &scratch.0) {
            Ok(Some(cpu)) => cpu,
            Ok(None) => return Ok(Watched::Absent("it says nothing".to_owned())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(Watched::Absent("not installed".to_owned()));
            }
            Err(error) => return Err(error.into()),
        };
        let told = std::fs::read_to_string(told)?;
        let known: u64 = told
            .lines()
            .filter_map(|line| line.parse::<u64>().ok())
            .sum();
        Ok(Watched::Seen {
            cpu,
            known: known as f64 / 1e9,
        })
    }
}

/// A folder that goes with it.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> io::Result<Self> {
        let folder = std::env::temp_dir().join(format!("denet-bench-{}", std::process::id()));
        std::fs::create_dir_all(&folder)?;
        let _ = std::fs::remove_file(folder.join("told"));
        Ok(Self(folder))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn itself() -> io::Result<PathBuf> {
    std::env::current_exe()
}

/// A tool that is to run the work.
fn over(tool: &str, options: &[&str], work: &str, scratch: &Path) -> io::Result<Command> {
    let mut command = Command::new(tool);
    command
        .args(options)
        .arg(itself()?)
        .arg(work)
        .env(work::TOLD, scratch.join("told"))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    Ok(command)
}

fn denet(work: &str, scratch: &Path) -> io::Result<Option<f64>> {
    let options = ["--json", "--max-interval", "100", "run", "--"];
    let done = over(DENET, &options, work, scratch)?.output()?;
    let text = String::from_utf8_lossy(&done.stdout).into_owned();
    let last = text
        .lines()
        .last()
        .and_then(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    Ok(last.and_then(|summary| summary["cpu_secs"].as_f64()))
}

fn time(work: &str, scratch: &Path) -> io::Result<Option<f64>> {
    let done = over("/usr/bin/time", &["-v"], work, scratch)?.output()?;
    let text = String::from_utf8_lossy(&done.stderr).into_owned();
    let of = |name: &str| -> Option<f64> {
        let line = text
            .lines()
            .find_map(|line| line.trim().strip_prefix(name))?;
        line.trim().parse().ok()
    };
    Ok(of("User time (seconds):")
        .zip(of("System time (seconds):"))
        .map(|(user, system)| user + system))
}

/// The work, started by itself for a tool that only attaches.
fn started(work: &str, scratch: &Path) -> io::Result<Child> {
    let mut command = Command::new(itself()?);
    command.arg(work).env(work::TOLD, scratch.join("told"));
    command.spawn()
}

/// Once a second, of the process and its ended children together; percent of a core.
fn pidstat(work: &str, scratch: &Path) -> io::Result<Option<f64>> {
    present("pidstat", "-V")?;
    let mut work = started(work, scratch)?;
    let pid = work.id().to_string();
    let tool = Command::new("pidstat")
        .args(["-u", "-T", "ALL", "-p", &pid, "1"])
        .env("LC_ALL", "C")
        .stdout(Stdio::piped())
        .spawn()?;
    work.wait()?;
    let text = String::from_utf8_lossy(&tool.wait_with_output()?.stdout).into_owned();
    // Its second table counts milliseconds: "UID PID usr-ms system-ms guest-ms Command", a row a second.
    let mut of_children = false;
    let mut ms = 0.0;
    for line in text.lines().filter(|line| !line.starts_with("Average")) {
        let words: Vec<&str> = line.split_whitespace().collect();
        if line.contains("usr-ms") {
            of_children = true;
        } else if line.contains("%usr") {
            of_children = false;
        } else if let (true, Some(at)) = (of_children, words.iter().position(|word| *word == pid)) {
            let number = |at: usize| words.get(at).and_then(|word| word.parse::<f64>().ok());
            ms += number(at + 1).unwrap_or(0.0) + number(at + 2).unwrap_or(0.0);
        }
    }
    Ok((ms > 0.0 || !text.is_empty()).then_some(ms / 1e3))
}

fn psrecord(work: &str, scratch: &Path) -> io::Result<Option<f64>> {
    present("psrecord", "--help")?;
    let log = scratch.join("log");
    let mut work = started(work, scratch)?;
    let mut tool = Command::new("psrecord")
        .args([
            &work.id().to_string(),
            "--interval",
            "0.1",
            "--include-children",
            "--log",
        ])
        .arg(&log)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    work.wait()?;
    tool.wait()?;
    let text = std::fs::read_to_string(&log)?;
    // Elapsed seconds, percent of a core, memory.
    let mut before = 0.0;
    let mut seconds = 0.0;
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let numbers: Vec<f64> = line
            .split_whitespace()
            .filter_map(|word| word.parse().ok())
            .collect();
        if let [at, percent, ..] = numbers[..] {
            seconds += percent / 100.0 * (at - before);
            before = at;
        }
    }
    Ok((before > 0.0).then_some(seconds))
}

fn present(tool: &str, option: &str) -> io::Result<()> {
    Command::new(tool)
        .arg(option)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .map(|_| ())
}

/// A tool that watches fifty processes for a while.
pub struct Attaching {
    pub name: &'static str,
    pub how_often: &'static str,
    command: fn(u32) -> Command,
}

pub const ATTACHING: [Attaching; 4] = [
    Attaching {
        name: "denet",
        how_often: "every 100 ms",
        command: |pid| {
            let mut command = Command::new(DENET);
            command
                .args([
                    "--max-interval",
                    "100",
                    "--json",
                    "--duration",
                    "5",
                    "attach",
                ])
                .arg(pid.to_string());
            command
        },
    },
    Attaching {
        name: "the same files only opened, read and closed",
        how_often: "every 100 ms",
        command: |pid| {
            let mut command = Command::new("/proc/self/exe");
            command.arg(work::BARE).arg(pid.to_string());
            command
        },
    },
    Attaching {
        name: "`pidstat -r -u -d -p ALL 1`",
        how_often: "every second, the whole machine",
        command: |_| {
            let mut command = Command::new("pidstat");
            command.args(["-r", "-u", "-d", "-p", "ALL", "1", "5"]);
            command
        },
    },
    Attaching {
        name: "`psrecord --include-children`",
        how_often: "every 100 ms",
        command: |pid| {
            let mut command = Command::new("psrecord");
            command.args([
                &pid.to_string(),
                "--interval",
                "0.1",
                "--duration",
                "5",
                "--include-children",
                "--log",
                "/dev/null",
            ]);
            command
        },
    },
];

impl Attaching {
    /// CPU time over wall time of the tool; or why there is none.
    pub fn attach(&self) -> Result<Result<f64, String>, Box<dyn Error>> {
        let mut crowd = Command::new(itself()?).arg(work::CROWD).spawn()?;
        sleep(Duration::from_millis(500));
        let before = denet::sys::account::usage_of_children().cpu().as_nanos() as u64;
        let started = Instant::now();
        let tool = (self.command)(crowd.id())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        let wall = started.elapsed();
        let used = denet::sys::account::usage_of_children().cpu().as_nanos() as u64 - before;
        crowd.kill()?;
        crowd.wait()?;
        Ok(match tool {
            Ok(status) if !status.success() => Err(format!("it failed: {status}")),
            Ok(_) => Ok(used as f64 / 1e9 / wall.as_secs_f64()),
            Err(error) => Err(error.to_string()),
        })
    }
}

/// Times what only opening, reading and closing the same files takes.
const THRONG_LIMIT: f64 = 1.0;

/// What a sample of five thousand processes costs: from the CPU time that denet took for all of them.
pub fn throng() -> Result<Vec<Row>, Box<dyn Error>> {
    let mut throng = Command::new(itself()?).arg(work::THRONG).spawn()?;
    let children = format!("/proc/{0}/task/{0}/children", throng.id());
    let deadline = Instant::now() + Duration::from_secs(60);
    let born = || std::fs::read_to_string(&children).map_or(0, |text| text.split(' ').count());
    while born() < 4999 && Instant::now() < deadline {
        sleep(Duration::from_millis(100));
    }
    let rounds: Result<Vec<_>, _> = (0..3).map(|_| round_over_throng(throng.id())).collect();
    throng.kill()?;
    throng.wait()?;
    let rounds = rounds?;
    let what = "a sample of 5,000 live processes, written as a record";
    if let Some(few) = rounds.iter().find(|round| round.live < 5000) {
        return Ok(vec![Row::missing(
            what,
            format!("{} processes lived", few.live),
        )]);
    }
    let of = |what: fn(&Round) -> f64| median(rounds.iter().map(what));
    let times = of(|round| round.denet_ms / round.bare_ms);
    let ms = |value: f64| format!("{value:.1} ms of CPU");
    Ok(vec![
        Row::new(
            "the same files of 5,000 processes only opened, read and closed",
            ms(of(|round| round.bare_ms)),
        ),
        Row::new(what, ms(of(|round| round.denet_ms)))
            .times(times, "bare reads")
            .at_most(THRONG_LIMIT, "×", times),
        Row::new(
            "denet's peak memory over them",
            format!("{:.1} MiB", of(|round| round.peak_mib)),
        ),
    ])
}

/// Of one sample.
struct Round {
    denet_ms: f64,
    bare_ms: f64,
    live: u64,
    peak_mib: f64,
}

fn round_over_throng(pid: u32) -> Result<Round, Box<dyn Error>> {
    // What the start and the end cost is in both, and in the difference of neither.
    let (short, long) = (over_throng(pid, "3")?, over_throng(pid, "8")?);
    let cpu_ms = long.cpu_ns.saturating_sub(short.cpu_ns) as f64 / 1e6;
    Ok(Round {
        denet_ms: cpu_ms / long.samples.saturating_sub(short.samples) as f64,
        bare_ms: bare::sample_ms(&bare::with_children(pid)?)?,
        live: long.live,
        peak_mib: long.peak_kb as f64 / 1024.0,
    })
}

struct Throng {
    cpu_ns: u64,
    samples: u64,
    live: u64,
    peak_kb: u64,
}

fn over_throng(pid: u32, seconds: &str) -> Result<Throng, Box<dyn Error>> {
    let scratch = Scratch::new()?;
    let out = scratch.0.join("records");
    let before = denet::sys::account::usage_of_children().cpu().as_nanos() as u64;
    let mut command = Command::new(DENET);
    command
        .args([
            "--interval",
            "500",
            "--max-interval",
            "500",
            "--quiet",
            "--duration",
            seconds,
        ])
        .arg("--out")
        .arg(&out)
        .args(["attach", &pid.to_string()]);
    let (peak_kb, done) = peak_of(&mut command)?;
    let cpu_ns = denet::sys::account::usage_of_children().cpu().as_nanos() as u64 - before;
    if !done {
        return Err("denet failed".into());
    }
    let text = std::fs::read_to_string(&out)?;
    let records = text
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok());
    let samples: Vec<serde_json::Value> = records
        .filter(|record: &serde_json::Value| record["kind"] == "tree")
        .collect();
    let last = samples.last();
    Ok(Throng {
        cpu_ns,
        samples: samples.len() as u64,
        live: last
            .and_then(|tree| tree["aggregated"]["process_count"].as_u64())
            .unwrap_or(0),
        peak_kb,
    })
}

/// As many samples as an hour has at the longest interval, taken at speed.
pub fn an_hour() -> Result<Vec<Row>, Box<dyn Error>> {
    let mut crowd = Command::new(itself()?).arg(work::CROWD).spawn()?;
    let mut command = Command::new(DENET);
    command
        .args([
            "--interval",
            "2",
            "--max-interval",
            "2",
            "--duration",
            "8",
            "--json",
        ])
        .args(["attach", &crowd.id().to_string()]);
    let (peak_kb, done) = peak_of(command.stdout(Stdio::null()))?;
    crowd.kill()?;
    crowd.wait()?;
    let what = "denet's peak memory over an hour's 3,600 samples of 50 processes, taken in 8 s";
    let mib = peak_kb as f64 / 1024.0;
    Ok(vec![match done {
        true => Row::new(what, format!("{mib:.1} MiB")).at_most(25.0, "MiB", mib),
        false => Row::missing(what, "denet failed"),
    }])
}

/// Runs it to its end; most memory that it had, and whether it succeeded.
fn peak_of(command: &mut Command) -> io::Result<(u64, bool)> {
    let mut child = command.stderr(Stdio::null()).spawn()?;
    let status = format!("/proc/{}/status", child.id());
    let mut peak_kb = 0;
    loop {
        if let Some(done) = child.try_wait()? {
            return Ok((peak_kb, done.success()));
        }
        let text = std::fs::read_to_string(&status).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kb = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
        peak_kb = kb.unwrap_or(peak_kb);
        sleep(Duration::from_millis(20));
    }
}
