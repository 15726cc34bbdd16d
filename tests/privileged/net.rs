//! `denet monitor net`: every byte, by process and by both ends. The oracle is the program itself
//! (`net.c`), which keeps account of what its calls return, and the kernel's own tables.

mod edges;
mod ends;
pub mod told;

use std::collections::HashMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use told::{Told, exact, is_forbidden, number, watch};

use crate::attached::Group;
use crate::least::{as_nobody, installed};
use crate::need_root;
use crate::streams::{recorded, targets};
use crate::support::{
    Scratch, denet, in_guest, output, preempts_programs, stderr, stdout, talker,
    without_skipped_runs,
};

#[test]
fn streams_are_exact_to_the_byte() {
    if is_forbidden() {
        return;
    }
    for (mode, address) in [("tcp", "127.0.0.1"), ("tcp6", "::1")] {
        let told = watch(&[], &[mode]);
        exact(&told);
        let client = told.to_port(7001);
        let [client] = client[..] else {
            unreachable!("{:?}", told.endpoints)
        };
        assert!(number(&client["bytes_out"]) > 1 << 16, "it was filled");
        assert_eq!(client["errors"], json!({"send": {"EAGAIN": 1}}));
        assert_eq!(client["connects"]["made"], 1);
        // What the program measured around the call is longer.
        let around = told.program.iter().find_map(|line| {
            let ns = line.strip_prefix("connected ")?.parse::<u64>();
            Some(ns.expect("a number") as f64 / 1000.0)
        });
        let took = client["connects"]["mean_us"].as_f64();
        assert!(took > Some(0.0) && took <= around, "{took:?} {around:?}");
        let mut server = told.to_port(number(&client["local"]["port"]));
        let server = server.pop().expect("the other end");
        assert_eq!(
            (&server["accepted"], &server["protocol"]),
            (&1.into(), &"tcp".into())
        );
        assert_eq!(
            (&server["local"], &server["remote"]),
            (&client["remote"], &client["local"])
        );
        assert_eq!(server["local"], json!({"address": address, "port": 7001}));
        assert!(number(&server["looks"]) > 0);
    }
}

#[test]
fn datagrams_are_exact_to_the_byte() {
    if is_forbidden() {
        return;
    }
    for mode in ["udp", "udp6"] {
        let told = watch(&[], &[mode]);
        exact(&told);
        let senders = told.to_port(7002);
        assert_eq!(senders.len(), 2, "{:?}", told.endpoints);
        let server = told.endpoints.iter().find(|it| it["local"]["port"] == 7002);
        // Its messages came from both; most of its calls did not ask from whom.
        assert_eq!(server.map(|it| &it["bytes_out"]), Some(&0.into()));
        assert_eq!(told.summary["bytes_in"], 2410);
    }
}

#[test]
fn unix_sockets_are_exact_to_the_byte_and_called_by_their_names() {
    if is_forbidden() {
        return;
    }
    let told = watch(&[], &["unix"]);
    exact(&told);
    let with = |field: &str, value: &Value| {
        let its = told.endpoints.iter().filter(|it| it[field] == *value);
        its.map(|it| (number(&it["bytes_in"]), number(&it["bytes_out"])))
            .collect::<Vec<_>>()
    };
    let hostile = json!({
        "path": "evil\u{1b}[31m\n\u{fffd}",
        "path_bytes_b64": "ZXZpbBtbMzFtCv8="
    });
    assert_eq!(with("remote", &hostile), [(0, 12345)]);
    assert_eq!(with("local", &hostile), [(12345, 0), (0, 0)]);
    let hidden = json!({"abstract": "hid\u{1b}[2Jden\u{0}x"});
    assert_eq!(with("remote", &hidden), [(0, 321)]);
    assert_eq!(with("local", &hidden), [(321, 0)]);
    assert_eq!(with("remote", &json!({"path": "n".repeat(108)})), [(0, 99)]);
    let mut pair = told.endpoints.iter().filter(|it| it["type"] == "seqpacket");
    let (one, other) = (pair.next().expect("two"), pair.next().expect("two"));
    assert_eq!(one["peer_inode"], other["inode"]);
    assert_eq!(other["peer_inode"], one["inode"]);
}

/// Whoever was built for it could be started.
fn has_32_bit_entry() -> bool {
    std::path::Path::new("/proc/sys/abi/vsyscall32").exists()
}

#[test]
fn the_32_bit_entry_is_exact_to_the_byte() {
    if is_forbidden() {
        return;
    }
    let told = watch(&["--events"], &["i386"]);
    if told.program.iter().any(|line| line == "none") {
        // This kernel has no 32-bit entry: that much has to be true of its configuration.
        assert!(!has_32_bit_entry());
        return;
    }
    exact(&told);
    let names: Vec<_> = told
        .calls
        .iter()
        .map(|it| (&it["syscall"], &it["abi"]))
        .collect();
    let name = |name: &str| Value::from(name);
    let (i386, write) = (name("i386"), name("write"));
    assert_eq!(names.first(), Some(&(&write, &i386)));
    let (socketcall, recvmsg) = (name("socketcall"), name("recvmsg"));
    assert_eq!(names[1..4], [(&socketcall, &i386); 3]);
    assert_eq!(names[4..], [(&recvmsg, &i386)]);
}

#[test]
fn who_calls_is_whose_traffic_it_is() {
    if is_forbidden() {
        return;
    }
    let told = watch(&[], &["shared"]);
    exact(&told);
    let expected = told.expected();
    assert_eq!(expected.len(), 3, "three processes");
    let to = told.to_port(7005);
    let mut bytes: Vec<_> = to.iter().map(|it| number(&it["bytes_out"])).collect();
    bytes.sort_unstable();
    assert_eq!(bytes, [1, 10, 100]);
    assert!(
        to.iter().all(|it| it["inode"] == to[0]["inode"]),
        "one socket"
    );
}

#[test]
fn calls_that_fail_move_nothing_and_are_told() {
    if is_forbidden() {
        return;
    }
    let told = watch(&[], &["faults"]);
    exact(&told);
    let [none, socket] = &told.endpoints[..] else {
        unreachable!("{:?}", told.endpoints)
    };
    let (none, socket) = if none["inode"].is_null() {
        (none, socket)
    } else {
        (socket, none)
    };
    assert_eq!(
        none["errors"],
        json!({"connect": {"EBADF": 1, "ENOTSOCK": 1}})
    );
    assert_eq!(
        none["remote"],
        json!({"address": "127.0.0.1", "port": 7006})
    );
    assert_eq!(
        socket["errors"],
        json!({
            "receive": {"EAGAIN": 1, "EFAULT": 1},
            "send": {"EFAULT": 2},
            "connect": {"EFAULT": 1},
            "accept": {"EOPNOTSUPP": 1},
            "shutdown": {"ENOTCONN": 1},
        })
    );
    assert_eq!(told.summary["bytes_in"], 0);
    assert_eq!(told.summary["bytes_out"], 0);
}

#[test]
fn threads_that_share_a_socket_lose_no_byte() {
    if is_forbidden() {
        return;
    }
    let count = if in_guest() { "200" } else { "5000" };
    let told = watch(&[], &["contended", count]);
    exact(&told);
    assert!(told.calls.is_empty());
}

#[test]
fn each_call_is_told_in_order_or_counted_as_lost() {
    if is_forbidden() {
        return;
    }
    for count in ["50", if in_guest() { "500" } else { "20000" }] {
        let told = watch(&["--events"], &["contended", count]);
        let lost = number(&told.summary["lost"]["events"]);
        let all = number(&told.summary["calls"]);
        assert_eq!(told.calls.len() as u64 + lost, all);
        assert_eq!(all, 16 * count.parse::<u64>().expect("a number"));
        assert_eq!(told.summary["complete"], lost == 0, "{}", told.summary);
        assert!(count != "50" || lost == 0, "{lost}");
        // Of what is told in full, the order and the sum are exact.
        let missing = gaps(&told.calls);
        assert!(missing <= lost, "{missing} of {lost}");
        if lost == 0 {
            let told_bytes: u64 = told.calls.iter().map(|it| number(&it["bytes"])).sum();
            assert_eq!(told_bytes, all);
        }
    }
}

/// Of each thread the numbers rise, and no call began before the one before it. How many are left out.
fn gaps(calls: &[Value]) -> u64 {
    let mut last: HashMap<u64, (u64, f64)> = HashMap::new();
    let mut missing = 0;
    for call in calls {
        let (seq, time) = (
            number(&call["seq"]),
            call["ts_ms"].as_f64().expect("a time"),
        );
        let before = last.entry(number(&call["tid"])).or_insert((0, 0.0));
        assert!(seq > before.0 && time >= before.1, "{call}");
        missing += seq - before.0 - 1;
        *before = (seq, time);
    }
    assert_eq!(last.len(), 8, "threads");
    missing
}

#[test]
fn what_finds_no_room_is_counted_and_shown() {
    if is_forbidden() {
        return;
    }
    let told = watch(&["--max-endpoints", "50"], &["crowd", "50"]);
    assert_eq!(told.summary["complete"], false);
    assert!(number(&told.summary["lost"]["map_full"]) > 0);
    // The bytes are known still, though not between which ends.
    assert_eq!(told.summary["bytes_in"], 8 * 50 * 100);
    assert_eq!(told.summary["bytes_out"], 8 * 50 * 100);
    let others = told
        .endpoints
        .iter()
        .find(|it| it["remote"] == json!({"others": true}));
    assert!(others.is_some_and(|it| number(&it["bytes_in"]) > 0));
    let mut strict = denet(["--json", "monitor"]);
    strict.args(["net", "--strict", "--max-endpoints", "50", "--"]);
    let done = output(strict.arg(talker()).args(["crowd", "50"]));
    assert_eq!(done.status.code(), Some(4), "{}", stderr(&done));
}

#[test]
fn every_hook_sees_the_same_traffic() {
    if is_forbidden() {
        return;
    }
    for hook in ["raw_tp", "tracepoint"] {
        for mode in ["tcp", "connects", "shared"] {
            exact(&watch(&["--hook", hook], &[mode]));
        }
    }
}

#[test]
fn hostile_names_of_sockets_reach_no_terminal() {
    need_root();
    if is_forbidden() {
        return;
    }
    let scratch = Scratch::new();
    let mut command = denet(["monitor", "net", "--events", "--"]);
    let done = output(command.arg(talker()).arg("unix").current_dir(&scratch.0));
    let text = stderr(&done);
    assert!(text.contains(r"evil\x1b[31m\n\xff"), "{text}");
    assert!(text.contains(r"@hid\x1b[2Jden\x00x"), "{text}");
    assert!(
        !text.contains(|c: char| c.is_control() && c != '\n'),
        "{text:?}"
    );
}

#[test]
fn a_process_that_runs_a_cgroup_and_in_guests_the_whole_machine() {
    need_root();
    if is_forbidden() {
        return;
    }
    let group = Group::new();
    for kind in targets() {
        let mut pid = 0;
        let watched = || {
            let mut target = Command::new(talker())
                .arg("waits")
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn()
                .expect("it starts");
            pid = target.id();
            let mut said = BufReader::new(target.stdout.take().expect("piped")).lines();
            assert_eq!(said.next().expect("a word").expect("text"), "ready");
            let mut stdin = target.stdin.take().expect("piped");
            let text = recorded(&["monitor", "net"], kind, &group, pid, || {
                stdin.write_all(b"x").expect("it waits");
            });
            assert!(target.wait().expect("it ends").success());
            let own: Vec<_> = said.map(|line| line.expect("text")).collect();
            Told::of(&format!("{}\n{text}", own.join("\n")))
        };
        let told = without_skipped_runs(watched, |told| {
            told.summary["lost"]["skipped_runs"].as_u64()
        });
        assert_eq!(told.summary["complete"], true, "{}", told.summary);
        // The call that had begun before denet came is not told: the program leaves it out as well.
        let mine = told.bytes(Some(pid.into()));
        let expected = told.expected();
        assert_eq!(expected.len(), 1, "{expected:?}");
        for (inode, bytes) in &expected[&None] {
            assert_eq!(mine.get(inode), Some(bytes), "{kind}");
        }
    }
}

#[test]
fn what_cannot_be_watched_is_refused() {
    need_root();
    let done = output(denet(["monitor", "net"]).args(["--hook", "kprobe", "--", "true"]));
    assert_eq!(done.status.code(), Some(2));
    let done = output(
        denet(["--btf", "/nonexistent", "monitor", "net", "--", "true"]).stdin(Stdio::null()),
    );
    assert_eq!(done.status.code(), Some(3), "{}", stderr(&done));
    assert!(
        stderr(&done).contains("kernel-without-btf"),
        "{}",
        stderr(&done)
    );
}

#[test]
fn without_root_two_capabilities_are_enough() {
    need_root();
    if is_forbidden() {
        return;
    }
    let scratch = Scratch::new();
    let binary = installed(&scratch, Some("cap_bpf,cap_perfmon=ep"));
    let mut command = as_nobody(&binary);
    let done = output(
        command
            .args(["--json", "monitor", "net", "--"])
            .arg(talker())
            .args(["contended", "20"]),
    );
    assert_eq!(done.status.code(), Some(0), "{}", stderr(&done));
    let told = Told::of(&stdout(&done));
    let skipped = number(&told.summary["lost"]["skipped_runs"]);
    if skipped > 0 {
        // Linux 7 preempts raw tracepoints, and its perf events are for root only.
        assert!(preempts_programs(), "{}", told.summary);
        assert_eq!(told.summary["complete"], false);
        return;
    }
    exact(&told);
    assert_eq!(told.summary["bytes_in"], 160);
}
