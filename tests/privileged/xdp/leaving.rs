//! However it ends: the program is gone, and the counts are told.

use std::io::Read as _;
use std::path::Path;
use std::process::Stdio;
use std::sync::Mutex;

use nix::pty::openpty;
use nix::sys::signal::Signal;

use super::lab::{FAR, Lab, NEAR, within};
use super::{frames, pair};
use crate::lifetime::send;
use crate::need_root;
use crate::support::processes::{Killed, is_stopped};
use crate::support::wait::{wait_for, wait_until};
use crate::support::{denet, output, stderr};

fn frame() -> Vec<u8> {
    frames::ethernet(frames::ARP, &frames::arp())
}

/// Another one can count there.
fn is_free(lab: &Lab) {
    let monitor = lab.monitor(&[FAR]);
    assert_eq!(monitor.interrupt().1, Some(130));
}

#[test]
fn an_interface_that_vanishes_ends_the_watch_and_loses_no_count() {
    need_root();
    for mode in super::MODES {
        within(|lab| {
            let mut monitor = lab.monitor(&[FAR, "--mode", mode]);
            lab.send(NEAR, [frame().as_slice(); 5]);
            monitor.until(5);
            lab.cut(NEAR);
            let (summary, code) = monitor.end();
            assert_eq!(summary["ended_by"], "interface_gone", "{summary}");
            assert_eq!(pair(&summary["counts"]["arp"]), (5, 5 * 42));
            assert_eq!(code, Some(0));
        });
    }
}

#[test]
fn each_signal_ends_it_and_takes_the_program_off() {
    need_root();
    within(|lab| {
        for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
            let mut monitor = lab.monitor(&[FAR]);
            lab.send(NEAR, [frame().as_slice(); 2]);
            monitor.until(2);
            monitor.signal(signal);
            let (summary, code) = monitor.end();
            assert_eq!(code, Some(128 + signal as i32));
            assert_eq!(summary["ended_by"], "interrupt");
            assert_eq!(summary["stays_attached"], false);
            assert_eq!(pair(&summary["frames"]).0, 2);
            is_free(lab);
        }
    });
}

#[test]
fn killed_it_leaves_nothing_behind() {
    need_root();
    within(|lab| {
        lab.monitor(&[FAR]).killed();
        is_free(lab);
    });
}

/// The kernel counts: what denet does not read meanwhile is there afterwards.
#[test]
fn no_frame_is_missed_while_denet_is_stopped() {
    need_root();
    within(|lab| {
        let file = lab.path("out.jsonl");
        let mut command = denet(["--quiet", "--interval", "50", "--out"]);
        command.arg(&file).args(["monitor", "xdp", FAR]);
        let child = command.stderr(Stdio::null()).spawn();
        let child = child.expect("denet starts");
        let text = || std::fs::read_to_string(&file).unwrap_or_default();
        wait_until("it counts", || !text().is_empty());
        send(&child, Signal::SIGSTOP);
        wait_until("denet is stopped", || is_stopped(child.id()));
        let sent = frame();
        lab.send(NEAR, std::iter::repeat_n(sent.as_slice(), 5000));
        send(&child, Signal::SIGCONT);
        send(&child, Signal::SIGINT);
        let ran = child.wait_with_output().expect("it ends");
        assert_eq!(ran.status.code(), Some(130));
        let records = crate::support::records(&text());
        let summary = records.last().expect("a summary");
        assert_eq!(summary["ended_by"], "interrupt");
        assert_eq!(summary["frames"]["packets"], 5000, "{summary}");
    });
}

#[test]
fn nobody_reads_on() {
    need_root();
    within(|lab| {
        assert_eq!(lab.monitor(&[FAR]).left_alone(), Some(0));
        is_free(lab);
    });
}

#[test]
fn the_time_is_over() {
    need_root();
    within(|lab| {
        // However short that is: a longer one has a record of what was counted meanwhile.
        let mut secs = 0.2;
        let records = wait_for("something is recorded before the time is over", || {
            let mut command = denet(["--interval", "50", "--json", "--duration"]);
            let ran = output(command.arg(secs.to_string()).args(["monitor", "xdp", FAR]));
            assert_eq!(ran.status.code(), Some(0), "{}", stderr(&ran));
            secs *= 2.0;
            let records = crate::support::records(&crate::support::stdout(&ran));
            assert_eq!(records[0]["kind"], "metadata");
            (records[1]["kind"] == "xdp").then_some(records)
        });
        let summary = records.last().expect("the last one");
        assert_eq!(summary["ended_by"], "duration", "{summary}");
        let ran = output(&mut denet(["--duration", "0.2", "monitor", "xdp", FAR]));
        let text = stderr(&ran);
        assert!(text.contains("(--duration is over)"), "{text}");
        is_free(lab);
    });
}

/// So many frames, from when the first record is written, until that many are in one.
fn send_and_wait(lab: &Lab, file: &Path, frames: usize) {
    let text = || std::fs::read_to_string(file).unwrap_or_default();
    wait_until("it counts", || !text().is_empty());
    let sent = frame();
    lab.send(NEAR, std::iter::repeat_n(sent.as_slice(), frames));
    let counted = format!(r#""frames":{{"packets":{frames},"#);
    wait_until("the frames are counted", || text().contains(&counted));
}

#[test]
fn people_are_told_in_a_table_and_the_file_gets_the_records() {
    need_root();
    within(|lab| {
        let file = lab.path("out.jsonl");
        let mut command = denet(["--interval", "50", "--out"]);
        command.arg(&file).args(["monitor", "xdp", FAR]);
        let child = command.stderr(Stdio::piped()).spawn();
        let child = child.expect("denet starts");
        send_and_wait(lab, &file, 9);
        send(&child, Signal::SIGINT);
        let ran = child.wait_with_output().expect("it ends");
        assert_eq!(ran.status.code(), Some(130));
        let text = stderr(&ran);
        let row = text.lines().rfind(|line| line.starts_with("ARP"));
        let numbers: Vec<_> = row.expect("a row").split_whitespace().collect();
        assert_eq!(&numbers[4..], ["9", "378", "B"], "{text}");
        assert!(text.contains("XDP       native, program "), "{text}");
        let records = std::fs::read_to_string(&file).expect("a file");
        assert!(records.lines().count() > 2, "{records}");
        assert!(
            records
                .lines()
                .last()
                .is_some_and(|it| it.contains(r#""summary""#))
        );
    });
}

/// What stands on a terminal in the end: it knows CPL, ED and colours.
fn screen(output: &str) -> Vec<String> {
    let (mut lines, mut at) = (vec![String::new()], 0);
    let mut rest = output;
    while let Some(c) = rest.chars().next() {
        rest = &rest[c.len_utf8()..];
        match c {
            '\u{1b}' => {
                let end = rest
                    .find(|c: char| c.is_ascii_alphabetic())
                    .expect("an end");
                let (number, letter) = (rest[1..end].parse::<usize>(), &rest[end..=end]);
                rest = &rest[end + 1..];
                match letter {
                    "F" => at -= number.expect("a number"),
                    "J" => {
                        lines.truncate(at);
                        lines.push(String::new());
                    }
                    _ => assert_eq!(letter, "m", "{output:?}"),
                }
            }
            '\n' => {
                at += 1;
                if at == lines.len() {
                    lines.push(String::new());
                }
            }
            '\r' => {}
            _ => lines[at].push(c),
        }
    }
    lines
}

#[test]
fn in_a_terminal_the_table_is_drawn_again_in_its_place() {
    need_root();
    within(|lab| {
        let ends = openpty(None, None).expect("a pseudo-terminal");
        let file = lab.path("out.jsonl");
        let mut command = denet(["--interval", "50", "--out"]);
        command.arg(&file).args(["monitor", "xdp", FAR]);
        command.env("TERM", "xterm").stderr(Stdio::from(ends.slave));
        let child = command.spawn().expect("denet starts");
        drop(command);
        let shown = Mutex::new(Vec::new());
        let drawn = || {
            let shown = shown.lock().expect("no panic");
            String::from_utf8_lossy(&shown)
                .matches("all frames")
                .count()
        };
        let mut terminal = std::fs::File::from(ends.master);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let mut some = [0; 4096];
                // EIO once the other end is closed.
                while let Ok(n @ 1..) = terminal.read(&mut some) {
                    shown.lock().expect("no panic").extend(&some[..n]);
                }
            });
            // Killed if this fails: the terminal is read to its end.
            let mut child = Killed(child);
            send_and_wait(lab, &file, 9);
            wait_until("it is drawn again and again", || drawn() > 5);
            send(&child.0, Signal::SIGINT);
            assert_eq!(child.0.wait().expect("it ends").code(), Some(130));
        });
        let output = shown.into_inner().expect("no panic");
        let output = String::from_utf8(output).expect("text");
        let screen = screen(&output);
        let rows: Vec<_> = screen
            .iter()
            .filter(|it| it.starts_with("all frames"))
            .collect();
        assert_eq!(rows.len(), 1, "{screen:#?}");
        assert!(rows[0].ends_with(" 9         378 B"), "{}", rows[0]);
        assert!(
            screen
                .iter()
                .any(|line| line.contains("(SIGINT ended the watch)")),
            "{screen:#?}"
        );
    });
}
