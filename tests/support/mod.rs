//! What the test tiers share: the binary, its output, a place for files.
#![expect(clippy::panic, reason = "a test that cannot go on says so")]

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::Value;

/// The binary under test.
pub const DENET: &str = env!("CARGO_BIN_EXE_denet");

/// The smoke test.
pub const EBPF_TEST: &str = env!("CARGO_BIN_EXE_ebpf_test");

/// `denet` with arguments, its output to be looked at.
pub fn denet<S: AsRef<OsStr>>(arguments: impl IntoIterator<Item = S>) -> Command {
    let mut command = Command::new(DENET);
    command
        .args(arguments)
        .stdin(Stdio::null())
        .env_remove("RUST_LOG");
    command
}

/// Runs to the end.
pub fn output(command: &mut Command) -> Output {
    command
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"))
}

pub fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

pub fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// A folder of its own, world-readable, gone at the end; on a file system that honours set-id bits
/// and file capabilities.
pub struct Scratch(pub PathBuf);

impl Scratch {
    pub fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let honours = |place: &&str| {
            let flags = nix::sys::statvfs::statvfs(*place).map(|stat| stat.flags());
            flags.is_ok_and(|flags| !flags.contains(nix::sys::statvfs::FsFlags::ST_NOSUID))
        };
        let place = ["/tmp", "/var/tmp"]
            .into_iter()
            .find(honours)
            .unwrap_or("/tmp");
        let name = format!(
            "denet-test-{}-{}",
            std::process::id(),
            NEXT.fetch_add(1, Ordering::Relaxed)
        );
        let path = Path::new(place).join(name);
        fs::create_dir(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("our own folder");
        Self(path)
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Makes an executable file, by another process: a descriptor of ours, open for writing, might be
/// inherited by a command that another test starts just then, and the file be "busy".
pub fn executable(path: &Path, content: &[u8]) {
    let mut write = Command::new("sh");
    write
        .args(["-c", "cat >\"$0\" && chmod 755 \"$0\""])
        .arg(path)
        .stdin(Stdio::piped());
    let mut child = write.spawn().unwrap_or_else(|error| panic!("sh: {error}"));
    let mut to = child.stdin.take().expect("piped");
    to.write_all(content).expect("sh reads");
    drop(to);
    assert!(
        child.wait().expect("sh ends").success(),
        "{}",
        path.display()
    );
}

/// The records of a run with `--json`, apart from what the command wrote.
pub fn records(stdout: &str) -> Vec<Value> {
    let lines = stdout.lines().filter(|line| line.starts_with(r#"{"kind""#));
    lines
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .collect()
}

/// The last record, which must be the summary.
pub fn summary(output: &Output) -> Value {
    let last = records(&stdout(output)).pop();
    match last {
        Some(summary) if summary["kind"] == "summary" => summary,
        other => panic!(
            "no summary but {other:?}\nstatus {}\n{}",
            output.status,
            stderr(output)
        ),
    }
}

/// Counts by name, `name:i386` for those of the 32-bit entry.
pub type Counts = BTreeMap<String, u64>;

/// Every count of the summary, after checking that all its sums agree.
pub fn counts(summary: &Value) -> Counts {
    let ebpf = &summary["ebpf"];
    let count = |value: &Value| {
        value
            .as_u64()
            .unwrap_or_else(|| panic!("no count: {value}"))
    };
    let all = |list: &Value| {
        list.as_array()
            .unwrap_or_else(|| panic!("no list: {list}"))
            .clone()
    };
    let total = count(&ebpf["syscalls"]["total"]);
    let categories = ebpf["syscalls"]["by_category"]
        .as_object()
        .map(|map| map.values().map(count).sum::<u64>());
    let processes: u64 = all(&ebpf["processes"])
        .iter()
        .map(|process| count(&process["total"]))
        .sum();
    let top = all(&ebpf["syscalls"]["top_syscalls"]);
    let calls: u64 = top.iter().map(|call| count(&call["count"])).sum();
    assert_eq!(
        (categories, processes, calls),
        (Some(total), total, total),
        "sums disagree"
    );
    top.iter()
        .map(|call| {
            let name = call["name"].as_str().unwrap_or_default();
            let abi = call["abi"]
                .as_str()
                .map_or(String::new(), |abi| format!(":{abi}"));
            (format!("{name}{abi}"), count(&call["count"]))
        })
        .collect()
}

/// Whether this runs in a guest of tests/kernels.
pub fn in_guest() -> bool {
    std::env::var_os("DENET_TEST_GUEST").is_some()
}

/// The workload program, compiled once, or brought along to where there is no compiler.
pub fn workload() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| compile("workload", &[]))
}

/// The same, linked statically.
pub fn static_workload() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| compile("workload-static", &["-static"]))
}

fn compile(name: &str, flags: &[&str]) -> PathBuf {
    if let Some(brought) = std::env::var_os("DENET_WORKLOADS") {
        return Path::new(&brought).join(name);
    }
    let target =
        Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}", std::process::id()));
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/privileged/workload.c");
    let mut cc = Command::new("cc");
    cc.args(["-O1", "-o"]).arg(&target).arg(source).args(flags);
    let built = output(&mut cc);
    assert!(built.status.success(), "{}", stderr(&built));
    target
}
