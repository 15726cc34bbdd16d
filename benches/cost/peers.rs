//! The same loop under other tools that count syscalls, or tell of each.

use std::error::Error;
use std::process::Command;

use crate::binary::DENET;
use crate::cpu;
use crate::median::median;
use crate::table::Row;
use crate::workload::{LOOP, NS_PER_CALL};

const ROUNDS: usize = 11;

/// Runs a tool where tracefs is, and leaves the mounts of everybody else alone.
const WITH_TRACEFS: &str = "test -e /sys/kernel/tracing/events ||
    mount -t tracefs tracefs /sys/kernel/tracing || exit; exec \"$@\"";
const BPFTRACE: &str = "tracepoint:raw_syscalls:sys_enter { @[pid, args->id] = count(); }";
const BPFTRACE_TELLS: &str = "tracepoint:raw_syscalls:sys_exit /pid == cpid/ \
    { printf(\"%lld %d %d %lld\\n\", nsecs, tid, args->id, args->ret); }";

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
    /// What its output, or its file, holds if the calls were really seen.
    evidence: String,
    file: Option<String>,
}

/// Tools that count.
pub fn counting() -> Result<Vec<Row>, Box<dyn Error>> {
    let (cpu, workload) = (cpu::last()?, workload()?);
    let workload = [&*workload, LOOP];
    let words = [DENET, "--enable-ebpf", "run", "--"];
    let denet = Watched::on(&cpu, &words, &workload, "getppid");
    let name = "the loop under `denet --enable-ebpf run`";
    let race = Race::run(&cpu, &workload, denet, counters(&cpu, &workload))?;
    let denet = Row::new(name, added_ns(race.added)).times(1.0, "denet");
    let peers = race.peers.iter().map(|peer| peer.row("denet"));
    Ok(std::iter::once(denet).chain(peers).collect())
}

/// Tools that tell of each call, into a file.
pub fn telling() -> Result<Vec<Row>, Box<dyn Error>> {
    let (cpu, workload) = (cpu::last()?, workload()?);
    let workload = [&*workload, LOOP];
    let folder = std::env::temp_dir().join(format!("denet-bench-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    let file = folder.join("calls").display().to_string();
    let words = [
        "sh",
        "-c",
        "f=$1; shift; exec \"$@\" 2>\"$f\"",
        "sh",
        &file,
        DENET,
        "trace",
        "--",
    ];
    let denet = Watched::on(&cpu, &words, &workload, "getppid(").into_file(&file);
    let race = Race::run(&cpu, &workload, denet, tellers(&cpu, &workload, &file));
    std::fs::remove_dir_all(&folder)?;
    let race = race?;
    let share = race.peers[0].share();
    let denet =
        Row::new("the loop under `denet trace`", added_ns(race.added)).times(1.0, "denet trace");
    let denet = denet.at_most(0.05, "× strace", share);
    let peers = race.peers.iter().map(|peer| peer.row("denet trace"));
    Ok(std::iter::once(denet).chain(peers).collect())
}

fn workload() -> Result<String, Box<dyn Error>> {
    let bench = std::env::current_exe()?.into_os_string().into_string();
    Ok(bench.map_err(|_| "the path of the bench is no text")?)
}

/// denet and its peers, measured in turns.
struct Race {
    /// Nanoseconds that denet adds to a call.
    added: f64,
    peers: Vec<Peer>,
}

impl Race {
    fn run(
        cpu: &str,
        workload: &[&str],
        denet: Watched,
        mut peers: Vec<Peer>,
    ) -> Result<Self, Box<dyn Error>> {
        let alone = Watched::on(cpu, &[], workload, "");
        let mut added = Vec::new();
        for _ in 0..ROUNDS {
            for peer in &mut peers {
                let (alone, denet) = (alone.ns_per_call()?, denet.ns_per_call()?);
                added.push(denet - alone);
                peer.measure(alone, denet);
            }
        }
        let added = median(added);
        Ok(Self { added, peers })
    }
}

const ALONE_WITH_TRACEFS: [&str; 6] = ["unshare", "-m", "sh", "-c", WITH_TRACEFS, "sh"];

/// All of a tool shares one CPU with the loop: that is where strace is fastest.
fn counters(cpu: &str, workload: &[&str]) -> Vec<Peer> {
    let getppid = format!(", {}]: ", libc::SYS_getppid);
    let with_tracefs = ALONE_WITH_TRACEFS;
    let perf = [&with_tracefs[..], &["perf", "trace", "-s", "--"]].concat();
    let bpftrace = [&with_tracefs[..], &["bpftrace", "-e", BPFTRACE, "-c"]].concat();
    let strace = ["strace", "-c", "-f"];
    vec![
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

fn tellers(cpu: &str, workload: &[&str], file: &str) -> Vec<Peer> {
    let strace = ["strace", "-f", "-tt", "-T", "-o", file];
    let perf = ["perf", "trace", "-o", file, "--"];
    let perf = [&ALONE_WITH_TRACEFS[..], &perf].concat();
    let bpftrace = ["bpftrace", "-o", file, "-e", BPFTRACE_TELLS, "-c"];
    let bpftrace = [&ALONE_WITH_TRACEFS[..], &bpftrace].concat();
    let getppid = format!(" {} ", libc::SYS_getppid);
    vec![
        Peer::new(
            "under `strace -f -tt -T`",
            Watched::on(cpu, &strace, workload, "getppid(").into_file(file),
        ),
        Peer::new(
            "under `perf trace`",
            Watched::on(cpu, &perf, workload, "getppid(").into_file(file),
        ),
        Peer::new(
            "under bpftrace, printing time, thread, number and result",
            Watched::on(cpu, &bpftrace, &[&workload.join(" ")], &getppid).into_file(file),
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

    /// Of what it adds, how much denet does.
    fn share(&self) -> f64 {
        let share = |round: &Round| (round.denet - round.alone) / (round.peer - round.alone);
        let rounds = self.rounds.as_ref().map_or(&[][..], Vec::as_slice);
        median(rounds.iter().map(share))
    }

    fn row(&self, denet: &str) -> Row {
        let rounds = match &self.rounds {
            Ok(rounds) => rounds,
            Err(reason) => return Row::missing(self.name, reason),
        };
        let times = |round: &Round| (round.peer - round.alone) / (round.denet - round.alone);
        let added = median(rounds.iter().map(|round| round.peer - round.alone));
        Row::new(self.name, added_ns(added)).times(median(rounds.iter().map(times)), denet)
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
            file: None,
        }
    }

    fn into_file(self, file: &str) -> Self {
        let file = Some(file.to_owned());
        Self { file, ..self }
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
        let seen = match &self.file {
            None => said.contains(&self.evidence),
            Some(file) => std::fs::read_to_string(file)
                .map_err(|error| format!("{file}: {error}"))?
                .contains(&self.evidence),
        };
        match said
            .lines()
            .find_map(|line| line.strip_prefix(NS_PER_CALL)?.parse().ok())
        {
            Some(ns) if seen => Ok(ns),
            _ => Err(format!("it saw nothing: {}", last_words(&said))),
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
