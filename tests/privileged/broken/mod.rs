//! The break-it matrix: each row breaks one thing on a system that runs. The doctor, run as the one who is
//! affected, must name that thing first, and what it prints as the fix must mend it, with `ebpf_test` as
//! the proof; nothing else may be broken then.
//!
//! A row is a piece of shell in a mount namespace of its own, in which tracefs and bpffs are mounted and
//! copies of denet's programs lie in `$T`: the doctor `$D`, the smoke test `$P`. It breaks something, and
//! defines `affected`, which runs a command as the affected one. `fix` then runs the commands of the fix
//! as they stand, with a `sudo` that leaves everything to root, who runs it; advice that is a sentence is
//! carried out by the row's `mend`.
#![expect(
    clippy::print_stdout,
    clippy::panic,
    reason = "rows are for people to read; a test that cannot go on says so"
)]

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::Value;

use crate::least::{raise_memlock, scope_any};
use crate::need_root;
use crate::support::{DENET, EBPF_DIAG, EBPF_TEST, Scratch, output, stderr, workload};

mod healthy;
mod kernel;
mod limits;
mod objects;
mod privileges;
mod tracing;

struct Row<'a> {
    /// What is broken.
    name: &'a str,
    /// A condition of the machine without which there is nothing to break; in shell.
    needs: &'static str,
    /// Breaks it.
    breaks: &'a str,
    /// Options of the doctor; its other options are such that only what this machine lacks is left out.
    asks: &'static str,
    /// Other ways of asking that must be answered alike: commands, to which options are added.
    also: &'static [&'static str],
    /// The finding that must be named first.
    cause: &'static str,
    /// `fix`, and what stands in for advice that no command carries out.
    mend: &'static str,
    /// `ebpf_test` fails while it is broken.
    stops: bool,
    /// Where that is so, denet's commands are refused as well, and print the same finding.
    refuses: bool,
    /// What must hold once it is mended, beside `ebpf_test`.
    then: &'static str,
}

const ROW: Row<'static> = Row {
    name: "",
    needs: "true",
    breaks: "",
    asks: "",
    also: &[],
    cause: "",
    mend: "fix",
    stops: true,
    refuses: true,
    then: "true",
};

/// A user who holds what their copies of the programs give them.
const USER: &str = "affected() { setpriv --reuid 65534 --regid 65534 --clear-groups \"$@\"; }\n";

/// Not the affected ones, but somebody who asks about them: the same user with a doctor that gains
/// nothing, and root with the user's name.
const ABOUT_THE_FILE: &[&str] = &["affected \"$DOCTOR\" --binary \"$P\"", ROOT_ABOUT_THE_FILE];
const ROOT_ABOUT_THE_FILE: &str = "\"$DOCTOR\" --as-user nobody --binary \"$P\"";

/// The system as it should be, and how it is put back: what it sets holds for the whole machine.
const HARNESS: &str = r#"
T=$1; cd "$T"; mount --make-rprivate /
kept=
keep() { [ ! -e "$1" ] || kept="$kept$1 $(cat "$1") "; }
restore() { set -- $kept; while [ $# -ge 2 ]; do echo "$2" >"$1"; shift 2; done
    ! grep -q ' /sys/kernel/tracing tracefs' /proc/mounts || mount -o remount,gid=0,mode=0700 /sys/kernel/tracing; }
trap restore EXIT
trap 'exit 143' TERM INT HUP
for key in kernel/perf_event_paranoid kernel/kptr_restrict net/core/bpf_jit_enable; do keep /proc/sys/$key; done
[ "$(cat /proc/sys/kernel/perf_event_paranoid)" -le 2 ] || echo 2 >/proc/sys/kernel/perf_event_paranoid
echo 0 >/proc/sys/kernel/kptr_restrict
grep -q ' /sys/kernel/tracing tracefs' /proc/mounts || mount -t tracefs tracefs /sys/kernel/tracing
mount -o remount,gid=65534,mode=0750 /sys/kernel/tracing
grep -q ' /sys/kernel/security securityfs' /proc/mounts || mount -t securityfs securityfs /sys/kernel/security
grep -q ' /sys/fs/bpf bpf' /proc/mounts || mount -t bpf -o mode=0700 bpf /sys/fs/bpf
mkdir -m 0755 bin doctor; mkdir -m 1777 own
printf '#!/bin/sh\nexec "$@"\n' >bin/sudo; chmod 755 bin/sudo; PATH=$T/bin:$PATH
cp ebpf_diag doctor/ebpf_diag; DOCTOR=$T/doctor/ebpf_diag
id() { if [ "$*" = -g ]; then echo 65534; else command id "$@"; fi; }
grant() { setcap "$1" "$T/denet" && setcap "$1" "$T/ebpf_diag" && setcap "$1" "$T/ebpf_test"; }
all=cap_bpf,cap_perfmon,cap_net_admin,cap_syslog=ep
D=$T/ebpf_diag P=$T/ebpf_test
affected() { "$@"; }
fix() { . ./fix.sh; }
"#;

/// Asks, waits until somebody has looked at the answer, and mends.
const JUDGE: &str = r#"
affected "$P" >before.txt 2>&1; echo "before $?"
denet=${P%/*}/denet; at=0; echo "$COMMANDS" | while read -r command; do
    [ -z "$command" ] || { at=$((at + 1)); affected "$denet" $command >refused.$at.txt 2>&1; echo "refused.$at $?"; }
done
affected "$D" --json --save-facts own/facts.json --skip "$SKIP" $ASKS >doctor.json 2>doctor.err; echo "doctor $?"
"$DOCTOR" --facts own/facts.json --skip "$SKIP" $(echo "$ASKS" | sed 's/--binary [^ ]*//') >doctor.txt 2>>doctor.err
at=0; echo "$ALSO" | while read -r asks; do
    [ -z "$asks" ] || { at=$((at + 1)); eval "$asks --json --skip \"\$SKIP\"" >also.$at.json 2>>doctor.err; }
done
echo asked; read -r go
eval "$MEND"; echo "mended $?"
affected "$P" >after.txt 2>&1; echo "after $?"
affected "$D" --json --skip "$SKIP" $ASKS >mended.json 2>mended.err
eval "$THEN"; echo "then $?"
"#;

/// What takes eBPF, of a command and of who runs already. Frames are counted in namespaces of their own:
/// tests/privileged/xdp.
const COMMANDS: &[&str] = &[
    "--enable-ebpf run true",
    "monitor exec -- true",
    "monitor net -- true",
    "trace -- true",
    "--duration 0.1 monitor exec",
    "--duration 0.1 monitor net",
];

impl Row<'_> {
    fn commands(&self) -> &'static [&'static str] {
        if self.stops && self.refuses {
            COMMANDS
        } else {
            &[]
        }
    }
}

/// What this machine lacks by itself is left out, so that the first finding is the broken thing.
const LACKING: &str = "hardware-counters,no-hardware-counters";

fn without_kprobes() -> bool {
    !std::path::Path::new("/sys/bus/event_source/devices/kprobe").exists()
}

/// Linux 6.12 crashes when a tracefs that was mounted under confidentiality goes away: there the rows of
/// tests/kernels stand.
pub fn is_locked_down() -> bool {
    let lockdown = std::fs::read_to_string("/sys/kernel/security/lockdown");
    lockdown.is_ok_and(|text| text.contains("[confidentiality]"))
}

/// Options of tracefs and settings of the kernel are the same in every namespace: who changes them is
/// alone meanwhile.
pub fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Judges a row.
fn run(row: &Row<'_>) {
    need_root();
    if is_locked_down() {
        println!("row {}: not where the kernel is locked down", row.name);
        return;
    }
    let _alone = alone();
    raise_memlock();
    let scratch = Scratch::new();
    for from in [DENET, EBPF_DIAG, EBPF_TEST] {
        let copied = output(Command::new("cp").arg(from).arg(&scratch.0));
        assert!(copied.status.success(), "{}", stderr(&copied));
    }
    match played(row, &scratch) {
        Some(text) => Played { row, scratch, text }.check(),
        None => println!("row {}: not on this machine: {}", row.name, row.needs),
    }
}

/// What a row said; `None` where there is nothing to break.
fn played(row: &Row<'_>, scratch: &Scratch) -> Option<String> {
    let mut skip = LACKING.to_owned();
    if without_kprobes() && row.cause != "kernel-without-kprobes" {
        skip.push_str(",kernel-without-kprobes");
    }
    let any = scope_any(&scratch.path("etc"));
    let script = format!(
        "{HARNESS}\n{any}\nif ! {{ {} ; }}; then echo unneeded; exit; fi\n{}\n{JUDGE}",
        row.needs, row.breaks
    );
    let mut command = Command::new("unshare");
    command
        .args(["-m", "sh", "-c", &script, "sh"])
        .arg(&scratch.0)
        .env("SKIP", skip)
        .env("ASKS", row.asks)
        .env("ALSO", row.also.join("\n"))
        .env("COMMANDS", row.commands().join("\n"))
        .env("MEND", row.mend)
        .env("THEN", row.then)
        .env("WORKLOAD", workload())
        .env(
            "OBJECTS",
            concat!(env!("CARGO_MANIFEST_DIR"), "/ebpf/objects"),
        )
        .env_remove("RUST_LOG")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    let mut shell = command.spawn().expect("unshare starts");
    let mut go = shell.stdin.take().expect("piped");
    let mut text = String::new();
    for line in BufReader::new(shell.stdout.take().expect("piped")).lines() {
        let line = line.expect("text");
        if line == "asked" {
            std::fs::write(scratch.path("fix.sh"), commands(row, scratch)).expect("our own folder");
            writeln!(go, "go").expect("it reads");
        }
        text.push_str(&line);
        text.push('\n');
    }
    shell.wait().expect("it ends");
    (!text.lines().any(|line| line == "unneeded")).then_some(text)
}

/// The commands of the fix, each only where the one before it worked.
fn commands(row: &Row<'_>, scratch: &Scratch) -> String {
    let report = report(scratch, "doctor.json");
    let commands = fixes(&report, row.cause).into_iter().map(|step| step.0);
    commands.flatten().collect::<Vec<_>>().join(" &&\n") + "\n"
}

fn read(scratch: &Scratch, name: &str) -> String {
    std::fs::read_to_string(scratch.path(name)).unwrap_or_default()
}

fn report(scratch: &Scratch, name: &str) -> Value {
    serde_json::from_str(&read(scratch, name)).unwrap_or_default()
}

/// Of each step the command, where it has one, and the sentence, where it has not.
fn fixes(report: &Value, id: &str) -> Vec<(Option<String>, Option<String>)> {
    let mut checks = report["checks"].as_array().into_iter().flatten();
    // What is within denet and what was given with --object have the same checks.
    let found = |check: &&Value| check["id"] == id && !check["cause"].is_null();
    let fixes = checks.find(found).map(|check| &check["fixes"]);
    let text = |step: &Value, name: &str| step[name].as_str().map(str::to_owned);
    let steps = fixes.and_then(Value::as_array).into_iter().flatten();
    steps
        .map(|step| (text(step, "command"), text(step, "text")))
        .collect()
}

/// Ids of what is wrong, the first first.
fn causes(report: &Value) -> Vec<String> {
    let causes = report["causes"].as_array().into_iter().flatten();
    causes
        .filter_map(|cause| Some(cause["id"].as_str()?.to_owned()))
        .collect()
}

/// What was seen of each thing that is wrong.
fn evidence(report: &Value) -> Vec<String> {
    let checks = report["checks"].as_array().into_iter().flatten();
    let wrong = checks.filter(|check| !check["cause"].is_null());
    wrong
        .map(|check| format!("{}: {}", check["id"], check["evidence"]))
        .collect()
}

struct Played<'a> {
    row: &'a Row<'a>,
    scratch: Scratch,
    /// What the shell wrote.
    text: String,
}

impl Played<'_> {
    /// What is written behind a word.
    fn word(&self, name: &str) -> &str {
        let mut lines = self.text.lines();
        let found = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        found.unwrap_or_default()
    }

    fn must(&self, holds: bool, what: &str) {
        if holds {
            return;
        }
        let files = ["doctor.txt", "doctor.err", "fix.sh", "before.txt"];
        let files = files.into_iter().chain(["after.txt", "mended.err"]);
        let files = files.map(|name| format!("== {name}\n{}", read(&self.scratch, name)));
        panic!(
            "row {}: {what}\n{}{}",
            self.row.name,
            self.text,
            files.collect::<String>()
        );
    }

    fn check(&self) {
        let row = self.row;
        let report = report(&self.scratch, "doctor.json");
        let named = causes(&report);
        let first = |named: &[String]| named.first().cloned().unwrap_or_default();
        self.must(
            first(&named) == row.cause,
            &format!("first {named:?}, not {}", row.cause),
        );
        for at in 1..=row.also.len() {
            let named = causes(&self::report(&self.scratch, &format!("also.{at}.json")));
            self.must(
                first(&named) == row.cause,
                &format!("{}: first {named:?}", row.also[at - 1]),
            );
        }
        self.must(
            row.stops == (self.word("before") != "0"),
            "ebpf_test, broken",
        );
        self.check_refusals(&named);
        if row.cause.is_empty() {
            // What cannot be looked at here, such as a configuration that is in no file, is nothing found.
            let worst = &report["summary"]["status"];
            self.must(
                worst == "ready" || worst == "unknown",
                &format!("the doctor says {worst}"),
            );
        }
        let fixes = fixes(&report, row.cause);
        self.check_fixes(&fixes);
        self.must(
            (self.word("mended"), self.word("after")) == ("0", "0"),
            "mended",
        );
        let left = self.check_mended(&named);
        self.must(self.word("then") == "0", "what else must hold");
        let steps = fixes
            .iter()
            .map(|(command, text)| command.as_ref().or(text.as_ref()));
        let steps: Vec<_> = steps.flatten().map(String::as_str).collect();
        let found = match row.cause {
            "" => "nothing found".to_owned(),
            cause => format!("{cause} first; {}", steps.join(" && ")),
        };
        println!("row {}: {found}{left}", row.name);
    }

    /// Each command is refused for the reason that the doctor names first; who asks for those that run
    /// already may be told another of them.
    fn check_refusals(&self, named: &[String]) {
        for (at, command) in (1..).zip(self.row.commands()) {
            let name = format!("refused.{at}");
            let text = read(&self.scratch, &format!("{name}.txt"));
            let starts = command.ends_with("true");
            let mut reasons = named.iter().take(if starts { 1 } else { named.len() });
            let says = reasons.any(|id| text.contains(&format!("[{id}]")));
            self.must(
                self.word(&name) == "3" && says,
                &format!("denet {command}: exit {}\n{text}", self.word(&name)),
            );
        }
    }

    /// What is printed is what scripts get; and who mends by other means was not told a command.
    fn check_fixes(&self, fixes: &[(Option<String>, Option<String>)]) {
        let printed = read(&self.scratch, "doctor.txt");
        let commands: Vec<_> = fixes
            .iter()
            .filter_map(|(command, _)| command.as_ref())
            .collect();
        for command in &commands {
            let stands = printed.lines().any(|line| line.get(10..) == Some(command));
            self.must(stands, &format!("not printed: {command}"));
        }
        let is_run = self.row.mend.contains("fix");
        self.must(
            is_run != commands.is_empty(),
            "a fix that is a command is run, and a sentence carried out",
        );
    }

    /// The cause is gone, and the fix broke nothing else; what is left was there before.
    fn check_mended(&self, before: &[String]) -> String {
        let report = report(&self.scratch, "mended.json");
        self.must(report["summary"].is_object(), "the doctor, mended");
        let before: BTreeSet<_> = before.iter().filter(|id| *id != self.row.cause).collect();
        let after = causes(&report);
        self.must(
            after.iter().all(|id| before.contains(id)),
            &format!("new or still there: {:?}", evidence(&report)),
        );
        if after.is_empty() {
            return String::new();
        }
        format!(" [beside it: {}]", after.join(", "))
    }
}
