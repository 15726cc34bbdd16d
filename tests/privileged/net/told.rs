//! What `denet monitor net` told of the program that keeps account, and whether that is all.

use std::collections::{BTreeMap, HashMap};
use std::process::Stdio;

use serde_json::Value;

use crate::need_root;
use crate::support::{
    Scratch, denet, output, records, stderr, stdout, talker, without_skipped_runs,
};

/// What a run told.
pub struct Told {
    pub endpoints: Vec<Value>,
    pub calls: Vec<Value>,
    pub summary: Value,
    /// What the program said.
    pub program: Vec<String>,
}

/// Bytes in and out.
pub type Bytes = (u64, u64);

impl Told {
    pub fn of(text: &str) -> Self {
        let records = records(text);
        let of = |kind: &str| {
            let its = records.iter().filter(|record| record["kind"] == kind);
            its.cloned().collect::<Vec<_>>()
        };
        assert_eq!(records[0]["kind"], "metadata");
        assert_eq!(records[0]["monitor"], "net");
        let own = text.lines().filter(|line| !line.starts_with('{'));
        Self {
            endpoints: of("endpoint"),
            calls: of("socket"),
            summary: records.last().cloned().expect("a summary"),
            program: own.map(ToOwned::to_owned).collect(),
        }
    }

    /// By socket, of one process or of all.
    pub fn bytes(&self, pid: Option<u64>) -> BTreeMap<u64, Bytes> {
        let mut bytes = BTreeMap::new();
        for it in &self.endpoints {
            if pid.is_some() && it["pid"].as_u64() != pid {
                continue;
            }
            let Some(inode) = it["inode"].as_u64() else {
                continue;
            };
            let (sum_in, sum_out) = bytes.entry(inode).or_insert((0, 0));
            *sum_in += number(&it["bytes_in"]);
            *sum_out += number(&it["bytes_out"]);
        }
        bytes
    }

    /// As the program kept account: by process, where it says which, and by socket.
    pub fn expected(&self) -> HashMap<Option<u64>, BTreeMap<u64, Bytes>> {
        let mut process = None;
        let mut expected: HashMap<_, BTreeMap<_, _>> = HashMap::new();
        for line in &self.program {
            let words: Vec<_> = line.split(' ').collect();
            let at = |index: usize| words[index].parse::<u64>().expect("a number");
            match words[0] {
                "process" => process = Some(at(1)),
                "socket" => {
                    let sockets = expected.entry(process).or_default();
                    sockets.insert(at(1), (at(2), at(3)));
                }
                _ => {}
            }
        }
        expected
    }

    /// The row with this remote port.
    pub fn to_port(&self, port: u64) -> Vec<&Value> {
        let its = self.endpoints.iter();
        its.filter(|it| it["remote"]["port"] == port).collect()
    }
}

pub fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| unreachable!("{value}"))
}

pub fn watch(options: &[&str], mode: &[&str]) -> Told {
    need_root();
    let watched = || {
        let scratch = Scratch::new();
        let mut command = denet(["--json", "monitor", "net"]);
        command.args(options).arg("--").arg(talker()).args(mode);
        let done = output(command.current_dir(&scratch.0));
        assert!(done.status.success(), "{}", stderr(&done));
        let told = Told::of(&stdout(&done));
        assert_eq!(told.summary["kind"], "summary");
        told
    };
    without_skipped_runs(watched, |told| {
        told.summary["lost"]["skipped_runs"].as_u64()
    })
}

/// Confidentiality lockdown forbids to read what a descriptor is: there each test is that this is said.
pub fn is_forbidden() -> bool {
    let lockdown = std::fs::read_to_string("/sys/kernel/security/lockdown").unwrap_or_default();
    if !lockdown.contains("[confidentiality]") {
        return false;
    }
    need_root();
    let done = output(denet(["monitor", "net", "--", "true"]).stdin(Stdio::null()));
    assert_eq!(done.status.code(), Some(3), "{}", stderr(&done));
    assert!(stderr(&done).contains("[lockdown]"), "{}", stderr(&done));
    true
}

/// Every byte is where it belongs, and there is no other.
pub fn exact(told: &Told) {
    assert_eq!(told.summary["complete"], true, "{}", told.summary);
    for (pid, sockets) in told.expected() {
        let seen = told.bytes(pid);
        for (inode, bytes) in &sockets {
            let of = seen.get(inode).copied().unwrap_or_default();
            assert_eq!(of, *bytes, "process {pid:?}, socket {inode}");
        }
        let others = seen
            .iter()
            .filter(|(inode, _)| !sockets.contains_key(inode));
        assert!(pid.is_some() || others.clone().all(|(_, bytes)| *bytes == (0, 0)));
    }
    for quiet in [
        "calls_in_progress",
        "connects_in_progress",
        "bytes_untracked",
        "lengths_unknown",
        "calls_untracked",
        "calls_unread",
    ] {
        assert_eq!(told.summary[quiet], 0, "{quiet}");
    }
}
