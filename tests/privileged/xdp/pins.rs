//! Program and counters that outlive denet.

use std::fs;
use std::process::Command;

use nix::sys::signal::Signal;
use serde_json::Value;

use super::lab::{FAR, Lab, NEAR, is_empty, within};
use super::{frames, pair};
use crate::need_root;
use crate::support::processes::is_stopped;
use crate::support::wait::wait_until;
use crate::support::{DENET, denet, output, stderr, stdout};

fn send(lab: &Lab, times: usize) {
    let frame = frames::ethernet(frames::ARP, &frames::arp());
    lab.send(NEAR, std::iter::repeat_n(frame.as_slice(), times));
}

fn text(lab: &Lab, name: &str) -> String {
    lab.pinned(name).to_str().expect("our own name").to_owned()
}

fn unpinned(of: &str, place: &str) -> Value {
    let ran = output(&mut denet([
        "--json", "monitor", "xdp", of, "--unpin", place,
    ]));
    assert_eq!(ran.status.code(), Some(0), "{}", stderr(&ran));
    serde_json::from_str(&stdout(&ran)).expect("one record")
}

#[test]
fn counting_goes_on_between_runs_until_it_is_unpinned() {
    need_root();
    for mode in super::MODES {
        within(|lab| {
            let place = text(lab, "kept");
            let mut first = lab.monitor(&[FAR, "--mode", mode, "--pin", &place]);
            assert_eq!(first.first["resumed"], Value::Null);
            send(lab, 3);
            first.until(3);
            let (summary, code) = first.interrupt();
            assert_eq!(
                (code, &summary["stays_attached"]),
                (Some(130), &true.into())
            );

            send(lab, 4);
            let mut again = lab.monitor(&[FAR, "--pin", &place]);
            assert_eq!(again.first["mode"], mode);
            assert_eq!(pair(&again.first["resumed"]), (7, 7 * 42));
            send(lab, 5);
            again.until(12);
            let (summary, _) = again.interrupt();
            assert_eq!(pair(&summary["frames"]).0, 5);
            assert_eq!(pair(&summary["since_attached"]["frames"]).0, 12);

            send(lab, 1);
            let removed = unpinned(FAR, &place);
            assert_eq!(pair(&removed["counts"]["arp"]), (13, 13 * 42));
            assert_eq!(removed["was_attached"], true);
            assert!(!lab.pinned("kept").exists());
            assert_eq!(lab.monitor(&[FAR]).interrupt().1, Some(130));
        });
    }
}

#[test]
fn killed_it_leaves_what_was_pinned() {
    need_root();
    within(|lab| {
        let place = text(lab, "kept");
        lab.monitor(&[FAR, "--pin", &place]).killed();
        send(lab, 2);
        assert_eq!(pair(&unpinned(FAR, &place)["frames"]).0, 2);
    });
}

#[test]
fn who_watches_is_told_that_it_was_unpinned() {
    need_root();
    within(|lab| {
        let place = text(lab, "kept");
        let mut monitor = lab.monitor(&[FAR, "--pin", &place]);
        send(lab, 2);
        monitor.until(2);
        unpinned(FAR, &place);
        let (summary, code) = monitor.end();
        assert_eq!(summary["ended_by"], "taken_off");
        assert_eq!((pair(&summary["frames"]).0, code), (2, Some(0)));
    });
}

/// What arrives between that and the end is not counted.
#[test]
fn a_signal_does_not_hide_that_it_was_unpinned() {
    need_root();
    within(|lab| {
        let place = text(lab, "kept");
        let mut monitor = lab.monitor(&[FAR, "--pin", &place]);
        send(lab, 2);
        monitor.until(2);
        monitor.signal(Signal::SIGSTOP);
        wait_until("denet is stopped", || is_stopped(monitor.id()));
        unpinned(FAR, &place);
        send(lab, 3);
        monitor.signal(Signal::SIGINT);
        monitor.signal(Signal::SIGCONT);
        let (summary, _) = monitor.end();
        assert_eq!(summary["ended_by"], "taken_off", "{summary}");
        assert_eq!(pair(&summary["frames"]).0, 2);
    });
}

#[test]
fn counts_outlive_the_interface() {
    need_root();
    within(|lab| {
        let place = text(lab, "kept");
        let mut monitor = lab.monitor(&[FAR, "--pin", &place]);
        send(lab, 2);
        monitor.until(2);
        monitor.interrupt();
        lab.cut(NEAR);
        lab.cable(NEAR, FAR);
        let again = lab.refused(Command::new(DENET), &[FAR, "--pin", &place]);
        assert_eq!(again.status.code(), Some(125));
        assert!(
            stderr(&again).contains("counts no more"),
            "{}",
            stderr(&again)
        );
        let removed = unpinned(FAR, &place);
        assert_eq!(removed["was_attached"], false);
        assert_eq!(pair(&removed["frames"]).0, 2);
    });
}

#[test]
fn an_empty_folder_will_do_and_goes_with_the_rest() {
    need_root();
    within(|lab| {
        fs::create_dir(lab.pinned("mine")).expect("a bpffs");
        let place = text(lab, "mine");
        lab.monitor(&[FAR, "--pin", &place]).interrupt();
        assert!(!is_empty(&lab.pinned("mine")));
        unpinned(FAR, &place);
        assert!(!lab.pinned("mine").exists());
    });
}

#[test]
fn what_is_pinned_belongs_to_one_interface() {
    need_root();
    within(|lab| {
        let place = text(lab, "kept");
        lab.monitor(&[FAR, "--pin", &place]).interrupt();
        let other = lab.refused(Command::new(DENET), &[NEAR, "--pin", &place]);
        assert_eq!(other.status.code(), Some(125));
        assert!(
            stderr(&other).contains("another interface"),
            "{}",
            stderr(&other)
        );
        let other = output(&mut denet(["monitor", "xdp", NEAR, "--unpin", &place]));
        assert_eq!(other.status.code(), Some(125));
        assert!(
            stderr(&other).contains("another interface"),
            "{}",
            stderr(&other)
        );
        let other = lab.refused(
            Command::new(DENET),
            &[FAR, "--pin", &place, "--mode", "generic"],
        );
        assert!(
            stderr(&other).contains("runs in native mode"),
            "{}",
            stderr(&other)
        );
        unpinned(FAR, &place);
    });
}

#[test]
fn a_part_of_it_is_removed_and_never_gone_on_with() {
    need_root();
    within(|lab| {
        let place = text(lab, "kept");
        lab.monitor(&[FAR, "--pin", &place]).interrupt();
        fs::remove_file(lab.pinned("kept/link")).expect("it was pinned");
        let refused = lab.refused(Command::new(DENET), &[FAR, "--pin", &place]);
        assert_eq!(refused.status.code(), Some(125));
        assert!(stderr(&refused).contains("a part"), "{}", stderr(&refused));
        let removed = unpinned(FAR, &place);
        assert_eq!(removed["was_attached"], false);
        assert!(!lab.pinned("kept").exists());
    });
}

#[test]
fn folders_that_are_none_or_hold_something_else() {
    need_root();
    within(|lab| {
        let refused = |place: &str, says: &str| {
            for verb in ["--pin", "--unpin"] {
                let ran = output(&mut denet(["monitor", "xdp", FAR, verb, place]));
                let text = stderr(&ran);
                assert_eq!(ran.status.code(), Some(125), "{verb} {place}: {text}");
                assert!(text.contains(says), "{verb} {place}: no {says:?} in {text}");
                assert!(!text.contains('\u{1b}'), "{text:?}");
            }
        };
        let file = lab.path("file");
        fs::write(&file, "").expect("our own folder");
        refused(file.to_str().expect("text"), "Not a directory");
        refused(
            lab.path("nowhere/x").to_str().expect("text"),
            "No such file",
        );
        refused(lab.path("new").to_str().expect("text"), "in no bpffs");
        refused(lab.scratch().0.to_str().expect("text"), "in no bpffs");

        fs::create_dir_all(lab.pinned("else/e\u{1b}[2Jvil")).expect("a bpffs");
        refused(&text(lab, "else"), "holds something else: e\\x1b[2Jvil");
        fs::create_dir_all(lab.pinned("folder/link")).expect("a bpffs");
        refused(&text(lab, "folder"), "folder/link");
        // Somebody exchanged program and counters.
        let place = text(lab, "kept");
        lab.monitor(&[FAR, "--pin", &place]).interrupt();
        for (from, to) in [("program", "x"), ("counters", "program"), ("x", "counters")] {
            let at = lab.pinned("kept");
            fs::rename(at.join(from), at.join(to)).expect("a bpffs");
        }
        refused(&place, "it is not what denet pins");
        assert!(lab.pinned("kept/link").exists());
        let dotted = lab.refused(Command::new(DENET), &[NEAR, "--pin", &text(lab, "a.b")]);
        assert!(stderr(&dotted).contains("no dots"), "{}", stderr(&dotted));
        // And nothing was left attached by that.
        lab.monitor(&[NEAR]).interrupt();
    });
}
