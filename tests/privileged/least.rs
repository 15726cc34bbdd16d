//! Without root: what is refused and why, and that two file capabilities are all it takes.

use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Once;

use denet::sys::release::Release;

use crate::need_root;
use crate::support::{DENET, Scratch, counts, output, records, stderr, stdout, summary, workload};

pub const NOBODY: u32 = 65534;

/// A copy of denet with file capabilities.
pub fn installed(scratch: &Scratch, capabilities: Option<&str>) -> PathBuf {
    installed_from(DENET, scratch, capabilities)
}

/// A copy of a binary with file capabilities.
pub fn installed_from(from: &str, scratch: &Scratch, capabilities: Option<&str>) -> PathBuf {
    let from = Path::new(from);
    let binary = scratch.0.join(from.file_name().unwrap_or_default());
    copy(from, &binary);
    if let Some(capabilities) = capabilities {
        let set = output(Command::new("setcap").arg(capabilities).arg(&binary));
        assert!(set.status.success(), "{}", stderr(&set));
    }
    binary
}

/// Shell commands, for a mount namespace of its own, by which denet shows every user all processes.
pub fn scope_any(folder: &Path) -> String {
    format!(
        "mkdir {0} && cp -a /etc/. {0} && echo 'scope = \"any\"' >{0}/denet.toml && chmod 644 {0}/denet.toml && \
         mount --bind {0} /etc",
        folder.display()
    )
}

/// By another process: a descriptor of ours, open for writing, might be inherited by a command that
/// another test starts just then, and the copy be "busy" when it is to be executed.
pub fn copy(from: &Path, to: &Path) {
    let copied = output(Command::new("cp").arg(from).arg(to));
    assert!(copied.status.success(), "{}", stderr(&copied));
}

/// The workload where everyone may execute it.
fn reachable_workload(scratch: &Scratch) -> PathBuf {
    let copy = scratch.path("workload");
    self::copy(workload(), &copy);
    copy
}

/// How many runs of programs the kernel skipped: none, but where a user without root has only raw
/// tracepoints and the kernel preempts those (Debian's 7.2, docs/kernels.md).
pub fn skipped(summary: &serde_json::Value) -> u64 {
    let quality = &summary["ebpf"]["quality"];
    let skipped = quality["skipped_runs"].as_u64().expect("a count");
    let may_skip = std::env::var("DENET_TEST_GUEST").is_ok_and(|guest| guest == "sid");
    assert_eq!(quality["complete"], skipped == 0, "{quality}");
    assert!(skipped == 0 || may_skip, "{quality}");
    skipped
}

/// Before Linux 5.11 maps count as locked memory, of which a user may have little: what then happens
/// is for tests/kernels. Elsewhere it does not matter, and root in a container may not raise it.
pub fn raise_memlock() {
    if Release(5, 11).is_reached() {
        return;
    }
    static RAISED: Once = Once::new();
    RAISED.call_once(|| {
        let own = std::process::id().to_string();
        let limit = "--memlock=unlimited:unlimited";
        output(Command::new("prlimit").args(["--pid", &own, limit]));
    });
}

pub fn as_nobody(binary: &Path) -> Command {
    raise_memlock();
    let mut command = Command::new(binary);
    command
        .uid(NOBODY)
        .gid(NOBODY)
        .current_dir("/")
        .env_remove("RUST_LOG");
    command
}

/// Refused with this finding, before the command ran.
fn assert_refused(output: &Output, id: &str, fix: &str) {
    let text = stderr(output);
    assert_eq!(output.status.code(), Some(3), "{text}");
    assert!(text.contains(&format!("[{id}]")), "not {id}: {text}");
    assert!(text.contains(fix), "no {fix:?}: {text}");
    assert_eq!(stdout(output), "", "the command ran: {text}");
}

const REQUIRE: [&str; 4] = ["--enable-ebpf", "run", "echo", "ran"];

#[test]
fn two_file_capabilities_give_the_full_profile() {
    need_root();
    let scratch = Scratch::new();
    let binary = installed(&scratch, Some("cap_bpf,cap_perfmon=ep"));
    let program = reachable_workload(&scratch);
    let output = output(
        as_nobody(&binary)
            .args(["--enable-ebpf", "--json", "--top", "0", "run"])
            .arg(program)
            .args(["threads", "8", "100"]),
    );
    assert!(output.status.success(), "{}", stderr(&output));
    let summary = summary(&output);
    let seen = counts(&summary)["getppid"];
    assert!(seen <= 800 && seen + skipped(&summary) >= 800, "{seen}");
}

#[test]
fn where_processes_are_hidden_the_refusal_says_so() {
    need_root();
    let scratch = Scratch::new();
    let binary = installed(&scratch, Some("cap_bpf,cap_perfmon=ep"));
    raise_memlock();
    let script = format!(
        "mount -t proc -o hidepid=2 proc /proc && exec setpriv --reuid {NOBODY} --regid {NOBODY} --clear-groups \
         {} --enable-ebpf run echo ran",
        binary.display()
    );
    let refused = output(Command::new("unshare").args(["--mount", "sh", "-c", &script]));
    assert_refused(
        &refused,
        "processes-hidden",
        "mount -o remount,gid=$(id -g) /proc",
    );
}

#[test]
fn the_command_gets_no_capability_and_its_whole_environment() {
    need_root();
    let scratch = Scratch::new();
    let binary = installed(&scratch, Some("cap_bpf,cap_perfmon=ep"));
    let script = "grep CapEff /proc/self/status; echo $TMPDIR $LD_LIBRARY_PATH $LD_PRELOAD $PLAIN";
    let mut command = as_nobody(&binary);
    command.envs([("TMPDIR", "/a"), ("LD_LIBRARY_PATH", "/b"), ("PLAIN", "c")]);
    let output = output(command.args(["--enable-ebpf", "-q", "run", "sh", "-c", script]));
    assert_eq!(
        stdout(&output),
        "CapEff:\t0000000000000000\n/a /b c\n",
        "{}",
        stderr(&output)
    );
}

#[test]
fn capabilities_are_given_up_before_the_command_starts() {
    need_root();
    let scratch = Scratch::new();
    let binary = installed(&scratch, Some("cap_bpf,cap_perfmon=ep"));
    let script = "grep -E 'CapEff|CapPrm' /proc/$PPID/status";
    let run =
        output(as_nobody(&binary).args(["--enable-ebpf", "--json", "run", "sh", "-c", script]));
    let text = stdout(&run);
    // Before Linux 5.19 maps can be read with CAP_BPF only, and it alone is kept.
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").expect("procfs");
    let mut numbers = release
        .split('.')
        .map_while(|number| number.parse::<u32>().ok());
    let old = (numbers.next(), numbers.next()) < (Some(5), Some(19));
    let kept = if old {
        "0000008000000000"
    } else {
        "0000000000000000"
    };
    assert!(
        text.contains(&format!("CapPrm:\t{kept}\nCapEff:\t{kept}\n")),
        "{text}"
    );
    skipped(&summary(&run));
}

#[test]
fn without_capabilities_the_fix_is_a_command_that_mends_it() {
    need_root();
    let scratch = Scratch::new();
    let binary = installed(&scratch, None);
    let refused = output(as_nobody(&binary).args(REQUIRE));
    let fix = format!("setcap cap_bpf,cap_perfmon=ep {}", binary.display());
    assert_refused(
        &refused,
        "file-capabilities-missing",
        &format!("sudo {fix}"),
    );
    let mended = output(Command::new("sh").args(["-c", &fix]));
    assert!(mended.status.success(), "{}", stderr(&mended));
    let run = output(as_nobody(&binary).args(REQUIRE));
    assert_eq!(
        (run.status.code(), stdout(&run).as_str()),
        (Some(0), "ran\n"),
        "{}",
        stderr(&run)
    );
}

#[test]
fn auto_goes_on_and_says_why_not() {
    need_root();
    let scratch = Scratch::new();
    let binary = installed(&scratch, None);
    let output =
        output(as_nobody(&binary).args(["--enable-ebpf=auto", "--json", "run", "echo", "ran"]));
    assert_eq!(output.status.code(), Some(0));
    assert!(stdout(&output).contains("\nran\n"), "{}", stdout(&output));
    assert!(
        stderr(&output).contains("going on without the syscall profile"),
        "{}",
        stderr(&output)
    );
    let metadata = &records(&stdout(&output))[0]["ebpf"];
    assert_eq!(
        (&metadata["mode"], &metadata["backend"]),
        (&"auto".into(), &serde_json::Value::Null)
    );
    assert_eq!(metadata["why_not"][0]["id"], "file-capabilities-missing");
    assert!(summary(&output).get("ebpf").is_none());
    let in_text = as_nobody(&binary)
        .args(["--enable-ebpf=auto", "run", "true"])
        .output();
    let text = stderr(&in_text.expect("denet starts"));
    assert!(
        text.contains("not counted: eBPF cannot be used here"),
        "{text}"
    );
}

#[test]
fn one_capability_of_two() {
    need_root();
    for only in ["cap_bpf=ep", "cap_perfmon=ep"] {
        let scratch = Scratch::new();
        let binary = installed(&scratch, Some(only));
        assert_refused(
            &output(as_nobody(&binary).args(REQUIRE)),
            "file-capabilities-partial",
            "setcap",
        );
    }
}

#[test]
fn permitted_but_not_effective() {
    need_root();
    let scratch = Scratch::new();
    let binary = installed(&scratch, Some("cap_bpf,cap_perfmon=p"));
    assert_refused(
        &output(as_nobody(&binary).args(REQUIRE)),
        "file-capabilities-not-effective",
        "=ep",
    );
}

#[test]
fn on_a_nosuid_mount() {
    need_root();
    let scratch = Scratch::new();
    let script = format!(
        "mount -t tmpfs -o nosuid,mode=755 none {0} && cp {DENET} {0}/denet && setcap cap_bpf,cap_perfmon=ep {0}/denet && \
         exec setpriv --reuid {NOBODY} --regid {NOBODY} --clear-groups {0}/denet --enable-ebpf run echo ran",
        scratch.0.display()
    );
    let refused = output(Command::new("unshare").args(["-m", "sh", "-c", &script]));
    assert_refused(&refused, "nosuid-mount", "sudo install");
}

#[test]
fn with_no_new_privs() {
    need_root();
    let scratch = Scratch::new();
    let binary = installed(&scratch, Some("cap_bpf,cap_perfmon=ep"));
    // As nobody first: no_new_privs keeps what a process holds already.
    let refused = output(
        as_nobody(Path::new("/usr/bin/setpriv"))
            .arg("--no-new-privs")
            .arg(&binary)
            .args(REQUIRE),
    );
    assert_refused(&refused, "no-new-privs", "without no_new_privs");
}

#[test]
fn outside_the_bounding_set() {
    need_root();
    let drop = "--bounding-set=-bpf,-perfmon,-sys_admin";
    let refused = output(
        Command::new("setpriv")
            .args([drop, "--inh-caps=-all"])
            .arg(DENET)
            .args(REQUIRE),
    );
    assert_refused(&refused, "bounding-set", "--cap-add BPF");
}

#[test]
fn in_a_user_namespace() {
    need_root();
    let scratch = Scratch::new();
    let binary = installed(&scratch, None);
    let refused = output(
        Command::new("unshare")
            .args(["--user", "--map-root-user"])
            .arg(&binary)
            .args(REQUIRE),
    );
    assert_refused(&refused, "user-namespace", "outside the user namespace");
}

#[test]
fn in_a_pid_namespace_of_its_own() {
    need_root();
    let output = output(
        Command::new("unshare")
            .args(["--pid", "--fork", "--mount-proc"])
            .arg(DENET)
            .args(["--enable-ebpf", "--json", "--top", "0", "run"])
            .arg(workload())
            .args(["children", "5"]),
    );
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(counts(&summary(&output))["getppid"], 15);
}

#[test]
fn seccomp_that_denies_bpf() {
    need_root();
    for errno in ["1", "38"] {
        let refused = output(
            Command::new(workload())
                .args(["deny-bpf", errno, DENET])
                .args(REQUIRE),
        );
        assert_refused(&refused, "seccomp", "seccomp profile");
    }
}
