//! The same loop under other tools that count syscalls.

use std::error::Error;
use std::process::Command;

use crate::median::median;
use crate::table::Row;
use crate::workload::{LOOP, NS_PER_CALL};
use crate::{DENET, cpu};

const ROUNDS: usize = 11;

/// Runs a tool where tracefs is, and leaves the mounts of everybody else alone.
const WITH_TRACEFS: [&str; 5] = [
    "unshare",
    "-m",
    "sh",
    "-c",
    "test -e /sys/kernel/tracing/events || mount -t tracefs tracefs /sys/kernel/tracing || exit; exec \"$@\"",
];
const BPFTRACE: &str = "tracepoint:raw_syscalls:sys_enter { @[pid, args->id] = count(); }";

/// A tool, and the bench under it.
struct Peer {
    name: &'static str,
    command: Vec<String>,
    /// What its output holds if it really counted the loop's calls.
    evidence: String,
    /// Per round, or why not.
    ns_per_call: Result<Vec<f64>, String>,
}

impl Peer {
    fn new(name: &'static str, command: Vec<String>, evidence: &str) -> Self {
        Self {
            name,
            command,
            evidence: evidence.to_owned(),
            ns_per_call: Ok(Vec::new()),
        }
    }

    fn run_once(&mut self) {
        if let Ok(so_far) = &mut self.ns_per_call {
            match ns_per_call(&self.command, &self.evidence) {
                Ok(ns) => so_far.push(ns),
                Err(reason) => self.ns_per_call = Err(reason),
            }
        }
    }
}

/// Measures them in turns.
pub fn rows() -> Result<Vec<Row>, Box<dyn Error>> {
    let mut peers = peers()?;
    for _ in 0..ROUNDS {
        peers.iter_mut().for_each(Peer::run_once);
    }
    let [bare, denet, others @ ..] = &peers[..] else {
        return Ok(Vec::new());
    };
    let bare = bare.ns_per_call.as_ref().map_err(String::as_str)?;
    let denet_ns = denet.ns_per_call.as_ref().map_err(String::as_str)?;
    let row = |peer: &Peer| {
        let what = format!("{}, the followed process", peer.name);
        let measured = match &peer.ns_per_call {
            Ok(measured) => measured,
            Err(reason) => return Row::missing(what, reason),
        };
        let added = || measured.iter().zip(bare).map(|(ns, bare)| ns - bare);
        let denet_added = denet_ns.iter().zip(bare).map(|(ns, bare)| ns - bare);
        let ratio = median(added().zip(denet_added).map(|(peer, denet)| peer / denet));
        Row::new(what, format!("+{} ns", grouped(median(added())))).times(ratio, "denet")
    };
    Ok(std::iter::once(denet).chain(others).map(row).collect())
}

/// Nothing, denet, and then the others.
fn peers() -> Result<Vec<Peer>, Box<dyn Error>> {
    let bench = std::env::current_exe()?
        .into_os_string()
        .into_string()
        .map_err(|_| "the path of the bench is no text")?;
    let (cpu, getppid) = (cpu::last()?, libc::SYS_getppid);
    let workload = ["taskset", "-c", &cpu, &bench, LOOP];
    let under = |words: &[&str]| {
        words
            .iter()
            .chain(&workload)
            .map(|&word| word.to_owned())
            .collect::<Vec<_>>()
    };
    let traced = |words: Vec<String>| {
        WITH_TRACEFS
            .into_iter()
            .chain(["sh"])
            .map(str::to_owned)
            .chain(words)
            .collect()
    };
    let bpftrace = ["bpftrace", "-e", BPFTRACE, "-c", &workload.join(" ")]
        .map(str::to_owned)
        .to_vec();
    Ok(vec![
        Peer::new("nothing", under(&[]), ""),
        Peer::new(
            "`denet --enable-ebpf run`",
            under(&[DENET, "--enable-ebpf", "run", "--"]),
            "getppid",
        ),
        Peer::new(
            "bpftrace, counting by pid and syscall",
            traced(bpftrace),
            &format!(", {getppid}]: "),
        ),
        Peer::new(
            "`perf trace -s`",
            traced(under(&["perf", "trace", "-s", "--"])),
            "getppid",
        ),
        Peer::new("`strace -c -f`", under(&["strace", "-c", "-f"]), "getppid"),
    ])
}

fn ns_per_call(command: &[String], evidence: &str) -> Result<f64, String> {
    let output = Command::new(&command[0]).args(&command[1..]).output();
    let output = output.map_err(|error| format!("{}: {error}", command[0]))?;
    let said = [output.stdout, output.stderr]
        .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
        .concat();
    if !output.status.success() {
        return Err(format!("{}: {}", output.status, last_words(&said)));
    }
    let ns = said
        .lines()
        .find_map(|line| line.strip_prefix(NS_PER_CALL)?.parse().ok());
    match ns {
        Some(ns) if said.contains(evidence) => Ok(ns),
        _ => Err(format!("it counted nothing: {}", last_words(&said))),
    }
}

fn last_words(said: &str) -> &str {
    said.lines()
        .rev()
        .find(|line| !line.trim().is_empty())
        .unwrap_or("no word of why")
}

/// Nanoseconds by the thousand are easier to read.
fn grouped(ns: f64) -> String {
    match ns.round() as u64 {
        small if small < 1000 => small.to_string(),
        large => format!("{},{:03}", large / 1000, large % 1000),
    }
}
