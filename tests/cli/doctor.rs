//! `ebpf_diag` as anyone may run it: what it is asked wrongly, and what it reads.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::{Value, json};

use crate::support::{DENET, EBPF_DIAG, Scratch, output, stderr, stdout};

fn run(arguments: &[&str]) -> Output {
    let mut command = Command::new(EBPF_DIAG);
    output(command.args(arguments).env_remove("RUST_LOG"))
}

fn usage_error(arguments: &[&str], words: &[&str]) {
    let refused = run(arguments);
    let text = stderr(&refused);
    assert_eq!(refused.status.code(), Some(64), "{arguments:?}: {text}");
    for word in words {
        assert!(text.contains(word), "no {word:?}: {text}");
    }
    assert_eq!(stdout(&refused), "");
}

fn text(path: &Path) -> &str {
    path.to_str().expect("our own names")
}

/// Facts of this machine, in a file.
fn facts(scratch: &Scratch) -> PathBuf {
    let file = scratch.path("facts.json");
    let saved = run(&["--save-facts", text(&file)]);
    assert!(saved.status.code().is_some_and(|code| code <= 2));
    file
}

fn report(arguments: &[&str]) -> Value {
    let done = run(arguments);
    let code = done.status.code();
    assert!(
        code.is_some_and(|code| code <= 2),
        "{arguments:?}: {code:?}: {}",
        stderr(&done)
    );
    serde_json::from_str(&stdout(&done)).expect("one JSON object")
}

/// Facts of a user whose denet has file capabilities, with this scope configured by root.
fn decided(scratch: &Scratch, scope: &Value) -> PathBuf {
    let host = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/hosts/ubuntu-22.04/facts.json");
    let mut facts: Value = serde_json::from_slice(&fs::read(host).expect("facts")).expect("JSON");
    facts["scope"] = scope.clone();
    let file = scratch.path("decided.json");
    fs::write(&file, facts.to_string()).expect("our own folder");
    file
}

#[test]
fn other_users_processes_are_judged_only_on_request() {
    let scratch = Scratch::new();
    let judged = |scope: Value, options: &[&str]| {
        let file = decided(&scratch, &scope);
        let report = report(&[&["--json", "--facts", text(&file)], options].concat());
        let names = |list: &str, name: &str| {
            let all = report[list].as_array().expect("a list").iter();
            all.map(|it| it[name].clone()).collect::<Vec<_>>()
        };
        (
            report["subject"]["scope"].clone(),
            names("goals", "status"),
            names("causes", "id"),
            names("checks", "id").contains(&json!("not-yours")),
        )
    };
    let own = || json!({"known": "own"});
    let asked = ["--only", "other-processes"];
    let (scope, goals, causes, _) = judged(own(), &asked);
    assert_eq!((scope, goals), (json!("own"), vec![json!("blocked")]));
    assert_eq!(causes.first(), Some(&json!("not-yours")));
    let file = decided(&scratch, &own());
    let shown = run(&[&["--facts", text(&file)], &asked[..]].concat());
    let shown = stdout(&shown);
    assert!(
        shown.contains("  others' processes   BLOCKED by not-yours"),
        "{shown}"
    );
    let (scope, goals, causes, _) = judged(json!({"known": "any"}), &asked);
    assert_eq!((scope, goals), (json!("any"), vec![json!("ready")]));
    assert!(!causes.contains(&json!("not-yours")), "{causes:?}");
    // Without the request, nothing is reported as missing.
    for scope in [own(), json!("absent")] {
        let (scope, _, causes, is_there) = judged(scope, &[]);
        assert_eq!(scope, "own");
        assert!(!is_there && !causes.contains(&json!("not-yours")));
    }
    let ignored = json!({"denied": "/etc/denet.toml is ignored: it is a symbolic link"});
    let (scope, _, causes, _) = judged(ignored, &[]);
    assert_eq!(scope, "own");
    assert!(causes.contains(&json!("not-yours")), "{causes:?}");
}

#[test]
fn help_and_version_go_to_stdout() {
    let help = run(&["--help"]);
    assert_eq!(help.status.code(), Some(0));
    for word in ["--as-user", "--explain", "Exit status", "64", "70", "Goals"] {
        assert!(stdout(&help).contains(word), "{word}: {}", stdout(&help));
    }
    let version = format!("ebpf_diag {}\n", env!("CARGO_PKG_VERSION"));
    assert_eq!(stdout(&run(&["--version"])), version);
}

#[test]
fn unknown_ids_are_met_with_similar_ones() {
    usage_error(&["--only", "nosuid-mout"], &["did you mean nosuid-mount?"]);
    usage_error(&["--skip", "zzz"], &["there are: syscall-profiling"]);
    usage_error(&["--explain", "seccmp"], &["did you mean seccomp?"]);
    usage_error(&["--jsno"], &["'--json'"]);
    usage_error(
        &["--facts", "x", "--as-user", "y"],
        &["cannot be used with"],
    );
}

#[test]
fn what_is_not_there_is_named() {
    usage_error(
        &["--as-user", "no such user"],
        &["no user is called no such user"],
    );
    usage_error(&["--binary", "/nowhere/x"], &["/nowhere/x: No such file"]);
    usage_error(
        &["--object", "/nowhere/x.o"],
        &["/nowhere/x.o: No such file"],
    );
    usage_error(
        &["--object", "/dev/null"],
        &["/dev/null: not a regular file"],
    );
    usage_error(&["--facts", "/nowhere/f"], &["/nowhere/f: No such file"]);
    usage_error(&["--facts", "/tmp"], &["/tmp: not a regular file"]);
    usage_error(
        &["--sysroot", "/etc/passwd"],
        &["--sysroot takes a directory"],
    );
    usage_error(&["--sysroot", "/etc"], &["no root of a system"]);
}

#[test]
fn facts_that_are_none_are_refused() {
    let scratch = Scratch::new();
    let whole = fs::read_to_string(facts(&scratch)).expect("saved");
    let file = scratch.path("broken.json");
    let broken = |content: &str, words: &[&str]| {
        fs::write(&file, content).expect("our own folder");
        usage_error(&["--facts", text(&file)], words);
    };
    broken("", &["no facts file", "--save-facts"]);
    broken("{}", &["it has no schema"]);
    broken("[1]", &["it has no schema"]);
    broken(&whole[..whole.len() / 2], &["no facts file"]);
    broken(
        &whole.replacen("\"schema\": 1", "\"schema\": 999", 1),
        &["schema 999"],
    );
    broken("{\"schema\": 1}", &["missing field"]);
}

#[test]
fn saved_facts_are_judged_the_same() {
    let scratch = Scratch::new();
    let file = scratch.path("facts.json");
    let live = report(&["--json", "--save-facts", text(&file)]);
    let saved = report(&["--json", "--facts", text(&file)]);
    assert_eq!(live, saved);
    assert_eq!(live["schema"], 1);
    let left = fs::read_dir(&scratch.0).expect("ours").count();
    assert_eq!(left, 1, "nothing but the facts is left");
}

#[test]
fn facts_that_cannot_be_saved_are_no_report() {
    let refused = run(&["--save-facts", "/nowhere/facts.json"]);
    assert_eq!(refused.status.code(), Some(70));
    assert!(stderr(&refused).contains("/nowhere/facts.json"));
    assert_eq!(stdout(&refused), "");
}

#[test]
fn facts_take_the_place_of_files_alone() {
    let scratch = Scratch::new();
    let save = |path: &Path| {
        let saved = run(&["--save-facts", text(path)]);
        assert!(
            saved.status.code().is_some_and(|code| code <= 2),
            "{}",
            stderr(&saved)
        );
    };
    let kind = |path: &Path| fs::symlink_metadata(path).expect("still there").file_type();
    let (file, link) = (scratch.path("facts.json"), scratch.path("link"));
    fs::write(&file, "former").expect("ours");
    std::os::unix::fs::symlink(&file, &link).expect("ours");
    save(&link);
    assert!(kind(&link).is_symlink());
    assert!(fs::read_to_string(&file).expect("ours").starts_with('{'));
    let pipe = scratch.path("pipe");
    nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).expect("ours");
    let reader = Command::new("cat")
        .arg(&pipe)
        .stdout(std::process::Stdio::piped())
        .spawn();
    save(&pipe);
    let read = reader.and_then(std::process::Child::wait_with_output);
    assert!(stdout(&read.expect("cat reads")).starts_with('{'));
    assert!(std::os::unix::fs::FileTypeExt::is_fifo(&kind(&pipe)));
    let device = Path::new("/dev/null");
    save(device);
    assert!(std::os::unix::fs::FileTypeExt::is_char_device(&kind(
        device
    )));
}

#[test]
fn what_is_asked_for_and_left_out_is_a_mistake() {
    usage_error(
        &["--only", "seccomp", "--skip", "seccomp"],
        &["--only and --skip leave nothing"],
    );
}

#[test]
fn one_goal_or_one_check_can_be_asked_for() {
    let goal = report(&["--json", "--only", "xdp-counters"]);
    let ids = |list: &Value| -> Vec<String> {
        let all = list.as_array().expect("a list").iter();
        all.map(|one| one["id"].as_str().expect("an id").to_owned())
            .collect()
    };
    assert_eq!(ids(&goal["goals"]), ["xdp-counters"]);
    assert!(ids(&goal["checks"]).contains(&"net-admin-missing".to_owned()));
    assert!(!ids(&goal["checks"]).contains(&"processes-hidden".to_owned()));
    let check = report(&["--json", "--only", "seccomp"]);
    assert_eq!(ids(&check["checks"]), ["seccomp"]);
    assert_eq!(check["goals"], Value::Array(Vec::new()));
    let less = report(&["--json", "--skip", "xdp-counters,seccomp"]);
    assert!(!ids(&less["goals"]).contains(&"xdp-counters".to_owned()));
    assert!(!ids(&less["checks"]).contains(&"seccomp".to_owned()));
}

#[test]
fn a_directory_and_a_script_are_no_binaries() {
    let scratch = Scratch::new();
    let script = scratch.path("script");
    fs::write(&script, "#!/bin/sh\ntrue\n").expect("ours");
    fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o755))
        .expect("ours");
    for binary in [script.as_path(), scratch.0.as_path()] {
        let judged = report(&["--json", "--binary", text(binary)]);
        let checks = judged["checks"].as_array().expect("a list");
        let found = checks.iter().find(|check| check["id"] == "not-executable");
        assert_eq!(found.expect("the check")["status"], "blocked", "{binary:?}");
    }
}

#[test]
fn garbage_in_proc_is_no_fact_and_no_panic() {
    let files = [
        "proc/self/status",
        "proc/self/mountinfo",
        "proc/self/limits",
        "proc/self/cgroup",
        "proc/sys/kernel/osrelease",
        "proc/sys/kernel/perf_event_paranoid",
        "proc/sys/kernel/unprivileged_bpf_disabled",
        "proc/sys/kernel/cap_last_cap",
        "proc/config.gz",
        "proc/version",
        "proc/1/status",
        "etc/passwd",
        "etc/group",
        "sys/kernel/btf/vmlinux",
        "sys/kernel/security/lockdown",
    ];
    let long = "x".repeat(70_000);
    let contents: [&[u8]; 7] = [
        b"",
        b"\0\xff\xfe",
        b"-1",
        b"99999999999999999999999999",
        b":::: \t - \n\n",
        b"root:x:0:0::/:/bin/sh\n",
        long.as_bytes(),
    ];
    for content in contents {
        let scratch = Scratch::new();
        for file in files {
            let path = scratch.path(file);
            fs::create_dir_all(path.parent().expect("a folder")).expect("ours");
            fs::write(path, content).expect("ours");
        }
        let judged = report(&["--json", "--sysroot", text(&scratch.0)]);
        let goals = judged["goals"].as_array().expect("a list");
        let ready = goals.iter().filter(|goal| goal["status"] == "ready");
        assert_eq!(ready.count(), 0, "{content:?}");
    }
}

#[test]
fn any_file_may_be_given_as_an_object() {
    let scratch = Scratch::new();
    let object = Path::new(env!("CARGO_MANIFEST_DIR")).join("ebpf/objects/smoke.bpf.o");
    let whole = fs::read(&object).expect("our own object");
    let judged = report(&["--json", "--object", text(&object)]);
    let goals = judged["goals"].as_array().expect("a list");
    assert_eq!(goals.last().expect("one")["id"], "object");
    let status = |path: &Path| {
        let judged = report(&["--json", "--only", "seccomp", "--object", text(path)]);
        let checks = judged["checks"].as_array().expect("a list").clone();
        let found = checks
            .into_iter()
            .find(|check| check["id"] == "object-broken");
        found.map(|check| (check["status"].clone(), check["evidence"][0].clone()))
    };
    for (name, content) in [
        ("empty", &whole[..0]),
        ("cut", &whole[..whole.len() / 2]),
        ("text", &b"#!/bin/sh\n"[..]),
        ("magic", &b"\x7fELF"[..]),
    ] {
        let path = scratch.path(name);
        fs::write(&path, content).expect("ours");
        let (status, why) = status(&path).expect(name);
        assert_eq!(status, "blocked", "{name}: {why}");
    }
    // A program carries its objects within.
    assert_eq!(status(Path::new(DENET)), None);
}

#[test]
fn every_page_can_be_printed() {
    for (id, _) in denet::checks::pages::all() {
        let page = run(&["--explain", id]);
        assert_eq!(page.status.code(), Some(0), "{id}");
        assert!(stdout(&page).starts_with(&format!("# {id}\n")), "{id}");
    }
}
