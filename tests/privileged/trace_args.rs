//! `denet trace` against strace, to the letter: the same programs under both, every line of every
//! thread that denet decodes.
#![expect(
    unsafe_code,
    reason = "addresses are made the same between fork and exec"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use denet::decode::table;

use crate::broken::is_locked_down;
use crate::need_root;
use crate::support::{
    DENET, Scratch, calls_of, output, preempts_programs, stderr, without_skipped_runs, workload,
};

/// Where the programs run: they name it.
const FOLDER: &str = "/tmp/denet-trace";

/// Namespaces of their own, so that ids and ports are the same, and a folder that is empty.
const APART: &str = "ip link set lo up; \
    mount -t tmpfs none /tmp/denet-trace && cd /tmp/denet-trace && exec \"$@\"";

/// The folder on which each run mounts its own. Each user has a shared lock on it, and the last one
/// removes it: other tests, and other processes that run them, may use it too.
struct MountPoint(File);

impl MountPoint {
    fn new() -> Self {
        loop {
            let _ = fs::create_dir(FOLDER);
            if let Ok(folder) = File::open(FOLDER) {
                folder.lock_shared().expect("a lock");
                // Another user may have removed it before it was locked.
                let there = fs::metadata(FOLDER).map(|folder| folder.ino());
                if there.ok() == folder.metadata().ok().map(|folder| folder.ino()) {
                    return Self(folder);
                }
            }
        }
    }
}

impl Drop for MountPoint {
    fn drop(&mut self) {
        if self.0.try_lock().is_ok() {
            let _ = fs::remove_dir(FOLDER);
        }
    }
}

/// Runs a tracer and its program; what it says on stderr.
fn run(tracer: &[&str], program: &Path, arguments: &[&str]) -> String {
    let _mount_point = MountPoint::new();
    let mut command = Command::new("unshare");
    command
        .args(["-nim", "sh", "-c", APART, "sh"])
        .args(tracer)
        .arg(program)
        .args(arguments)
        .env_clear()
        .env("PATH", "/usr/bin:/bin:/usr/sbin:/sbin")
        .stdin(Stdio::null());
    let same_addresses = || {
        // SAFETY: the call has no memory arguments and is safe between fork and exec.
        match unsafe { libc::personality(libc::ADDR_NO_RANDOMIZE as libc::c_ulong) } {
            -1 => Err(std::io::Error::last_os_error()),
            _ => Ok(()),
        }
    };
    // SAFETY: the function calls nothing but personality.
    unsafe { command.pre_exec(same_addresses) };
    let done = output(&mut command);
    assert!(done.status.code().is_some(), "{}", stderr(&done));
    stderr(&done)
}

/// What each thread was told of, sorted: which comes first is not the same twice.
type Threads = Vec<Vec<String>>;

fn by_strace(options: &[&str], program: &Path, arguments: &[&str]) -> Threads {
    let scratch = Scratch::new();
    let file = scratch.path("strace");
    let to = file.display().to_string();
    let mut tracer = vec!["strace", "-f", "-a1", "-o", &to];
    tracer.extend(options);
    run(&tracer, program, arguments);
    let text = std::fs::read_to_string(&file).expect("its output");
    let lines = text.lines().filter_map(|line| line.split_once(' '));
    threads(lines.map(|(tid, line)| (tid, line.trim_start())))
}

fn by_denet(program: &Path, arguments: &[&str]) -> Threads {
    let text = without_skipped_runs(
        || {
            run(
                &[DENET, "trace", "--strict", "--wait-all", "--"],
                program,
                arguments,
            )
        },
        |text| Some(u64::from(text.contains("skipped"))),
    );
    let lines = text.lines().filter_map(|line| {
        let (tid, line) = match line.strip_prefix("[pid ") {
            Some(rest) => rest.trim_start().split_once("] ")?,
            None => ("", line),
        };
        let (time, line) = line.split_once(' ')?;
        let is_time = time.len() == 15 && time.as_bytes()[2] == b':';
        is_time.then_some((tid, without_duration(line)))
    });
    let lines: Vec<_> = lines.collect();
    let end = text.lines().last().unwrap_or_default();
    assert!(end.contains("complete: nothing was lost"), "{end}");
    let starts = |line: &str| line.starts_with("+++ started");
    // Only the first thread is not said to start; it has no id until there is another.
    let first = lines.iter().find(|(tid, _)| {
        let mut of_it = lines.iter().filter(|(other, _)| other == tid);
        !tid.is_empty() && !of_it.any(|(_, line)| starts(line))
    });
    let first = first.map_or("", |(tid, _)| *tid);
    let told = lines.iter().filter(|(_, line)| !starts(line));
    threads(told.map(|(tid, line)| (if tid.is_empty() { first } else { *tid }, *line)))
}

fn without_duration(line: &str) -> &str {
    match line.rsplit_once(" <") {
        Some((line, took)) if took.trim_end_matches('>').parse::<f64>().is_ok() => line,
        _ => line,
    }
}

/// Calls in one piece, whether or not another line came between.
fn threads<'a>(lines: impl Iterator<Item = (&'a str, &'a str)>) -> Threads {
    let mut all: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for (tid, line) in lines {
        let told = all.entry(tid).or_default();
        let rest = line
            .strip_prefix("<... ")
            .and_then(|line| line.split_once('>'));
        match (rest, told.last_mut()) {
            (Some((_, rest)), Some(begun)) => begun.push_str(rest.trim_start()),
            _ => told.push(line.to_owned()),
        }
        if let Some(begun) = told.last_mut()
            && let Some(start) = begun.strip_suffix("<unfinished ...>")
        {
            let start = start.trim_end();
            let space = if start.ends_with(',') { " " } else { "" };
            *begun = format!("{start}{space}");
        }
    }
    let mut all: Threads = all.into_values().collect();
    all.sort_by_cached_key(|lines| lines.iter().map(|line| alike(line)).collect::<Vec<_>>());
    all
}

/// What two runs may differ in: the column of the result, ids of processes, CPU times of children,
/// and what denet tells of descriptors beside their numbers.
fn alike(line: &str) -> String {
    let mut line = without_descriptors(line);
    if let Some((call, result)) = line.split_once(")  ")
        && result.trim_start().starts_with("= ")
    {
        line = format!("{call}) {}", result.trim_start());
    }
    for before in [
        "si_pid=",
        "{pid=",
        "kill(",
        "wait4(",
        "P_PID, ",
        "tgkill(ID, ",
    ] {
        line = without_id(&line, before);
    }
    if GIVES_ID.contains(&name(&line)) {
        line = without_id(&line, ") = ");
    }
    for (from, to) in [(", si_utime=", '}'), (", left {", '}')] {
        if let Some((start, rest)) = line.split_once(from) {
            let end = rest.find(to).map_or("", |at| &rest[at..]);
            let end = if from.ends_with('{') { &end[1..] } else { end };
            line = format!("{start}{end}");
        }
    }
    line
}

const GIVES_ID: &[&str] = &[
    "clone",
    "clone3",
    "fork",
    "vfork",
    "getpid",
    "gettid",
    "getppid",
    "getpgid",
    "getpgrp",
    "getsid",
    "wait4",
    "set_tid_address",
    "setsid",
];

fn name(line: &str) -> &str {
    line.split('(').next().unwrap_or_default()
}

/// Numbers behind a mark, but 0 and 1.
fn without_id(line: &str, mark: &str) -> String {
    let mut out = String::new();
    let mut rest = line;
    while let Some((start, behind)) = rest.split_once(mark) {
        let digits = behind.len()
            - behind
                .trim_start_matches(|letter: char| letter.is_ascii_digit())
                .len();
        let is_id = digits > 1 || !matches!(&behind[..digits], "" | "0" | "1");
        out.push_str(start);
        out.push_str(mark);
        out.push_str(if is_id { "ID" } else { &behind[..digits] });
        rest = &behind[digits..];
    }
    out + rest
}

/// `3</etc/passwd>` is 3; `0<<12` is what it is.
fn without_descriptors(line: &str) -> String {
    let mut out = String::new();
    let mut rest = line;
    while let Some((start, behind)) = rest.split_once('<') {
        out.push_str(start);
        let named =
            start.ends_with(|letter: char| letter.is_ascii_digit()) && !behind.starts_with('<');
        rest = match behind.split_once('>') {
            Some((_, rest)) if named => rest,
            _ => {
                out.push('<');
                let shifted = behind.strip_prefix('<');
                out.push_str(if shifted.is_some() { "<" } else { "" });
                shifted.unwrap_or(behind)
            }
        };
    }
    out + rest
}

/// Where denet says less on purpose, or something else than strace 6.1: what vectors point at, the
/// bytes of `mincore` and what a signal interrupted are not read, random bytes and what is left of a
/// `ppoll` are not the same twice, a name that cannot be set is shown though it failed, and denet's
/// own programs are there to be found by their ids.
const DIFFERENT: &[&str] = &[
    "readv",
    "writev",
    "preadv",
    "pwritev2",
    "vmsplice",
    "mincore",
    "getrandom",
    "sethostname",
    "bpf",
    "rt_sigreturn",
    "ppoll",
];

/// Lines of calls that denet decodes, of signals and of ends. To one that is traced by ptrace even
/// such signals are delivered as it ignores, like SIGCHLD; else the kernel drops them
/// (`sig_ignored` in `kernel/signal.c`).
fn told(lines: &[String]) -> Vec<String> {
    let decoded: BTreeSet<_> = table::entries().map(|entry| entry.name).collect();
    let is_told = |line: &&str| {
        let name = name(line);
        if line.starts_with("--- SIGCHLD") {
            return false;
        }
        line.starts_with(['-', '+']) || decoded.contains(name) && !DIFFERENT.contains(&name)
    };
    let told = lines.iter().map(String::as_str).filter(is_told);
    // To a program at a perf event the kernel hands no more of a signal than its code, under lockdown
    // only the number.
    let last = match (is_locked_down(), preempts_programs()) {
        (true, _) => Some(", si_code="),
        (false, true) => Some(", si_pid="),
        (false, false) => None,
    };
    let known = |line: String| match last.and_then(|last| line.split_once(last)) {
        Some((known, _)) if line.starts_with("---") => format!("{known}}} ---"),
        _ => line,
    };
    told.map(alike).map(known).collect()
}

/// Says how many different calls there were to compare.
fn same_as_strace(program: &Path, arguments: &[&str], differs: impl Fn(&str) -> bool) -> usize {
    need_root();
    let (strace, denet) = (
        by_strace(&[], program, arguments),
        by_denet(program, arguments),
    );
    let mut names = BTreeSet::new();
    let mut differing = Vec::new();
    assert_eq!(strace.len(), denet.len(), "{arguments:?}: threads");
    for (strace, denet) in strace.iter().zip(&denet) {
        let (strace, denet) = (told(strace), told(denet));
        for (at, (strace, denet)) in strace.iter().zip(&denet).enumerate() {
            names.insert(name(strace).to_owned());
            // The first execution is the tracer's own, with its memory.
            let begins = at == 0 && strace.starts_with("execve(");
            // ptrace sees no return from a call that kills its thread.
            let kills = strace.starts_with("tgkill(ID, ID, SIGKILL)");
            // strace reads nothing of one that fails, as it does where the kernel does not have it.
            let is_absent = strace.starts_with("epoll_pwait2(")
                && strace.contains("= -1 ENOSYS")
                && denet.contains("= -1 ENOSYS");
            if strace != denet && !begins && !kills && !is_absent && !differs(strace) {
                differing.push(format!("strace {strace}\ndenet  {denet}"));
            }
        }
        assert_eq!(strace.len(), denet.len(), "{arguments:?}: {differing:?}");
    }
    assert!(
        differing.is_empty(),
        "{arguments:?}:\n{}",
        differing.join("\n")
    );
    names.len()
}

/// Flags and protocols with names that strace 6.1 does not know, or denet does not.
fn is_younger(line: &str) -> bool {
    line.contains("|0x3fffff8|63<<MFD_HUGE_SHIFT") || line.contains("PIDFD_NONBLOCK|0xfffff7ff")
}

#[test]
fn usual_calls_to_the_letter() {
    let names = same_as_strace(&calls_of("program"), &[], |_| false);
    assert!(names > 180, "{names}");
}

#[test]
fn every_flag_to_the_letter() {
    const UNNAMED: [&str; 9] = [
        "AX25", "IRDA", "RXRPC", "ISDN", "PHONET", "CAIF", "NFC", "KCM", "SMC",
    ];
    let is_unnamed = |line: &str| {
        let family = line
            .strip_prefix("socket(AF_")
            .and_then(|rest| rest.split_once(", "));
        family.is_some_and(|(family, _)| UNNAMED.contains(&family))
    };
    let names = same_as_strace(&calls_of("flags"), &[], |line| {
        is_younger(line) || is_unnamed(line)
    });
    assert!(names > 60, "{names}");
}

#[test]
fn processes_and_signals_to_the_letter() {
    for arguments in [&["single"][..], &["tree", "2"], &["exec"], &["signals"]] {
        same_as_strace(workload(), arguments, |_| false);
    }
}

/// Descriptors in a line that are files, by number and path, as far as denet can know them: not of
/// those that were removed since.
fn files_in(line: &str) -> Vec<(String, String)> {
    let mut files = Vec::new();
    let mut rest = line;
    while let Some((start, behind)) = rest.split_once('<') {
        let number: String = start
            .chars()
            .rev()
            .take_while(char::is_ascii_digit)
            .collect();
        let Some((path, after)) = behind.split_once('>') else {
            break;
        };
        let is_gone = after.starts_with("(deleted)") || path.ends_with("(deleted)");
        if path.starts_with('/') && !number.is_empty() && !is_gone {
            files.push((number.chars().rev().collect(), path.to_owned()));
        }
        rest = after;
    }
    files
}

/// denet tells what was asked for, the kernel what its links led to.
fn resolved((number, path): (String, String)) -> (String, String) {
    let real = std::fs::canonicalize(&path).map(|path| path.display().to_string());
    (number, real.unwrap_or(path))
}

#[test]
fn files_are_those_that_strace_finds_in_proc() {
    need_root();
    let mut found = 0;
    let program = calls_of("program");
    let runs: [(&Path, &[&str]); 2] = [(&program, &[]), (workload(), &["exec"])];
    for (program, arguments) in runs {
        let strace = by_strace(&["-y"], program, arguments);
        let denet = by_denet(program, arguments);
        assert_eq!(strace.len(), denet.len(), "threads");
        for (strace, denet) in strace.iter().zip(&denet) {
            let is_call = |line: &&String| !line.starts_with(['-', '+']);
            let calls = strace
                .iter()
                .filter(is_call)
                .zip(denet.iter().filter(is_call));
            for (strace, denet) in calls {
                assert_eq!(name(strace), name(denet));
                if !table::entries().any(|entry| entry.name == name(denet)) {
                    continue;
                }
                let expected = files_in(strace);
                let told: Vec<_> = files_in(denet).into_iter().map(resolved).collect();
                assert!(
                    expected.iter().all(|file| told.contains(file)),
                    "strace {strace}\ndenet  {denet}"
                );
                found += expected.len();
            }
        }
    }
    assert!(found > 70, "{found}");
}
