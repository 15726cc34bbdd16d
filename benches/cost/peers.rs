//! The same loop under other tools that count syscalls.

use std::error::Error;
use std::process::Command;

use crate::median::median;
use crate::table::Row;
use crate::workload::{LOOP, NS_PER_CALL};
use crate::{DENET, cpu};

const ROUNDS: usize = 11;

/// Runs a tool where tracefs is, and leaves the mounts of everybody else alone.
const WITH_TRACEFS: &str = "test -e /sys/kernel/tracing/events ||
    mount -t tracefs tracefs /sys/kernel/tracing || exit; exec \"$@\"";
const BPFTRACE: &str = "tracepoint:raw_syscalls:sys_enter { @[pid, args->id] = count(); }";

/// Nanoseconds of a call in three processes, one right after the other.
struct Round {
    alone: f64,
    denet: f64,
    peer: f64,
}

/// A tool, and the loop under it.
struct Peer {
    name: &'static str,
    loop_under_it: Watched,
    /// Or why there are none.
    rounds: Result<Vec<Round>, String>,
}

/// A command that prints [`NS_PER_CALL`].
struct Watched {
    words: Vec<String>,
    /// What its output holds if the calls were really counted.
    evidence: String,
}

/// Measures them in turns.
pub fn rows() -> Result<Vec<Row>, Box<dyn Error>> {
    let bench = std::env::current_exe()?.into_os_string().into_string();
    let workload = [
        &*bench.map_err(|_| "the path of the bench is no text")?,
        LOOP,
    ];
    let cpu = cpu::last()?;
    let alone = Watched::on(&cpu, &[], &workload, "");
    let denet = Watched::on(
        &cpu,
        &[DENET, "--enable-ebpf", "run", "--"],
        &workload,
        "getppid",
    );
    let mut peers = peers(&cpu, &workload);
    let mut denet_added = Vec::new();
    for _ in 0..ROUNDS {
        for peer in &mut peers {
            let (alone, denet) = (alone.ns_per_call()?, denet.ns_per_call()?);
            denet_added.push(denet - alone);
            peer.measure(alone, denet);
        }
    }
    let denet = Row::new(
        "the loop under `denet --enable-ebpf run`",
        added_ns(median(denet_added)),
    );
    Ok(std::iter::once(denet.times(1.0, "denet"))
        .chain(peers.iter().map(Peer::row))
        .collect())
}

/// All of a tool shares one CPU with the loop: that is where strace is fastest.
fn peers(cpu: &str, workload: &[&str]) -> [Peer; 4] {
    let getppid = format!(", {}]: ", libc::SYS_getppid);
    let with_tracefs = ["unshare", "-m", "sh", "-c", WITH_TRACEFS, "sh"];
    let perf = [&with_tracefs[..], &["perf", "trace", "-s", "--"]].concat();
    let bpftrace = [&with_tracefs[..], &["bpftrace", "-e", BPFTRACE, "-c"]].concat();
    let strace = ["strace", "-c", "-f"];
    [
        Peer::new(
            "under bpftrace, counting by pid and syscall",
            Watched::on(cpu, &bpftrace, &[&workload.join(" ")], &getppid),
        ),
        Peer::new(
            "under `perf trace -s`",
            Watched::on(cpu, &perf, workload, "getppid"),
        ),
        Peer::new(
            "under `strace -c -f`",
            Watched::on(cpu, &strace, workload, "getppid"),
        ),
        Peer::new(
            "the same, not held on the loop's CPU",
            Watched::anywhere(&strace, workload, "getppid"),
        ),
    ]
}

impl Peer {
    fn new(name: &'static str, loop_under_it: Watched) -> Self {
        Self {
            name,
            loop_under_it,
            rounds: Ok(Vec::new()),
        }
    }

    fn measure(&mut self, alone: f64, denet: f64) {
        if let Ok(so_far) = &mut self.rounds {
            match self.loop_under_it.ns_per_call() {
                Ok(peer) => so_far.push(Round { alone, denet, peer }),
                Err(reason) => self.rounds = Err(reason),
            }
        }
    }

    fn row(&self) -> Row {
        let rounds = match &self.rounds {
            Ok(rounds) => rounds,
            Err(reason) => return Row::missing(self.name, reason),
        };
        let times = |round: &Round| (round.peer - round.alone) / (round.denet - round.alone);
        let added = median(rounds.iter().map(|round| round.peer - round.alone));
        Row::new(self.name, added_ns(added)).times(median(rounds.iter().map(times)), "denet")
    }
}

impl Watched {
    fn on(cpu: &str, tool: &[&str], workload: &[&str], evidence: &str) -> Self {
        Self::anywhere(
            &[&["taskset", "-c", cpu], tool].concat(),
            workload,
            evidence,
        )
    }

    fn anywhere(tool: &[&str], workload: &[&str], evidence: &str) -> Self {
        let words = tool
            .iter()
            .chain(workload)
            .map(|&word| word.to_owned())
            .collect();
        Self {
            words,
            evidence: evidence.to_owned(),
        }
    }

    fn ns_per_call(&self) -> Result<f64, String> {
        let output = Command::new(&self.words[0]).args(&self.words[1..]).output();
        let output = output.map_err(|error| format!("{}: {error}", self.words[0]))?;
        let said = [output.stdout, output.stderr]
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
            .concat();
        if !output.status.success() {
            return Err(format!("{}: {}", output.status, last_words(&said)));
        }
        match said
            .lines()
            .find_map(|line| line.strip_prefix(NS_PER_CALL)?.parse().ok())
        {
            Some(ns) if said.contains(&self.evidence) => Ok(ns),
            _ => Err(format!("it counted nothing: {}", last_words(&said))),
        }
    }
}

fn last_words(said: &str) -> &str {
    said.lines()
        .rev()
        .find(|line| !line.trim().is_empty())
        .unwrap_or("no word of why")
}

/// Thousands set apart.
fn added_ns(ns: f64) -> String {
    match ns.round() as i64 {
        few if few < 1000 => format!("{few:+} ns"),
        many => format!("+{},{:03} ns", many / 1000, many % 1000),
    }
}
