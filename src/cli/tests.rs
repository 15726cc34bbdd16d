//! What each command line comes to, and which come to nothing.

use std::time::Duration;

use super::*;
use crate::monitor::xdp;
use crate::output::Format;
use crate::profile::options::Ebpf;

fn parse(line: &str) -> Result<Cli, clap::Error> {
    Cli::from_words(line.split(' ').map(OsString::from))
}

fn run(line: &str) -> (options::Options, Output) {
    match parse(line).unwrap().into_asked() {
        Asked::Run(options, output) => (options, output),
        _ => panic!("{line} runs nothing"),
    }
}

fn command(words: &[&str]) -> Selection {
    Selection::Command(words.iter().map(OsString::from).collect())
}

#[test]
fn each_monitor_describes_itself() {
    let command = Cli::command();
    let monitor = command.find_subcommand("monitor").unwrap();
    let about = |command: &clap::Command| command.get_about().unwrap().to_string();
    for it in crate::monitor::MONITORS {
        assert_eq!(about(monitor.find_subcommand(it.name).unwrap()), it.about);
    }
    let trace = command.find_subcommand("trace").unwrap();
    assert_eq!(
        about(trace),
        crate::monitor::trace::arguments::MONITOR.about
    );
}

#[test]
fn the_parser_is_consistent() {
    Cli::command().debug_assert();
}

#[test]
fn options_stand_before_or_after_the_verb_and_the_rest_is_the_commands() {
    let (options, output) = run("denet --json run --enable-ebpf=auto ls -l --json");
    assert_eq!(options.target.selection, command(&["ls", "-l", "--json"]));
    assert_eq!(options.ebpf, Ebpf::Auto);
    assert!(output.stdout == Some(Format::Json) && !output.text);
    let (options, _) = run("denet --enable-ebpf run -- --odd");
    assert_eq!(
        (options.target.selection, options.ebpf),
        (command(&["--odd"]), Ebpf::Require)
    );
}

#[test]
fn a_recording_is_a_file_or_standard_input() {
    let of = |line| match parse(line).unwrap().into_asked() {
        Asked::Stats(options) => options,
        _ => panic!("{line} summarises nothing"),
    };
    let options = of("denet stats - --json --top 3");
    assert_eq!(options.from, crate::commands::stats::Source::Stdin);
    assert_eq!((options.json, options.top), (true, 3));
    let options = of("denet stats ./-");
    assert_eq!(
        options.from,
        crate::commands::stats::Source::File("./-".into())
    );
}

#[test]
fn interfaces_are_watched_each_second_unless_asked_otherwise() {
    let of = |line| match parse(line).unwrap().into_asked() {
        Asked::Monitor(Request::Interface(options), general) => (options, general),
        _ => panic!("{line} watches no interface"),
    };
    let (options, general) = of("denet monitor xdp eth0 --pin /p");
    assert_eq!(options.interface, "eth0");
    assert_eq!(
        (options.mode, options.pin),
        (xdp::Mode::Auto, Some("/p".into()))
    );
    assert_eq!(general.interval, Duration::from_secs(1));
    assert!(general.output.samples);
    let (options, general) = of("denet -i 50 -d 2 -j monitor xdp eth0 --mode native");
    assert_eq!(
        (general.interval.as_millis(), options.mode),
        (50, xdp::Mode::Native)
    );
    assert_eq!(general.duration, Some(Duration::from_secs(2)));
    assert_eq!(general.output.stdout, Some(Format::Json));
}

#[test]
fn a_command_needs_no_dashes_before_it() {
    let of = |line: &str| match parse(line).unwrap().into_asked() {
        Asked::Monitor(Request::Processes(selection, _), _) => selection,
        _ => panic!("{line} is not a monitor of processes"),
    };
    let command = command(&["ls", "-q"]);
    for verb in ["trace", "monitor exec", "monitor net"] {
        assert_eq!(of(&format!("denet {verb} ls -q")), command);
        assert_eq!(of(&format!("denet {verb} -- ls -q")), command);
        assert_eq!(of(&format!("denet {verb} -p 7")), Selection::Process(7));
    }
    assert_eq!(of("denet monitor exec"), Selection::Machine);
    let name = parse("denet trace -p nginx").unwrap_err().to_string();
    assert!(name.contains("a process id is a number"), "{name}");
}

#[test]
fn quiet_leaves_the_report_where_it_was_asked_for() {
    assert!(run("denet -q run x").1.text);
    assert!(!run("denet -q run x").1.samples);
    assert!(!run("denet -q --out f run x").1.text);
    assert!(run("denet --out f run x").1.text);
}

#[test]
fn records_go_where_they_were_asked_for() {
    let of = |line| {
        let output = run(line).1;
        (output.stdout, output.out.map(|(_, form)| form), output.text)
    };
    assert_eq!(
        of("denet --format csv run x"),
        (Some(Format::Csv), None, true)
    );
    assert_eq!(
        of("denet --format csv -o f run x"),
        (None, Some(Format::Csv), true)
    );
    let both = (Some(Format::Json), Some(Format::Csv), false);
    assert_eq!(of("denet -j --format csv -o f run x"), both);
    assert_eq!(of("denet -j run x"), (Some(Format::Json), None, false));
}

#[test]
fn who_is_attached_to() {
    let selection = |line| match parse(line).unwrap().into_asked() {
        Asked::Attach(options, _) => options.target.selection,
        _ => panic!("{line} attaches to nothing"),
    };
    assert_eq!(selection("denet attach 7"), Selection::Process(7));
    assert_eq!(
        selection("denet attach --cgroup /a"),
        Selection::Cgroup("/a".into())
    );
    assert_eq!(selection("denet attach --all"), Selection::Machine);
}

#[test]
fn refuses_what_makes_no_sense() {
    for line in [
        "denet",
        "denet run",
        "denet run --",
        "denet stats",
        "denet stats a b",
        "denet --bogus run x",
        "denet -d -1 run x",
        "denet -d nan run x",
        "denet -i 0 run x",
        "denet attach",
        "denet attach 0",
        "denet attach x",
        "denet attach 1 --all",
        "denet attach --all --cgroup /x",
        "denet --format xml run x",
        "denet --json --format csv run x",
        "denet monitor",
        "denet monitor xdp",
        "denet monitor xdp a b",
        "denet monitor xdp a --mode fast",
        "denet monitor xdp a --pin x --unpin y",
        "denet monitor xdp a --mode native --unpin y",
        "denet monitor xdp a --format csv",
        "denet trace --format csv -- x",
        "denet --threads trace -- x",
        "denet --no-polling monitor exec",
        "denet stats --threads a",
        "denet setup --interval 5",
    ] {
        assert_eq!(parse(line).unwrap_err().exit_code(), 2, "{line}");
    }
    let suggestion = parse("denet --enable-epbf run x").unwrap_err().to_string();
    assert!(suggestion.contains("--enable-ebpf"), "{suggestion}");
}
