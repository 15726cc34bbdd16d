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

pub mod escapes;
pub mod processes;
pub mod wait;

/// The binary under test.
pub const DENET: &str = env!("CARGO_BIN_EXE_denet");

/// The smoke test.
pub const EBPF_TEST: &str = env!("CARGO_BIN_EXE_ebpf_test");
pub const EBPF_DIAG: &str = env!("CARGO_BIN_EXE_ebpf_diag");

/// In the environment of what this process starts, by which it is known from what others have started.
pub fn mark() -> (&'static str, String) {
    ("DENET_TEST_OF", std::process::id().to_string())
}

/// `denet` with arguments, its output to be looked at.
pub fn denet<S: AsRef<OsStr>>(arguments: impl IntoIterator<Item = S>) -> Command {
    let (mark, value) = mark();
    let mut command = Command::new(DENET);
    command
        .args(arguments)
        .env(mark, value)
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

/// The kind of each.
pub fn kinds(records: &[Value]) -> Vec<&str> {
    records
        .iter()
        .filter_map(|record| record["kind"].as_str())
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

/// The program of `tests/workloads/load.c`, which knows what it uses.
pub fn load() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| compile("load", &[]))
}

/// The program of `tests/workloads/net.c`, which keeps account of what it sends and receives.
pub fn talker() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| compile("net", &["-pthread"]))
}

/// The program of `tests/workloads/usage.c`, whose processes end in every way.
pub fn usage() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| compile("usage", &["-pthread"]))
}

/// `tests/workloads/calls-*.c`, which make many calls: `program` or `flags`.
pub fn calls_of(name: &str) -> PathBuf {
    compile(&format!("calls-{name}"), &["-static", "-w"])
}

fn compile(name: &str, flags: &[&str]) -> PathBuf {
    if let Some(brought) = std::env::var_os("DENET_WORKLOADS") {
        return Path::new(&brought).join(name);
    }
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let (target, fresh) = (
        folder.join(name),
        folder.join(format!("{name}.{}", std::process::id())),
    );
    let source = name.strip_suffix("-static").unwrap_or(name);
    let source = format!("{}/tests/workloads/{source}.c", env!("CARGO_MANIFEST_DIR"));
    let mut cc = Command::new("cc");
    cc.args(["-O1", "-o"]).arg(&fresh).arg(source).args(flags);
    let built = output(&mut cc);
    assert!(built.status.success(), "{}", stderr(&built));
    // Another run may execute the one that is there.
    fs::rename(&fresh, &target).expect("our own folder");
    target
}

/// An object with the XDP program `pass`, which lets everything pass: no compiler for eBPF is needed.
pub fn xdp_object() -> Vec<u8> {
    const CODE: [u64; 2] = [0x2_0000_00b7, 0x95];
    const NAMES: &[u8] = b"\0xdp\0pass\0.symtab\0.strtab\0\0\0\0\0\0\0";
    // A global function in section 1.
    const SYMBOLS: [u64; 6] = [0, 0, 0, 5 | 0x12 << 32 | 1 << 48, 0, 16];
    const CODE_AT: u64 = 64;
    const SYMBOLS_AT: u64 = CODE_AT + size_of_val(&CODE) as u64;
    const NAMES_AT: u64 = SYMBOLS_AT + size_of_val(&SYMBOLS) as u64;
    const SECTIONS_AT: u64 = NAMES_AT + NAMES.len() as u64;
    // Relocatable, for BPF; four sections, names in the last one.
    let header = [1 | 247 << 16 | 1 << 32, 0, 0, SECTIONS_AT];
    let header = [&header[..], &[64 << 32, 64 << 16 | 4 << 32 | 3 << 48]].concat();
    let section =
        |name: u64, kind: u64, flags: u64, at: u64, bytes: usize, link: u64, each: u64| {
            [name | kind << 32, flags, 0, at, bytes as u64, link, 8, each]
        };
    let sections = [
        [0; 8],
        section(1, 1, 6, CODE_AT, size_of_val(&CODE), 0, 0),
        section(10, 2, 0, SYMBOLS_AT, size_of_val(&SYMBOLS), 3 | 1 << 32, 24),
        section(18, 3, 0, NAMES_AT, NAMES.len(), 0, 0),
    ];
    let words = |words: &[u64]| words.iter().flat_map(|word| word.to_le_bytes()).collect();
    let parts: [Vec<u8>; 6] = [
        b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0".to_vec(),
        words(&header),
        words(&CODE),
        words(&SYMBOLS),
        NAMES.to_vec(),
        words(sections.as_flattened()),
    ];
    parts.concat()
}

/// The kernel skips programs on a CPU where a process is preempted within bpf(2).
pub fn preempts_programs() -> bool {
    denet::facts::kernel::PREEMPTS_PROGRAMS.is_reached()
}

/// How many runs of programs the kernel skipped, by the summary of `run`.
pub fn skipped_runs(summary: &Value) -> Option<u64> {
    summary["ebpf"]["quality"]["skipped_runs"].as_u64()
}

/// Where the kernel preempts programs, up to three times until it has skipped nothing; elsewhere once.
/// `skipped` finds the number in what came of it, which denet has to tell.
pub fn without_skipped_runs<T>(
    mut run: impl FnMut() -> T,
    skipped: impl Fn(&T) -> Option<u64>,
) -> T {
    for _ in 0..2 {
        let came = run();
        if !(preempts_programs() && skipped(&came) > Some(0)) {
            return came;
        }
    }
    run()
}
