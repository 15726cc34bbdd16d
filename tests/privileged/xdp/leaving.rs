//! However it ends: the program is gone, and the counts are told.

use std::io::Read as _;
use std::process::Stdio;

use nix::pty::openpty;
use nix::sys::signal::Signal;

use super::lab::{FAR, Lab, NEAR, within};
use super::{frames, pair};
use crate::need_root;
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
        let ran = output(&mut denet([
            "--duration",
            "0.2",
            "--interval",
            "50",
            "--json",
            "monitor",
            "xdp",
            FAR,
        ]));
        assert_eq!(ran.status.code(), Some(0), "{}", stderr(&ran));
        let records = crate::support::records(&crate::support::stdout(&ran));
        let kinds: Vec<_> = records
            .iter()
            .filter_map(|it| it["kind"].as_str())
            .collect();
        assert_eq!((kinds[0], kinds[1]), ("metadata", "xdp"));
        let summary = &records[records.len() - 1];
        assert_eq!(summary["ended_by"], "duration", "{summary}");
        is_free(lab);
    });
}

#[test]
fn people_are_told_in_a_table_and_the_file_gets_the_records() {
    need_root();
    within(|lab| {
        let file = lab.path("out.jsonl");
        let mut command = denet(["--duration", "2", "--interval", "100", "--out"]);
        let ran = std::thread::scope(|scope| {
            scope.spawn(|| {
                // The first record is written once it counts.
                while !std::fs::read_to_string(&file).is_ok_and(|text| !text.is_empty()) {
                    std::thread::sleep(std::time::Duration::from_millis(5));
                }
                lab.send(NEAR, [frame().as_slice(); 9]);
            });
            output(command.arg(&file).args(["monitor", "xdp", FAR]))
        });
        let text = stderr(&ran);
        let row = text.lines().rfind(|line| line.starts_with("ARP"));
        let numbers: Vec<_> = row.expect("a row").split_whitespace().collect();
        assert_eq!(&numbers[3..], ["B", "9", "378", "B"], "{text}");
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
        let mut command = denet(["--duration", "2", "--interval", "100", "--out"]);
        command.arg(&file).args(["monitor", "xdp", FAR]);
        command.env("TERM", "xterm").stderr(Stdio::from(ends.slave));
        let mut child = command.spawn().expect("denet starts");
        drop(command);
        while !std::fs::read_to_string(&file).is_ok_and(|text| !text.is_empty()) {
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        lab.send(NEAR, [frame().as_slice(); 9]);
        let (mut output, mut terminal) = (Vec::new(), std::fs::File::from(ends.master));
        // EIO once the other end is closed.
        let _ = terminal.read_to_end(&mut output);
        assert_eq!(child.wait().expect("it ends").code(), Some(0));
        let output = String::from_utf8(output).expect("text");
        let drawn = output.matches("all frames").count();
        let screen = screen(&output);
        let rows: Vec<_> = screen
            .iter()
            .filter(|it| it.starts_with("all frames"))
            .collect();
        assert!(drawn > 5 && rows.len() == 1, "{drawn}: {screen:#?}");
        assert!(rows[0].ends_with(" 9         378 B"), "{}", rows[0]);
        assert!(
            screen
                .iter()
                .any(|line| line.contains("--duration is over")),
            "{screen:#?}"
        );
    });
}
