//! The command runs as the shell would have run it, profiled or not.

use std::process::Command;

use crate::need_root;
use crate::support::{
    DENET, Scratch, denet, executable, kinds, output, records, stderr, stdout, summary, workload,
};

/// What a script prints, run by the shell and by denet.
fn same(script: &str) {
    need_root();
    let shell = output(Command::new("bash").args(["-c", script]));
    let wrapped = format!("{DENET} --enable-ebpf -q --out /dev/null run -- bash -c '{script}'");
    let profiled = output(Command::new("bash").args(["-c", &wrapped]));
    assert_eq!(stdout(&profiled), stdout(&shell), "{}", stderr(&profiled));
    assert_eq!(profiled.status.code(), shell.status.code());
}

#[test]
fn descriptors_are_not_leaked() {
    same("ls -l /proc/self/fd | wc -l; exec 7</dev/null; ls /proc/self/fd");
}

#[test]
fn dispositions_and_masks_are_inherited() {
    same("grep -E \"^Sig(Blk|Ign|Cgt)\" /proc/self/status");
    let ignored = |wrapper: &str| {
        let script = format!("trap \"\" PIPE INT; {wrapper} grep SigIgn /proc/self/status");
        stdout(&output(Command::new("bash").args(["-c", &script])))
    };
    assert_eq!(
        ignored(&format!("{DENET} --enable-ebpf -q --out /dev/null run")),
        ignored("")
    );
}

#[test]
fn closed_standard_descriptors_stay_closed() {
    need_root();
    for closing in ["0<&-", "1>&-", "2>&-", "0<&- 1>&- 2>&-"] {
        let scratch = Scratch::new();
        let seen = |wrapper: &str| {
            let place = scratch.path("open");
            let script = format!(
                "{wrapper} sh -c 'ls /proc/$$/fd >{0} 2>{0}' {closing}; cat {0}",
                place.display()
            );
            stdout(&output(Command::new("bash").args(["-c", &script])))
        };
        assert_eq!(
            seen(&format!("{DENET} --enable-ebpf -q --out /dev/null run")),
            seen(""),
            "{closing}"
        );
    }
}

#[test]
fn group_directory_and_limits_are_inherited() {
    same("cd /usr && pwd && ulimit -a && umask && echo $(ps -o sid= -p $$)");
}

#[test]
fn exit_codes_are_the_commands_own() {
    need_root();
    for (script, code) in [
        ("exit 0", 0),
        ("exit 42", 42),
        ("exit 255", 255),
        ("kill -9 $$", 137),
        ("kill -SEGV $$", 139),
    ] {
        let run = output(&mut denet([
            "--enable-ebpf",
            "-q",
            "run",
            "sh",
            "-c",
            script,
        ]));
        assert_eq!(run.status.code(), Some(code), "{script}: {}", stderr(&run));
    }
}

#[test]
fn a_script_without_an_interpreter_line_is_run_by_the_shell() {
    need_root();
    let scratch = Scratch::new();
    let script = scratch.path("script");
    executable(&script, b"echo ran $1\n");
    let run = output(
        denet(["--enable-ebpf", "-q", "run"])
            .arg(&script)
            .arg("well"),
    );
    assert_eq!(stdout(&run), "ran well\n", "{}", stderr(&run));
}

#[test]
fn the_records_tell_what_runs() {
    need_root();
    // An hour: there is no sample.
    let mut command = denet(["--enable-ebpf", "--json", "-i", "3600000", "run", "--"]);
    let done = output(command.arg(workload()).arg("single"));
    let records = records(&stdout(&done));
    let metadata = &records[0];
    assert_eq!(kinds(&records), ["metadata", "exit", "summary"]);
    assert_eq!(metadata["schema"], 1);
    assert_eq!(metadata["executable"].as_str(), workload().to_str());
    assert_eq!(metadata["ebpf"]["mode"], "require");
    // Which one, tests/kernels knows.
    assert!(
        metadata["ebpf"]["backend"]["syscalls"]
            .as_str()
            .is_some_and(|way| way.contains("sys_enter")),
        "{metadata}"
    );
    let ebpf = &summary(&done)["ebpf"];
    assert_eq!(ebpf["syscalls"]["analysis"]["basis"], "counts");
    assert_eq!(
        ebpf["syscalls"]["top_syscalls"].as_array().map(Vec::len),
        Some(10)
    );
    assert_eq!(ebpf["processes"][0]["pid"], metadata["pid"]);
    // Measured, or left out where another process used the core during every measurement: never zero.
    let overhead = ebpf["overhead"].as_object().expect("an object");
    for (name, cost) in overhead {
        let known = [
            "ns_per_syscall",
            "ns_per_syscall_least",
            "ns_per_syscall_most",
            "share_of_runtime",
        ];
        assert!(known.contains(&name.as_str()), "{name}");
        let may_be_zero = name == "ns_per_syscall_least" && cost.as_f64() == Some(0.0);
        assert!(cost.as_f64() > Some(0.0) || may_be_zero, "{name}: {cost}");
    }
    let is_measured = overhead.contains_key("ns_per_syscall");
    assert!(
        is_measured || !overhead.contains_key("share_of_runtime"),
        "{overhead:?}"
    );
    let ns = |name: &str| overhead.get(name).and_then(serde_json::Value::as_f64);
    let (about, least) = (ns("ns_per_syscall"), ns("ns_per_syscall_least"));
    assert!(
        least <= about && about <= ns("ns_per_syscall_most"),
        "{overhead:?}"
    );
}

/// What counting costs is measured in the run itself, which on a busy machine may fail: then the report
/// says that it failed.
#[test]
fn the_report_has_what_counting_costs_or_says_that_it_was_not_measured() {
    need_root();
    let run = output(
        denet(["--enable-ebpf", "run", "--"])
            .arg(workload())
            .arg("single"),
    );
    let text = stderr(&run);
    // Lines are wrapped.
    let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let line = words.split_once(" cost ").map(|(_, line)| line);
    let cost = line.and_then(|line| Some(line.split_once("; denet used ")?.0));
    let is_one_of_both = cost.is_some_and(|cost| match cost.split_once(" ns per syscall") {
        Some((ns, share)) => {
            let has_share = share.is_empty() || share.ends_with(" of the command's CPU time");
            let is_number = |ns: &str| ns.parse::<f64>().is_ok_and(|ns| ns > 0.0);
            let single = ["about ", "at most "];
            let single = single.iter().find_map(|word| ns.strip_prefix(word));
            let range = ns.split_once(" to ");
            let is_range = range.is_some_and(|(least, most)| is_number(least) && is_number(most));
            (single.is_some_and(is_number) || is_range) && has_share
        }
        None => cost == "per syscall could not be measured",
    });
    assert!(is_one_of_both, "{cost:?}: {text}");
    // Counts do not show what limits a program.
    assert!(words.contains("syscalls mix of calls: "), "{text}");
    assert!(
        !words.contains("_bound") && !words.contains("behaviour"),
        "{text}"
    );
}

#[test]
fn debug_says_what_is_loaded_attached_and_how_large() {
    need_root();
    let text = stderr(&output(&mut denet([
        "--enable-ebpf",
        "--debug",
        "run",
        "true",
    ])));
    for what in [
        "create map=\"denet_slots\"",
        "load program=\"denet_count",
        "attach program=\"denet_fork",
        "kernel memory of all maps",
    ] {
        assert!(text.contains(what), "no {what}: {text}");
    }
    let bytes = text
        .split("kernel memory of all maps at the start bytes=")
        .nth(1)
        .and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok());
    assert!(bytes.is_some_and(|bytes| bytes < 32 << 20), "{text}");
}

#[test]
fn a_disk_that_fills_disturbs_the_command_not() {
    need_root();
    let scratch = Scratch::new();
    let folder = scratch.0.display();
    let script = format!(
        "mount -t tmpfs -o size=8k none {folder} && {DENET} --enable-ebpf -q --top 0 --out {folder}/records run -- {} children 300 && echo fine; echo code $?",
        workload().display()
    );
    let run = output(Command::new("unshare").args(["-m", "sh", "-c", &script]));
    assert_eq!(stdout(&run), "code 125\n", "{}", stderr(&run));
    assert!(
        stderr(&run).contains("not all could be written") && stderr(&run).contains("No space left"),
        "{}",
        stderr(&run)
    );
}
