//! Every program is given hostile facts, objects, recordings, hosts, names and arguments: it sends the terminal no
//! control characters, and nothing that reads as something else.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use denet::facts::Facts;
use serde::Deserialize as _;
use serde_json::{Map, Value, json};

use crate::hosts;
use crate::support::escapes::{HOSTILE, harmless, script, shown};
use crate::support::processes::Blocked;
use crate::support::wait::wait_until;
use crate::support::{DENET, EBPF_DIAG, EBPF_TEST, Scratch, denet, executable, output, xdp_object};

/// [`HOSTILE`] escaped as in C, for a shell, and as JSON.
const ESCAPED: [&str; 3] = [
    r"\u{202e}\u{9b}\u{200b}\x1b[31m\x07\n",
    r"\u202e\u009b\u200b\x1b[31m\x07\n",
    r"\u202e\u009b\u200b\u001b[31m\u0007\n",
];

fn of(program: &str, arguments: &[impl AsRef<OsStr>]) -> Command {
    let mut command = Command::new(program);
    command
        .args(arguments)
        .stdin(Stdio::null())
        .env_remove("RUST_LOG");
    command
}

/// Its output is harmless, and contains the hostile name.
fn names_it(command: &mut Command) {
    let text = shown(command);
    let is_named = ESCAPED.iter().any(|escaped| text.contains(escaped));
    assert!(is_named, "{command:?}: {text}");
}

#[test]
fn arguments_in_parser_errors_are_escaped() {
    let option = format!("--{HOSTILE}");
    let expression = format!("trace={HOSTILE}");
    for arguments in [
        &[option.as_str()][..],
        &[HOSTILE],
        &["run", option.as_str()],
        &["--enable-ebpf", HOSTILE, "run", "true"],
        &["--duration", HOSTILE, "run", "true"],
        &["--interval", HOSTILE, "run", "true"],
        &["--format", HOSTILE, "run", "true"],
        &["--top", HOSTILE, "run", "true"],
        &["attach", HOSTILE],
        &["attach", "1", option.as_str()],
        &["monitor", HOSTILE],
        &["monitor", "exec", option.as_str()],
        &["monitor", "exec", "--user", HOSTILE],
        &["monitor", "net", "--hook", HOSTILE],
        &["monitor", "xdp", "lo", "--mode", HOSTILE],
        &["trace", "-e", expression.as_str()],
        &["trace", "-e", HOSTILE],
        &["trace", "--pid", HOSTILE],
        &["stats", "-", HOSTILE],
        &["setup", HOSTILE],
        &["setup", "--with", HOSTILE],
        &["setup", "--profile", HOSTILE],
    ] {
        shown(&mut of(DENET, arguments));
    }
    names_it(&mut of(DENET, &[HOSTILE]));
    names_it(&mut of(DENET, &["attach", HOSTILE]));
    for program in [EBPF_DIAG, EBPF_TEST] {
        names_it(&mut of(program, &[&option]));
        names_it(&mut of(program, &[HOSTILE]));
    }
    for named in ["--only", "--skip", "--explain"] {
        names_it(&mut of(EBPF_DIAG, &[named, HOSTILE]));
    }
    names_it(&mut of(EBPF_TEST, &["--syscall", HOSTILE]));
}

#[test]
fn arguments_that_are_not_utf_8_are_escaped() {
    let raw = [b"\xff\xe2\x80".as_slice(), HOSTILE.as_bytes()].concat();
    let option = [b"--".as_slice(), &raw].concat();
    let (raw, option) = (OsStr::from_bytes(&raw), OsStr::from_bytes(&option));
    for program in [DENET, EBPF_DIAG, EBPF_TEST] {
        shown(&mut of(program, &[option]));
        shown(&mut of(program, &[raw]));
    }
    for verb in ["run", "stats"] {
        shown(&mut of(DENET, &[verb.as_ref(), raw]));
    }
    shown(&mut of(DENET, &["setup".as_ref(), "--user".as_ref(), raw]));
    for option in ["--as-user", "--facts", "--object", "--binary", "--sysroot"] {
        shown(&mut of(EBPF_DIAG, &[option.as_ref(), raw]));
    }
}

#[test]
fn the_programs_own_name_is_escaped() {
    for program in [DENET, EBPF_DIAG, EBPF_TEST] {
        for argument in ["--help", "--version", "--wrong"] {
            shown(of(program, &[argument]).arg0(HOSTILE));
        }
    }
}

#[test]
fn names_of_missing_files_are_escaped() {
    let scratch = Scratch::new();
    let missing = scratch.path(HOSTILE).join("x");
    let missing = missing.to_str().expect("text");
    let own = std::process::id().to_string();
    for arguments in [
        &["run", HOSTILE][..],
        &["run", missing],
        &["--out", missing, "run", "true"],
        &["--out", missing, "attach", own.as_str()],
        &["--out", missing, "monitor", "exec"],
        &["--out", missing, "monitor", "net"],
        &["--out", missing, "trace", "--", "true"],
        &["attach", "--cgroup", missing],
        &["monitor", "exec", "--cgroup", missing],
        &["stats", missing],
        &["setup", "--root", missing],
        &["setup", "--user", HOSTILE],
        &["setup", "--prefix", HOSTILE],
    ] {
        shown(&mut of(DENET, arguments));
    }
    for arguments in [&["run", missing][..], &["stats", missing]] {
        names_it(&mut of(DENET, arguments));
    }
    for option in [
        "--facts",
        "--object",
        "--binary",
        "--sysroot",
        "--save-facts",
        "--as-user",
    ] {
        names_it(&mut of(EBPF_DIAG, &[option, missing]));
    }
    // Without privileges, denet does not get that far.
    for options in [&[][..], &["--pin", missing], &["--unpin", missing]] {
        let arguments = [&["--duration", "0.1", "monitor", "xdp", HOSTILE], options].concat();
        shown(&mut of(DENET, &arguments));
    }
}

#[test]
fn commands_are_escaped_in_every_report() {
    let scratch = Scratch::new();
    let program = script(&scratch.0);
    let out = scratch.path("records");
    for options in [
        &[][..],
        &["--threads", "--interval", "5", "--no-update"],
        &["--interval", "5", "--top", "0", "--enable-ebpf=auto"],
        &["--json", "--write-env"],
        &["--format", "csv", "--exclude-children"],
        &["--no-polling", "--debug"],
    ] {
        let mut command = denet(options);
        command.args(["run", "--"]).arg(&program);
        names_it(command.args(["both", HOSTILE]));
    }
    let recorded = output(
        denet(["--quiet", "--out"])
            .arg(&out)
            .args(["run", "--"])
            .arg(&program),
    );
    harmless(&recorded);
    let records = fs::read_to_string(&out).expect("written");
    assert!(records.contains(ESCAPED[2]), "{records}");
    for options in [&["stats"][..], &["stats", "--json"]] {
        names_it(denet(options).arg(&out));
    }
    // A file that cannot be executed.
    let plain = scratch.path("folder");
    fs::create_dir(&plain).expect("ours");
    let plain = plain.join(HOSTILE);
    fs::write(&plain, "").expect("ours");
    names_it(denet(["run", "--"]).arg(&plain));
    executable(&plain, b"#!/no/\x1b[31m\x07/interpreter\n");
    names_it(denet(["run", "--"]).arg(&plain));
}

#[test]
fn names_of_processes_left_running_are_escaped() {
    let scratch = Scratch::new();
    let mut child = denet(["--adopt", "run", "--"])
        .arg(script(&scratch.0))
        .arg("left")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("denet starts");
    let held = child.stdin.take();
    let text = harmless(&child.wait_with_output().expect("it ends"));
    drop(held);
    let line = text.lines().find(|line| line.starts_with("running"));
    assert!(line.is_some_and(|line| line.contains(ESCAPED[0])), "{text}");
}

#[test]
fn the_name_of_an_attached_process_is_escaped() {
    let scratch = Scratch::new();
    let mut reader = Command::new(script(&scratch.0))
        .arg("read")
        .stdin(Stdio::piped())
        .spawn()
        .expect("it starts");
    let pid = reader.id().to_string();
    let comm = format!("/proc/{pid}/comm");
    wait_until("it runs under its name", || {
        fs::read_to_string(&comm).is_ok_and(|name| name == format!("{HOSTILE}\n"))
    });
    for options in [&[][..], &["--json"], &["--enable-ebpf=auto"]] {
        let mut attach = denet(["--duration", "0.1"]);
        let text = shown(attach.args(options).args(["attach", &pid]));
        assert!(text.contains(r"\u202e"), "{text}");
    }
    drop(reader.stdin.take());
    reader.wait().expect("it ends");
    let bystander = Blocked::start();
    let pid = bystander.id().to_string();
    shown(
        denet(["--duration", "0.1", "--out"])
            .arg(scratch.path(HOSTILE).join("x"))
            .args(["attach", &pid]),
    );
}

/// The places of all strings.
fn strings(value: &Value, at: &str, found: &mut Vec<String>) {
    match value {
        Value::String(_) => found.push(at.to_owned()),
        Value::Array(all) => {
            for (index, each) in all.iter().enumerate() {
                strings(each, &format!("{at}/{index}"), found);
            }
        }
        Value::Object(fields) => {
            for (name, field) in fields {
                let name = name.replace('~', "~0").replace('/', "~1");
                strings(field, &format!("{at}/{name}"), found);
            }
        }
        _ => {}
    }
}

fn add_to(value: &mut Value, places: &[String]) {
    for place in places {
        if let Some(Value::String(text)) = value.pointer_mut(place) {
            text.push_str(HOSTILE);
        }
    }
}

/// Adds hostile text to as many strings as possible: not to names of enum variants.
fn add_where_possible(facts: &mut Value, places: &[String]) -> usize {
    let mut altered = facts.clone();
    add_to(&mut altered, places);
    if Facts::deserialize(&altered).is_ok() {
        *facts = altered;
        return places.len();
    }
    match places.split_at(places.len() / 2) {
        ([], _) => 0,
        (one, other) => add_where_possible(facts, one) + add_where_possible(facts, other),
    }
}

/// Replaces each known fact by a failure with a hostile reason.
fn unreadable(value: &mut Value) {
    match value {
        Value::Object(fields) if fields.contains_key("known") => {
            *value = json!({"failed": HOSTILE});
        }
        Value::Object(fields) => fields.values_mut().for_each(unreadable),
        Value::Array(all) => all.iter_mut().for_each(unreadable),
        _ => {}
    }
}

fn judged(facts: &str, scratch: &Scratch) -> String {
    let file = scratch.path("facts.json");
    fs::write(&file, facts).expect("ours");
    let mut all = String::new();
    for option in ["--facts", "--json", "--debug"] {
        let mut command = of(EBPF_DIAG, &["--facts".as_ref(), file.as_os_str()]);
        if option != "--facts" {
            command.arg(option);
        }
        all += &shown(&mut command);
    }
    all
}

fn recorded_facts() -> Vec<String> {
    let facts = |host: &PathBuf| fs::read_to_string(host.join("facts.json")).ok();
    hosts::hosts().iter().filter_map(facts).collect()
}

#[test]
fn facts_are_escaped() {
    let scratch = Scratch::new();
    for text in recorded_facts() {
        let mut facts: Value = serde_json::from_str(&text).expect("facts");
        let mut places = Vec::new();
        strings(&facts, "", &mut places);
        // The verifier's log is shown line by line.
        places.retain(|place| {
            let text = facts.pointer(place).and_then(Value::as_str);
            text.is_some_and(|text| !text.contains('\n'))
        });
        let added = add_where_possible(&mut facts, &places);
        assert!(added > 20, "{added} of {}", places.len());
        let report = judged(&facts.to_string(), &scratch);
        assert!(
            report.contains(ESCAPED[0]) && report.contains(ESCAPED[2]),
            "{report}"
        );
        unreadable(&mut facts);
        let report = judged(&facts.to_string(), &scratch);
        assert!(report.contains(ESCAPED[0]), "{report}");
    }
}

#[test]
fn errors_about_invalid_facts_are_escaped() {
    let scratch = Scratch::new();
    let text = recorded_facts().pop().expect("a host");
    let hostile = json!(HOSTILE).to_string();
    for facts in [
        HOSTILE.to_owned(),
        hostile.clone(),
        format!("{{\"schema\": {hostile}}}"),
        format!("{{\"schema\": 1, {hostile}: 1}}"),
        text.replacen("\"known\"", &hostile, 1),
        text.replacen("\"absent\"", &hostile, 1),
    ] {
        judged(&facts, &scratch);
    }
    let text = judged(&text.replacen("\"known\"", &hostile, 1), &scratch);
    assert!(text.contains(ESCAPED[0]), "{text}");
}

#[test]
fn text_from_files_of_a_host_is_escaped() {
    let trees = hosts::hosts().into_iter().map(|host| host.join("root"));
    let mut judged = 0;
    for tree in trees.filter(|tree| tree.is_dir()) {
        let scratch = Scratch::new();
        let root = scratch.path("root");
        let copied = output(Command::new("cp").arg("-a").arg(&tree).arg(&root));
        assert!(copied.status.success());
        make_hostile(&root);
        let options = [&[][..], &["--json"], &["--debug"], &["--as-user", "0"]];
        for options in options {
            let mut command = of(EBPF_DIAG, &["--sysroot".as_ref(), root.as_os_str()]);
            shown(command.args(options));
        }
        judged += 1;
    }
    assert!(judged > 0, "no tree of files");
}

/// Replaces each line break in text files by hostile characters.
fn make_hostile(folder: &Path) {
    for entry in fs::read_dir(folder).expect("ours").flatten() {
        let (path, kind) = (entry.path(), entry.file_type().expect("ours"));
        if kind.is_dir() {
            make_hostile(&path);
        } else if let (true, Ok(text)) = (kind.is_file(), fs::read_to_string(&path)) {
            fs::write(&path, text.replace('\n', HOSTILE)).expect("ours");
        }
    }
}

#[test]
fn names_within_an_object_are_escaped() {
    let scratch = Scratch::new();
    let file = scratch.path("x.o");
    let tree = scratch.path("root");
    fs::create_dir_all(tree.join("proc")).expect("ours");
    let object = xdp_object();
    let renamed = |from: &[u8], to: &[u8]| {
        assert_eq!(from.len(), to.len());
        let at = object.windows(from.len()).position(|bytes| bytes == from);
        let at = at.expect("a name");
        [&object[..at], to, &object[at + from.len()..]].concat()
    };
    for (from, to) in [
        (&b"\0pass\0"[..], "\0\u{9b}\u{1b}\u{7}\0"),
        (b"\0xdp\0", "\0\u{202e}\0"),
        (b"\0xdp\0", "\0\u{1b}\u{7}\n\0"),
        (b"\0.symtab\0", "\0\u{1b}[31m\u{7}\n\0"),
        (b"\0.strtab\0", "\0\u{1b}[31m\u{7}\n\0"),
    ] {
        fs::write(&file, renamed(from, to.as_bytes())).expect("ours");
        shows_object(&file, &tree);
    }
    fs::write(&file, renamed(b"\0pass\0", b"\0\xff\x1b\x07\n\0")).expect("ours");
    shows_object(&file, &tree);
    fs::write(&file, HOSTILE.repeat(10)).expect("ours");
    shows_object(&file, &tree);
    let named = scratch.path(HOSTILE);
    fs::write(&named, object).expect("ours");
    shows_object(&named, &tree);
}

fn shows_object(file: &Path, tree: &Path) {
    for option in ["--object", "--json", "--debug"] {
        let mut command = of(EBPF_DIAG, &["--object".as_ref(), file.as_os_str()]);
        command.arg("--sysroot").arg(tree);
        if option != "--object" {
            command.arg(option);
        }
        shown(&mut command);
    }
}

#[test]
fn the_name_of_a_binary_is_escaped() {
    let scratch = Scratch::new();
    let binary = script(&scratch.0);
    for options in [&[][..], &["--json"], &["--as-user", "0"]] {
        names_it(of(EBPF_DIAG, &["--binary".as_ref(), binary.as_os_str()]).args(options));
    }
}

/// A record with hostile text in strings and in a field's name.
fn hostile_record(record: &Value) -> Value {
    match record {
        Value::String(text) => format!("{text}{HOSTILE}").into(),
        Value::Array(all) => all.iter().map(hostile_record).collect(),
        Value::Object(fields) => {
            let kept = |name: &str| ["kind", "schema"].contains(&name);
            let mut hostile: Map<String, Value> = fields
                .iter()
                .map(|(name, field)| match kept(name) {
                    true => (name.clone(), field.clone()),
                    false => (name.clone(), hostile_record(field)),
                })
                .collect();
            hostile.insert(HOSTILE.to_owned(), 1.into());
            hostile.into()
        }
        other => other.clone(),
    }
}

#[test]
fn recordings_are_escaped() {
    let scratch = Scratch::new();
    let file = scratch.path(HOSTILE);
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/recordings");
    for entry in fs::read_dir(folder).expect("ours").flatten() {
        let text = fs::read_to_string(entry.path()).expect("text");
        let hostile = |line: &str| match serde_json::from_str::<Value>(line) {
            Ok(record) => format!("{}\n", hostile_record(&record)),
            Err(_) => format!("{line}{HOSTILE}"),
        };
        let text: String = text.lines().map(hostile).collect();
        let odd = json!({"kind": HOSTILE});
        fs::write(&file, format!("{text}{odd}\n{HOSTILE}")).expect("ours");
        for options in [
            &["stats"][..],
            &["stats", "--json"],
            &["stats", "--top", "0"],
        ] {
            shown(denet(options).arg(&file));
        }
    }
    for text in [HOSTILE.to_owned(), json!({"kind": HOSTILE}).to_string()] {
        fs::write(&file, text).expect("ours");
        names_it(denet(["stats"]).arg(&file));
    }
}

#[test]
fn setup_output_is_escaped() {
    let scratch = Scratch::new();
    let root = scratch.path(HOSTILE);
    for folder in ["etc", "var/lib/denet", "usr/local/bin"] {
        fs::create_dir_all(root.join(folder)).expect("ours");
    }
    let files = [
        (
            "passwd",
            "root:x:0:0::/:/bin/sh\nann:x:1000:1000::/:/bin/sh\n",
        ),
        (
            "group",
            "root:x:0:\ntracing:x:990:\u{1b}[31m\u{7}\u{202e}\n",
        ),
        ("gshadow", "root:*::\n"),
    ];
    for (name, text) in files {
        fs::write(root.join("etc").join(name), text).expect("ours");
    }
    let prefix = format!("/opt/{HOSTILE}");
    let sysctl = format!("sysctl={HOSTILE}={HOSTILE}");
    for options in [
        &[][..],
        &["--user", "ann"],
        &["--user", HOSTILE],
        &["--prefix", prefix.as_str()],
        &["--profile", "documented", "--with", "xdp"],
        &["--with", sysctl.as_str()],
        &["--status"],
        &["--rollback"],
        // Without a terminal nothing is changed.
        &["--apply"],
    ] {
        for json in [&[][..], &["--json"]] {
            let mut command = denet(["setup", "--root"]);
            shown(command.arg(&root).args(options).args(json));
            // On this machine itself nothing may be changed.
            if !options.contains(&"--apply") && !options.contains(&"--rollback") {
                let mut command = denet(["setup"]);
                shown(command.args(options).args(json).env("SUDO_USER", HOSTILE));
            }
        }
    }
    let arguments: [OsString; 3] = ["setup".into(), "--root".into(), root.join("none").into()];
    names_it(&mut denet(arguments));
}

#[test]
#[cfg(feature = "test-hooks")]
fn the_name_of_a_btf_file_is_escaped() {
    shown(&mut of(EBPF_TEST, &["--btf", HOSTILE]));
    shown(&mut of(
        DENET,
        &["--enable-ebpf", "--btf", HOSTILE, "run", "true"],
    ));
}
