//! The files of setup/: each is read by what it is for, and does what the README says of it. What they
//! do on a system is tests/image's.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use super::root;

fn setup() -> PathBuf {
    root().join("setup")
}

fn read(path: &str) -> String {
    let path = setup().join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// An empty folder of the test's own.
fn scratch(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).expect("room in the target folder");
    folder
}

fn output(command: &mut Command) -> Output {
    command
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"))
}

fn said(output: &Output) -> String {
    let (out, err) = (&output.stdout, &output.stderr);
    format!(
        "{}{}",
        String::from_utf8_lossy(out),
        String::from_utf8_lossy(err)
    )
}

/// Installed files, as their place below setup/ and the path that their first line names.
const INSTALLED: [&str; 8] = [
    "denet.toml",
    "sysusers.d/denet.conf",
    "systemd/sys-kernel-tracing.mount.d/denet.conf",
    "systemd/denet-tracefs.service",
    "udev/70-denet-tracefs.rules",
    "documented/99-denet.conf",
    "documented/denet-tracefs-write.service",
    "documented/sys-kernel-debug.mount.d/denet.conf",
];

#[test]
fn every_file_says_where_it_goes_and_the_readme_says_the_same() {
    let mut files = Vec::new();
    super::collect(&setup(), &mut files);
    let others = ["README.md", "setup_tracefs_permissions.sh"];
    assert_eq!(files.len(), INSTALLED.len() + others.len(), "{files:?}");
    let readme = read("README.md");
    for file in INSTALLED {
        let text = read(file);
        let to = text
            .lines()
            .next()
            .and_then(|line| line.strip_prefix("# /"));
        let to = to.unwrap_or_else(|| panic!("{file} does not begin with its path"));
        let row = format!("| [{file}]({file}) | `/{to}` |");
        assert!(readme.contains(&row), "setup/README.md has no row {row}");
        let exposes = text.contains("What it exposes: ");
        let opens = file.starts_with("documented/") || file == "denet.toml";
        assert_eq!(exposes, opens, "{file}");
    }
}

/// What `systemd-analyze verify` says of the units in a folder. It exits with 0 whatever it finds.
fn verified(folder: &Path) -> String {
    let mut analyze = Command::new("systemd-analyze");
    analyze.args(["verify", "--man=no"]).args([
        "denet-tracefs.service",
        "denet-tracefs-write.service",
        "sys-kernel-tracing.mount",
        "sys-kernel-debug.mount",
    ]);
    // The machine's own units behind ours.
    said(&output(
        analyze.env("SYSTEMD_UNIT_PATH", format!("{}:", folder.display())),
    ))
}

#[test]
fn systemd_reads_the_units_and_drop_ins() {
    let folder = scratch("units");
    for from in ["systemd", "documented"] {
        super::run(
            Command::new("cp")
                .args(["-r", "-T"])
                .arg(setup().join(from))
                .arg(&folder),
        );
    }
    assert_eq!(verified(&folder), "");
    // So that silence means something: an error in each is found.
    for file in INSTALLED.map(Path::new) {
        let name = file.iter().skip(1).collect::<PathBuf>();
        let file = folder.join(name);
        let Ok(good) = std::fs::read_to_string(&file) else {
            continue;
        };
        if !good.contains("[Unit]") && !good.contains("[Mount]") {
            continue;
        }
        std::fs::write(&file, format!("{good}\nNoSuchOption=yes\n")).expect("writable");
        let text = verified(&folder);
        assert!(text.contains("NoSuchOption"), "{}: {text}", file.display());
        std::fs::write(&file, good).expect("writable");
    }
}

#[test]
fn the_services_are_as_closed_as_can_be() {
    for unit in [
        "systemd/denet-tracefs.service",
        "documented/denet-tracefs-write.service",
    ] {
        // In tenths: OK ends and medium begins at 5.0; nothing confined at all is 9.6.
        let mut analyze = Command::new("systemd-analyze");
        analyze.args(["security", "--offline=yes", "--threshold=15"]);
        let output = output(analyze.arg(setup().join(unit)));
        assert!(output.status.success(), "{}", said(&output));
    }
}

#[test]
fn no_mount_option_is_lost() {
    for file in INSTALLED {
        for line in read(file).lines() {
            if line.starts_with("Options=") || line.contains("/mount -o remount") {
                assert!(line.contains("nosuid,nodev,noexec,"), "{file}: {line}");
            }
        }
    }
}

/// `KEY=="value"` with the keys and operators of udev(7) that the rule uses: a line that udev cannot
/// read it leaves out, and goes on. `udevadm verify` (from 254 on) is asked too, where there is one;
/// tests/image shows that udev runs the rule.
#[test]
fn the_rule_is_one_line_that_udev_reads() {
    let text = read("udev/70-denet-tracefs.rules");
    let rules = text
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'));
    let rules: Vec<_> = rules.collect();
    let [rule] = rules[..] else {
        panic!("{rules:?}");
    };
    let matches = [
        "ACTION==",
        "SUBSYSTEM==",
        "ENV{SYNTH_UUID}!=",
        "TEST==",
        "RUN+=",
    ];
    for (part, key) in rule.split(", ").zip(matches) {
        let value = part.strip_prefix(key).and_then(|it| it.strip_prefix('"'));
        let value = value.and_then(|it| it.strip_suffix('"'));
        assert!(value.is_some_and(|it| !it.contains('"')), "{part}");
    }
    assert_eq!(rule.split(", ").count(), matches.len());
    let verify = |file: &Path| Command::new("udevadm").arg("verify").arg(file).output();
    if verify(Path::new("--help")).is_ok_and(|it| it.status.success()) {
        let output = verify(&setup().join("udev/70-denet-tracefs.rules")).expect("it ran before");
        assert!(output.status.success(), "{}", said(&output));
    }
}

/// The wrapper in a folder of its own, with `denet` beside it or not, run by whom `id -u` says.
fn wrapper(name: &str, uid: &str, denet: Option<&str>) -> Output {
    let folder = scratch(name).join("setup");
    std::fs::create_dir(&folder).expect("a new folder");
    let script = folder.join("setup_tracefs_permissions.sh");
    std::fs::copy(setup().join("setup_tracefs_permissions.sh"), &script).expect("the script");
    let executable = |path: &Path, text: &str| {
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("writable");
        std::fs::write(path, text).expect("writable");
        std::fs::set_permissions(path, PermissionsExt::from_mode(0o755)).expect("ours");
    };
    let bin = folder.join("bin");
    executable(&bin.join("id"), &format!("#!/bin/sh\necho {uid}\n"));
    if let Some(place) = denet {
        let fake = "#!/bin/sh\nprintf '%s\\n' \"$0\" \"$@\"\nexit 7\n";
        executable(&folder.join(place), fake);
    }
    let path = format!("{}:/usr/bin:/bin", bin.display());
    output(
        Command::new("dash")
            .arg(script)
            .args(["--debug", "--user", "a b"])
            .env("PATH", path),
    )
}

#[test]
fn the_wrapper_hands_on_to_denet() {
    super::run(
        Command::new("dash")
            .arg("-n")
            .arg(setup().join("setup_tracefs_permissions.sh")),
    );
    for place in ["denet", "bin/denet", "../target/release/denet"] {
        let output = wrapper("wrapper-found", "0", Some(place));
        let text = said(&output);
        let lines: Vec<_> = text.lines().skip(1).collect();
        assert_eq!(
            lines,
            ["setup", "--apply", "--debug", "--user", "a b"],
            "{text}"
        );
        assert!(text.contains(place), "{text}");
        assert_eq!(output.status.code(), Some(7), "denet's own");
    }
}

#[test]
fn the_wrapper_says_what_is_missing() {
    let missing = wrapper("wrapper-missing", "0", None);
    assert_eq!(missing.status.code(), Some(125));
    assert!(
        said(&missing).contains("cargo build --release"),
        "{}",
        said(&missing)
    );
    let unprivileged = wrapper("wrapper-user", "1000", Some("denet"));
    assert_eq!(unprivileged.status.code(), Some(125));
    assert!(
        said(&unprivileged).contains("needs root: sudo "),
        "{}",
        said(&unprivileged)
    );
}
