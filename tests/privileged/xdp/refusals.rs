//! What cannot be watched, and who may not.

use std::path::Path;
use std::process::{Command, Output};

use denet::sys::release::Release;

use super::lab::{FAR, Lab, NEAR, within};
use super::{frames, pair};
use crate::least::{NOBODY, as_nobody, installed};
use crate::need_root;
use crate::support::{DENET, output, stderr, workload};

fn assert_refused(ran: &Output, code: i32, says: &[&str]) {
    let text = stderr(ran);
    assert_eq!(ran.status.code(), Some(code), "{text}");
    let text: Vec<_> = text.split_whitespace().collect();
    let text = text.join(" ");
    for words in says {
        assert!(text.contains(words), "no {words:?} in {text}");
    }
    assert!(!text.contains("panicked"), "{text}");
}

#[test]
fn no_such_interface() {
    need_root();
    within(|lab| {
        for name in ["nope", "", "e\u{1b}[2Jvil", "a/b", &"x".repeat(5000)] {
            let ran = lab.refused(Command::new(DENET), &[name]);
            assert_refused(&ran, 125, &["no network interface", "lo"]);
            assert!(!stderr(&ran).contains('\u{1b}'), "{:?}", stderr(&ran));
        }
    });
}

#[test]
fn loopback_has_no_driver_that_runs_programs() {
    need_root();
    within(|lab| {
        let ran = lab.refused(Command::new(DENET), &["lo", "--mode", "native"]);
        let says = ["[xdp-not-native]", "lo: EOPNOTSUPP", "--mode generic"];
        assert_refused(&ran, 3, &says);
        denet::sys::netlink::raise(denet::sys::netlink::LOOPBACK).expect("up");
        let mut monitor = lab.monitor(&["lo"]);
        assert_eq!(monitor.first["mode"], "generic");
        let why = monitor.first["not_native"].as_str().expect("a reason");
        assert!(why.contains("EOPNOTSUPP"), "{why}");
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").expect("lo is up");
        let to = socket.local_addr().expect("bound");
        socket.send_to(b"hello", to).expect("sent");
        let record = monitor.until(1);
        assert_eq!(pair(&record["counts"]["udp"]), (1, 14 + 20 + 8 + 5));
        monitor.interrupt();
    });
}

/// The program that is there counts on.
#[test]
fn another_program_is_named_and_left_alone() {
    need_root();
    within(|lab| {
        for (theirs, ours) in [
            ("native", "native"),
            ("native", "generic"),
            ("generic", "auto"),
        ] {
            let mut there = lab.monitor(&[FAR, "--mode", theirs]);
            let id = format!("XDP program {} ({theirs})", there.first["program"]["id"]);
            let ran = lab.refused(Command::new(DENET), &[FAR, "--mode", ours]);
            let says = ["[xdp-busy]", "vb:", &id, "\"denet_xdp\"", "held by link"];
            assert_refused(&ran, 3, &says);
            lab.send(
                NEAR,
                [frames::ethernet(frames::ARP, &frames::arp()).as_slice()],
            );
            there.until(1);
            there.interrupt();
        }
    });
}

#[test]
fn one_that_was_attached_by_netlink_is_respected_too() {
    need_root();
    within(|lab| {
        let place = lab.pinned("kept");
        let place = place.to_str().expect("text");
        lab.monitor(&[FAR, "--pin", place]).interrupt();
        let attached = output(Command::new("bpftool").args([
            "net",
            "attach",
            "xdpgeneric",
            "pinned",
            &format!("{place}/program"),
            "dev",
            NEAR,
        ]));
        assert!(attached.status.success(), "{}", stderr(&attached));
        let ran = lab.refused(Command::new(DENET), &[NEAR]);
        assert_refused(
            &ran,
            3,
            &["[xdp-busy]", "attached by netlink, without a link"],
        );
    });
}

fn has_helpers() -> bool {
    Release(5, 18).is_reached()
}

/// The least: `cap_perfmon` only where the kernel cannot read a frame otherwise.
fn least() -> &'static str {
    match has_helpers() {
        true => "cap_bpf,cap_net_admin",
        false => "cap_bpf,cap_perfmon,cap_net_admin",
    }
}

fn counts_the_mix(lab: &Lab, binary: &Path, program: &str) {
    let cases = frames::all();
    let mix = super::mix(&cases);
    let mut monitor = lab.monitor_by(as_nobody(binary), &[FAR]);
    assert_eq!(monitor.first["program"]["name"], program);
    lab.send(NEAR, mix.iter().copied());
    monitor.until(mix.len() as u64);
    let (summary, code) = monitor.interrupt();
    assert_eq!(code, Some(130));
    assert_eq!(super::counted(&summary["counts"]), super::expected(&cases));
}

#[test]
fn two_capabilities_are_enough_to_count_the_whole_mix() {
    need_root();
    within(|lab| {
        let program = if has_helpers() {
            "denet_xdp_copy"
        } else {
            "denet_xdp"
        };
        let binary = installed(lab.scratch(), Some(&format!("{}=ep", least())));
        counts_the_mix(lab, &binary, program);
        let binary = installed(lab.scratch(), Some("cap_bpf,cap_perfmon,cap_net_admin=ep"));
        counts_the_mix(lab, &binary, "denet_xdp");
    });
}

#[test]
fn each_missing_capability_is_named_and_the_fix_mends_it() {
    need_root();
    within(|lab| {
        let cases = [
            (None, "file-capabilities-missing"),
            (Some("cap_net_admin=ep"), "file-capabilities-partial"),
            (Some("cap_bpf=ep"), "net-admin-missing"),
            (Some("cap_bpf,cap_perfmon=ep"), "net-admin-missing"),
        ];
        for (held, id) in cases {
            let binary = installed(lab.scratch(), held);
            let ran = lab.refused(as_nobody(&binary), &[FAR]);
            assert_refused(&ran, 3, &[&format!("[{id}]")]);
            let text = stderr(&ran);
            let fix = text
                .lines()
                .find_map(|line| line.split_once("sudo setcap "));
            let (_, fix) = fix.unwrap_or_else(|| panic!("no command in {text}"));
            let script = format!("setcap {fix}");
            let mended = output(Command::new("sh").args(["-c", &script]));
            assert!(mended.status.success(), "{script}: {}", stderr(&mended));
            let monitor = lab.monitor_by(as_nobody(&binary), &[FAR]);
            assert_eq!(monitor.interrupt().1, Some(130));
        }
    });
}

/// What is around a process comes before what it lacks itself.
#[test]
fn what_is_around_a_process_is_named() {
    need_root();
    within(|lab| {
        let binary = installed(lab.scratch(), Some(&format!("{}=ep", least())));
        let binary = binary.to_str().expect("UTF-8");
        let deny = workload().to_str().expect("UTF-8");
        let nobody = NOBODY.to_string();
        let user = ["setpriv", "--reuid", &nobody, "--regid", &nobody];
        let no_new_privs = ["--clear-groups", "setpriv", "--no-new-privs", binary];
        let no_new_privs = [&user[..], &no_new_privs].concat();
        let unbound = "--bounding-set=-bpf,-perfmon,-sys_admin";
        let around: [(&str, &[&str]); 4] = [
            ("no-new-privs", &no_new_privs),
            (
                "bounding-set",
                &["setpriv", unbound, "--inh-caps=-all", DENET],
            ),
            (
                "user-namespace",
                &["unshare", "--user", "--map-root-user", DENET],
            ),
            ("seccomp", &[deny, "deny-bpf", "1", DENET]),
        ];
        for (id, around) in around {
            let mut command = Command::new(around[0]);
            command.args(&around[1..]);
            let ran = lab.refused(command, &[FAR]);
            assert_refused(&ran, 3, &[&format!("[{id}]")]);
        }
    });
}

#[test]
fn without_root_it_pins_where_it_may() {
    need_root();
    within(|lab| {
        let binary = installed(lab.scratch(), Some(&format!("{}=ep", least())));
        let mine = lab.pinned("mine");
        std::fs::create_dir(&mine).expect("a bpffs");
        std::os::unix::fs::chown(&mine, Some(NOBODY), Some(NOBODY)).expect("root");
        let place = mine.to_str().expect("text");
        lab.monitor_by(as_nobody(&binary), &[FAR, "--pin", place])
            .interrupt();
        lab.send(
            NEAR,
            [frames::ethernet(frames::ARP, &frames::arp()).as_slice()],
        );
        let mut monitor = lab.monitor_by(as_nobody(&binary), &[FAR, "--pin", place]);
        monitor.until(1);
        monitor.interrupt();
        let removed = output(as_nobody(&binary).args(["monitor", "xdp", FAR, "--unpin", place]));
        assert_eq!(removed.status.code(), Some(0), "{}", stderr(&removed));
        let theirs = lab.pinned("theirs");
        std::fs::create_dir(&theirs).expect("a bpffs");
        let place = theirs.join("x");
        let ran = lab.refused(
            as_nobody(&binary),
            &[FAR, "--pin", place.to_str().expect("text")],
        );
        assert_refused(&ran, 125, &["Permission denied"]);
    });
}
