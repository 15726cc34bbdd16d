//! What a denet with file capabilities shows a user: what ptrace(2) would, and of all other processes only
//! counts, names, times and exits.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::attached::Group;
use crate::broken::is_locked_down;
use crate::least::{NOBODY, as_nobody, installed};
use crate::lifetime::send;
use crate::need_root;
use crate::support::processes::blocks_in;
use crate::support::wait::{wait_for, wait_until};
use crate::support::{Scratch, in_guest, load, output, records, stderr, stdout, summary};

const OTHER: u32 = 65533;
const SECRET: &str = "hunter2";
const CAPABILITIES: Option<&str> = Some("cap_bpf,cap_perfmon=ep");

fn mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).expect("our own file");
}

/// By another process, see `least::copy`.
fn copy(from: &Path, to: &Path) -> PathBuf {
    let copied = output(Command::new("cp").arg(from).arg(to));
    assert!(copied.status.success(), "{}", stderr(&copied));
    to.to_owned()
}

/// A copy of cat that is private, and a file that it can read: mostly one that the user cannot.
struct Reader {
    what: &'static str,
    program: PathBuf,
    file: PathBuf,
}

/// Programs with more privileges than their user, of each kind, and one that the user may not read.
fn readers(scratch: &Scratch) -> Vec<Reader> {
    let make =
        |what, owner: (u32, u32), program_mode, file: (u32, u32, u32), capability: Option<&str>| {
            let program = copy(Path::new("/bin/cat"), &scratch.path(what));
            chown(&program, Some(owner.0), Some(owner.1)).expect("root");
            mode(&program, program_mode);
            if let Some(capability) = capability {
                let set = output(Command::new("setcap").arg(capability).arg(&program));
                assert!(set.status.success(), "{}", stderr(&set));
            }
            let (uid, gid, file_mode) = file;
            let file = scratch.path(&format!("{what}-file"));
            fs::write(&file, format!("{SECRET}\n")).expect("our own folder");
            chown(&file, Some(uid), Some(gid)).expect("root");
            mode(&file, file_mode);
            Reader {
                what,
                program,
                file,
            }
        };
    vec![
        make("setuid", (OTHER, 0), 0o4755, (OTHER, 0, 0o600), None),
        make("setgid", (0, OTHER), 0o2755, (0, OTHER, 0o640), None),
        make(
            "capable",
            (0, 0),
            0o755,
            (0, 0, 0o600),
            Some("cap_dac_read_search=ep"),
        ),
        // A user who may execute it but not read it may not read its memory either.
        make("unreadable", (0, 0), 0o711, (0, 0, 0o644), None),
    ]
}

/// A denet with file capabilities, where the user can execute it.
fn denet_of(scratch: &Scratch) -> PathBuf {
    mode(&scratch.0, 0o755);
    installed(scratch, CAPABILITIES)
}

fn traced(denet: &Path, options: &[&str], program: &Path, file: &Path) -> Output {
    let mut command = as_nobody(denet);
    command.args(options).args(["trace", "--"]);
    // In a shell, whose own calls are still shown.
    command
        .args(["sh", "-c", "\"$0\" \"$1\"; :"])
        .arg(program)
        .arg(file);
    output(&mut command)
}

#[test]
fn nothing_is_read_from_a_child_with_more_privileges() {
    need_root();
    let scratch = Scratch::new();
    let denet = denet_of(&scratch);
    for Reader {
        what,
        program,
        file,
    } in readers(&scratch)
    {
        let lines = traced(&denet, &[], &program, &file);
        let (out, told) = (stdout(&lines), stderr(&lines));
        assert_eq!(out.trim(), SECRET, "{what}: it reads the secret: {told}");
        assert!(!told.contains(SECRET), "{what}: {told}");
        // The shell is the user's, and so is the path that it passes.
        assert!(
            told.contains(&format!("execve(\"{}\"", program.display())),
            "{what}: {told}"
        );
        assert!(
            told.contains("read(<private>)") && told.contains("write(<private>)"),
            "{what}: {told}"
        );
        let after = told.rsplit("exited with 0").count();
        assert!(after >= 3, "{what}: both exits are shown: {told}");
        let lines = traced(&denet, &["--json"], &program, &file);
        let records = records(&stdout(&lines).replace(&format!("{SECRET}\n"), ""));
        let is_private = |record: &&Value| record["private"] == true;
        let private: Vec<_> = records.iter().filter(is_private).collect();
        assert!(private.len() > 5, "{what}: {records:?}");
        let nothing = serde_json::json!([]);
        assert!(
            private.iter().all(
                |call| call["args"] == nothing && call["duration_ns"].is_u64()
                    || call["unfinished"] == true
            ),
            "{what}: {private:?}"
        );
        assert_eq!(records.first().expect("metadata")["ebpf"]["scope"], "own");
    }
}

#[test]
fn everything_is_read_from_the_users_own_processes() {
    need_root();
    let scratch = Scratch::new();
    let denet = denet_of(&scratch);
    let file = scratch.path("file");
    fs::write(&file, "visible\n").expect("our own folder");
    mode(&file, 0o644);
    let told = stderr(&traced(&denet, &[], Path::new("/bin/cat"), &file));
    assert!(
        told.contains("\"visible\\n\"") && !told.contains("<private>"),
        "{told}"
    );
    // The user has all capabilities in a user namespace that they created.
    let mut command = as_nobody(&denet);
    command
        .args(["trace", "--", "unshare", "--user", "--map-root-user", "cat"])
        .arg(&file);
    let done = output(&mut command);
    let told = stderr(&done);
    if done.status.success() {
        // Between unshare and execve it is not dumpable, so ptrace(2) would not be permitted either.
        let (_, executed) = told.rsplit_once("execve(").expect("cat is executed");
        assert!(
            executed.contains("\"visible\\n\"") && !executed.contains("<private>"),
            "{told}"
        );
    } else {
        assert!(
            told.contains("unshare(") && told.contains(" = -1 "),
            "{told}"
        );
    }
}

#[test]
fn private_executions_are_shown_without_arguments() {
    need_root();
    let scratch = Scratch::new();
    let denet = denet_of(&scratch);
    let other = copy(Path::new("/usr/bin/env"), &scratch.path("other"));
    chown(&other, Some(OTHER), None).expect("root");
    mode(&other, 0o4755);
    let watch = |options: &[&str]| {
        let mut command = as_nobody(&denet);
        command.args(options).args([
            "monitor",
            "exec",
            "--",
            "sh",
            "-c",
            "\"$0\" /bin/true $1; /bin/true shown",
        ]);
        output(command.arg(&other).arg(SECRET))
    };
    let told = stderr(&watch(&[]));
    assert!(!told.contains(SECRET), "{told}");
    assert!(told.contains(" shown"), "{told}");
    let lines: Vec<_> = told
        .lines()
        .filter(|line| line.contains("<private>"))
        .collect();
    assert!(lines.len() >= 2, "{told}");
    assert!(
        lines[0].contains("other"),
        "the path that the user's shell passed: {told}"
    );
    let records = records(&stdout(&watch(&["--json"])));
    let private = records.iter().filter(|record| record["private"] == true);
    let private: Vec<_> = private.collect();
    assert!(private.len() >= 2, "{records:?}");
    assert!(
        private
            .iter()
            .all(|record| record["argv"] == serde_json::json!([])),
        "{private:?}"
    );
    assert_eq!(private[1]["path"], Value::Null, "{private:?}");
    assert!(private[1]["command"].is_string(), "{private:?}");
}

#[test]
fn all_descendants_are_counted_and_private_ones_are_marked() {
    need_root();
    let scratch = Scratch::new();
    let denet = denet_of(&scratch);
    let readers = readers(&scratch);
    let Reader { program, file, .. } = &readers[0];
    let mut command = as_nobody(&denet);
    command.args(["--json", "--top", "0", "--enable-ebpf", "run", "--"]);
    let done = output(
        command
            .args(["sh", "-c", "\"$0\" \"$1\" >/dev/null; cat /dev/null"])
            .arg(program)
            .arg(file),
    );
    let summary = summary(&done);
    let processes = summary["ebpf"]["processes"]
        .as_array()
        .expect("processes")
        .clone();
    let of = |name: &str| {
        processes
            .iter()
            .find(|it| it["command"] == name)
            .unwrap_or(&Value::Null)
            .clone()
    };
    assert!(
        of("setuid")["private"] == true && of("setuid")["total"].as_u64() > Some(20),
        "{processes:?}"
    );
    assert_eq!(of("cat")["private"], Value::Null, "{processes:?}");
    let mut command = as_nobody(&denet);
    command
        .args(["--enable-ebpf", "run", "--"])
        .arg(program)
        .arg(file);
    let report = stderr(&output(&mut command));
    let report = report.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(
        report.contains("scope") && report.contains("own: only what ptrace(2) would show you"),
        "{report}"
    );
    assert!(report.contains("1 process that is not yours"), "{report}");
}

/// Report and records of bash, which connects as the user and, as a setuid copy, as another user.
fn connecting(scratch: &Scratch, denet: &Path) -> (String, Vec<Value>) {
    let other = copy(Path::new("/bin/bash"), &scratch.path("other"));
    chown(&other, Some(OTHER), None).expect("root");
    mode(&other, 0o4755);
    let script = "$0 -p -c 'exec 3<>/dev/udp/127.0.0.1/9'; exec 3<>/dev/udp/127.0.0.1/7";
    let watch = |options: &[&str]| {
        let mut command = as_nobody(denet);
        command.args(options);
        command.args(["monitor", "net", "--", "bash", "-c", script]);
        output(command.arg(&other))
    };
    let report = stderr(&watch(&[]));
    (report, records(&stdout(&watch(&["--json"]))))
}

#[test]
fn addresses_of_private_processes_are_not_shown() {
    need_root();
    if is_locked_down() {
        return;
    }
    let scratch = Scratch::new();
    let denet = denet_of(&scratch);
    let (report, records) = connecting(&scratch, &denet);
    let table = report.split_once("REMOTE").expect("a table").1;
    assert!(
        table.contains("127.0.0.1:7 ") && !table.contains("127.0.0.1:9 "),
        "{report}"
    );
    assert!(table.contains("<private>"), "{report}");
    let of = |command: &str| {
        let mut found = records.iter().filter(|it| it["family"] == "inet");
        let found = found.find(|it| it["command"] == command);
        found.unwrap_or_else(|| unreachable!("{command}: {records:?}"))
    };
    let (shown, hidden) = (of("bash"), of("other"));
    assert_eq!(shown["remote"]["port"], 7, "{shown}");
    assert_eq!(hidden["remote"], json!({"private": true}), "{hidden}");
    assert_eq!(hidden["local"], Value::Null, "{hidden}");
    assert_eq!(hidden["calls"]["connect"], 1, "{hidden}");
}

/// A shell of the user's, whose child has more privileges and reads what the shell was given.
struct Shell {
    shell: Child,
    child: u32,
}

impl Shell {
    fn start(scratch: &Scratch) -> Self {
        let program = &readers(scratch)[0].program;
        let mut shell = as_nobody(Path::new("/bin/sh"));
        shell.args(["-c", "\"$0\"; :"]).arg(program);
        let shell = shell.stdin(Stdio::piped()).spawn().expect("it starts");
        let child = wait_for("it has a child that reads", || {
            let path = format!("/proc/{0}/task/{0}/children", shell.id());
            let child = fs::read_to_string(path).ok()?.trim().parse().ok()?;
            blocks_in(child, "setuid", libc::SYS_read).then_some(child)
        });
        Self { shell, child }
    }
}

/// A file that every user may write.
fn shared(scratch: &Scratch) -> PathBuf {
    let out = scratch.path("records");
    fs::write(&out, "").expect("our own folder");
    mode(&out, 0o666);
    out
}

#[test]
fn a_call_in_progress_that_may_not_be_shown_is_counted() {
    need_root();
    let scratch = Scratch::new();
    let denet = denet_of(&scratch);
    let Shell { mut shell, child } = Shell::start(&scratch);
    let out = shared(&scratch);
    let mut trace = as_nobody(&denet);
    trace.args(["--quiet", "--out"]).arg(&out);
    trace.args(["trace", "-p"]).arg(shell.id().to_string());
    let mut trace = trace.spawn().expect("denet starts");
    wait_until("denet is attached", || {
        fs::metadata(&out).is_ok_and(|file| file.len() > 0)
    });
    send(&trace, Signal::SIGINT);
    assert_eq!(trace.wait().expect("it ends").code(), Some(130));
    drop(shell.stdin.take());
    shell.wait().expect("it ends");
    let records = records(&fs::read_to_string(&out).expect("records"));
    let summary = records.last().expect("a summary");
    assert!(summary["lost"]["unseen"].as_u64() >= Some(1), "{summary}");
    assert_eq!(summary["complete"], false, "{summary}");
    let of_child = |record: &&Value| record["pid"] == child;
    let shown = records[1..].iter().filter(of_child).count();
    assert_eq!(shown, 0, "{records:?}");
}

#[test]
fn running_children_that_are_private_are_marked() {
    need_root();
    let scratch = Scratch::new();
    let denet = denet_of(&scratch);
    let Shell { mut shell, child } = Shell::start(&scratch);
    let out = shared(&scratch);
    let mut attach = as_nobody(&denet);
    attach.args(["--enable-ebpf", "--quiet", "--out"]).arg(&out);
    attach.arg("attach").arg(shell.id().to_string());
    let mut attach = attach.spawn().expect("denet starts");
    wait_until("denet is attached", || {
        fs::metadata(&out).is_ok_and(|file| file.len() > 0)
    });
    drop(shell.stdin.take());
    shell.wait().expect("it ends");
    assert!(attach.wait().expect("it ends").success());
    let records = records(&fs::read_to_string(&out).expect("records"));
    let summary = records.last().expect("a summary");
    let processes = summary["ebpf"]["processes"].as_array().expect("a list");
    let of = |pid: u32| processes.iter().find(|it| it["pid"] == pid);
    let marked = |pid| of(pid).map(|it| it["private"] == true);
    assert_eq!(marked(child), Some(true), "{processes:?}");
    // What it waits in is not read.
    let waiting = summary["ebpf"]["in_progress"].as_array().expect("a list");
    assert!(waiting.iter().all(|it| it["pid"] != child), "{summary}");
    assert_eq!(summary["ebpf"]["in_progress_unseen"], 1, "{summary}");
    assert_eq!(marked(shell.id()), Some(false), "{processes:?}");
}

#[test]
fn once_the_command_runs_denet_has_no_privileges_and_cannot_be_traced() {
    need_root();
    let scratch = Scratch::new();
    let denet = denet_of(&scratch);
    for options in [&[][..], &["--enable-ebpf"]] {
        let mut command = as_nobody(&denet);
        command.args(options).args(["run", "--", "cat"]);
        command.stdin(Stdio::piped()).stderr(Stdio::null());
        let mut running = command.spawn().expect("it starts");
        let pid = running.id();
        wait_until("the command reads", || {
            let path = format!("/proc/{pid}/task/{pid}/children");
            let children = fs::read_to_string(path).unwrap_or_default();
            let mut children = children.split_whitespace().filter_map(|id| id.parse().ok());
            children.any(|child| blocks_in(child, "cat", libc::SYS_read))
        });
        let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("it runs");
        let permitted = status.lines().find_map(|it| it.strip_prefix("CapPrm:"));
        let permitted = u64::from_str_radix(permitted.expect("a set").trim(), 16).expect("bits");
        // Before Linux 5.19 CAP_BPF (39) is kept.
        assert_eq!(permitted & !(1 << 39), 0, "{options:?}");
        let environ = fs::metadata(format!("/proc/{pid}/environ")).expect("it runs");
        assert_eq!(environ.uid(), 0, "{options:?}: it is dumpable");
        drop(running.stdin.take());
        assert!(running.wait().expect("it ends").success());
    }
}

/// A process of this user that waits.
pub struct Waiting(Child);

impl Waiting {
    pub fn start(uid: u32) -> Self {
        Self::of(uid, Path::new("/bin/cat"))
    }

    /// A process of the user, with capabilities that denet has and the user does not.
    fn more_capable() -> Self {
        let caps = "+perfmon,+bpf";
        let nobody = NOBODY.to_string();
        let mut command = Command::new("setpriv");
        command.args(["--reuid", &nobody, "--regid", &nobody, "--clear-groups"]);
        command.args(["--inh-caps", caps, "--ambient-caps", caps, "cat"]);
        Self::reading(&mut command, "cat")
    }

    fn of(uid: u32, program: &Path) -> Self {
        let mut command = Command::new(program);
        command.uid(uid).gid(uid);
        let name = program
            .file_name()
            .and_then(|name| name.to_str())
            .expect("a name");
        Self::reading(&mut command, name)
    }

    fn reading(command: &mut Command, name: &str) -> Self {
        command.current_dir("/").stdin(Stdio::piped());
        let child = command.stdout(Stdio::null()).spawn();
        let waiting = Self(child.expect("it starts"));
        wait_until("it reads", || {
            blocks_in(waiting.0.id(), name, libc::SYS_read)
        });
        waiting
    }

    pub fn pid(&self) -> String {
        self.0.id().to_string()
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_cgroup_with_another_users_process_is_refused() {
    need_root();
    let scratch = Scratch::new();
    let denet = denet_of(&scratch);
    let group = Group::new();
    let attempt = |words: &[&str]| {
        let mut command = as_nobody(&denet);
        command.args(["--duration", "0.1"]).args(words);
        command.args(["--cgroup", &group.folder()]);
        output(command.stdin(Stdio::null()))
    };
    let verbs: [&[&str]; 2] = [&["--enable-ebpf", "attach"], &["monitor", "exec"]];
    let own = Waiting::start(NOBODY);
    group.join(own.0.id());
    for verb in verbs {
        let done = attempt(verb);
        assert_ne!(done.status.code(), Some(3), "{verb:?}: {}", stderr(&done));
    }
    let other = Waiting::start(0);
    group.join(other.0.id());
    for verb in verbs {
        let done = attempt(verb);
        let report = stderr(&done);
        assert_eq!(done.status.code(), Some(3), "{verb:?}: {report}");
        assert!(
            report.contains("[not-yours]") && report.contains(&other.pid()),
            "{verb:?}: {report}"
        );
    }
}

#[test]
fn only_the_users_own_processes_are_attached_to() {
    need_root();
    let scratch = Scratch::new();
    let denet = denet_of(&scratch);
    let attempt = |words: &[&str], pid: &str| {
        let mut command = as_nobody(&denet);
        command.args(["--duration", "0.1"]).args(words).arg(pid);
        output(command.stdin(Stdio::null()))
    };
    let verbs: [&[&str]; 4] = [
        &["--enable-ebpf", "attach"],
        &["trace", "--pid"],
        &["monitor", "exec", "--pid"],
        &["monitor", "net", "--pid"],
    ];
    let own = Waiting::start(NOBODY);
    for verb in verbs {
        let done = attempt(verb, &own.pid());
        assert_ne!(done.status.code(), Some(3), "{verb:?}: {}", stderr(&done));
    }
    let refused = |words: &[&str], target: &str| {
        let done = attempt(words, target);
        let told = stderr(&done);
        assert_eq!(done.status.code(), Some(3), "{words:?} {target}: {told}");
        assert!(
            told.contains("[not-yours]") && told.contains("scope=any"),
            "{words:?} {target}: {told}"
        );
    };
    let mut others = vec![Waiting::start(OTHER), Waiting::start(0)];
    others.extend(
        readers(&scratch)
            .iter()
            .map(|reader| Waiting::of(NOBODY, &reader.program)),
    );
    others.push(Waiting::more_capable());
    for other in &others {
        for verb in verbs {
            refused(verb, &other.pid());
        }
    }
    let all: [&[&str]; 3] = [
        &["--enable-ebpf", "attach", "--all"],
        &["monitor", "exec"],
        &["monitor", "net"],
    ];
    for words in all {
        let mut command = as_nobody(&denet);
        let done = output(
            command
                .args(["--duration", "0.1"])
                .args(words)
                .stdin(Stdio::null()),
        );
        assert_eq!(done.status.code(), Some(3), "{words:?}: {}", stderr(&done));
        assert!(
            stderr(&done).contains("[not-yours]"),
            "{words:?}: {}",
            stderr(&done)
        );
    }
    // Without privileges, denet shows only what /proc shows everybody.
    let done = attempt(&["attach"], &others[1].pid());
    assert!(done.status.success(), "{}", stderr(&done));
}

#[test]
fn an_exec_while_denet_attaches_reveals_nothing() {
    need_root();
    let scratch = Scratch::new();
    let denet = denet_of(&scratch);
    let own = copy(load(), &scratch.path("own"));
    let others = copy(load(), &scratch.path("others"));
    chown(&others, Some(OTHER), None).expect("root");
    mode(&own, 0o755);
    mode(&others, 0o4755);
    // Until denet has attached often enough between two executions.
    let (mut seen, wanted) = (0, if in_guest() { 1 } else { 10 });
    while seen < wanted {
        let mut command = Command::new(&own);
        command.uid(NOBODY).gid(NOBODY).current_dir("/");
        command.args(["in-turn", "400"]).arg(&own).arg(&others);
        let mut running = command.stdin(Stdio::null()).spawn().expect("it starts");
        let mut trace = as_nobody(&denet);
        trace.args(["trace", "--pid", &running.id().to_string()]);
        let told = stderr(&output(trace.stdin(Stdio::null())));
        running.wait().expect("it ends");
        assert!(!told.contains(SECRET), "{told}");
        seen += usize::from(told.contains("<private>") && told.contains("execve(\""));
    }
}

/// Runs denet in a mount namespace where /etc is a copy that was changed by the commands in `make`.
fn with_config(scratch: &Scratch, denet: &Path, make: &str, pid: &str) -> Output {
    let script = format!(
        "set -e; mount --make-rprivate /; mkdir -p \"$3\"/etc; cp /etc/passwd /etc/group \"$3\"/etc; cd \"$3\"/etc; \
         {make}; cd /; mount --bind \"$3\"/etc /etc; exec setpriv --reuid {NOBODY} --regid {NOBODY} --clear-groups \
         \"$1\" --duration 0.1 trace --pid \"$2\""
    );
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c", &script, "sh"]);
    command
        .arg(denet)
        .arg(pid)
        .arg(&scratch.0)
        .env_remove("RUST_LOG");
    output(command.stdin(Stdio::null()))
}

#[test]
fn only_the_administrator_can_lift_the_limit() {
    need_root();
    let folders = Scratch::new();
    let denet = denet_of(&folders);
    let other = Waiting::start(OTHER);
    let any = "echo 'scope = \"any\"' >denet.toml; chmod 644 denet.toml";
    let scratch = Scratch::new();
    let allowed = with_config(&scratch, &denet, any, &other.pid());
    assert_ne!(allowed.status.code(), Some(3), "{}", stderr(&allowed));
    let refused = |make: &str, words: &str| {
        let scratch = Scratch::new();
        let done = with_config(&scratch, &denet, make, &other.pid());
        let told = stderr(&done);
        assert_eq!(done.status.code(), Some(3), "{make}: {told}");
        assert!(
            told.contains("[not-yours]") && told.contains(words),
            "{make}: {told}"
        );
    };
    refused("true", "not-yours");
    refused("echo 'scope = \"own\"' >denet.toml", "not-yours");
    let ignored = |make: &str, words: &str| {
        refused(
            &format!("{any}; {make}"),
            &format!("/etc/denet.toml is ignored: {words}"),
        );
    };
    ignored(
        "chmod o+w denet.toml",
        "users other than root can write to it",
    );
    ignored(
        &format!("chown {NOBODY} denet.toml"),
        &format!("it belongs to uid {NOBODY}"),
    );
    ignored(
        "mv denet.toml x; ln -s x denet.toml",
        "it is a symbolic link",
    );
    ignored(
        "rm denet.toml; mkfifo denet.toml",
        "it is not a regular file",
    );
    ignored("echo 'scope = everyone' >denet.toml", "");
    ignored("chmod o+w .", "");
}
