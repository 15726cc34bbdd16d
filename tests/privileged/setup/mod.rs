//! `denet setup` on an image in a folder: what it makes, that it is undone to the byte, and what a kill
//! at any point leaves. No kernel matters for that, so guests leave these tests out; a system that runs
//! is for `provisioned` and tests/image.

mod hostile;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;

use crate::need_root;
use crate::support::{DENET, Scratch, denet, output, stderr, stdout};

const PASSWD: &str = "root:x:0:0::/root:/bin/sh\nalice:x:1000:1000::/home/alice:/bin/sh\n";
const GROUP: &str = "root:x:0:\nusers:x:100:alice\n";
const GSHADOW: &str = "root:*::\nusers:*::alice\n";

/// A system with systemd, as far as setup looks.
fn image(scratch: &Scratch) -> PathBuf {
    let root = scratch.path("image");
    tools(scratch);
    for folder in [
        "etc/systemd/system",
        "usr/lib/systemd",
        "usr/local/bin",
        "usr/bin",
        "var/lib",
    ] {
        fs::create_dir_all(root.join(folder)).expect("ours");
    }
    let put = |path: &str, text: &str| fs::write(root.join(path), text).expect("ours");
    put("etc/passwd", PASSWD);
    put("etc/group", GROUP);
    put("etc/gshadow", GSHADOW);
    put("usr/lib/systemd/systemd", "");
    fs::set_permissions(root.join("etc/gshadow"), fs::Permissions::from_mode(0o640)).expect("ours");
    root
}

/// denet, and in place of its other programs small ones with the same notes, which are installed faster.
fn tools(scratch: &Scratch) {
    let folder = scratch.path("tools");
    fs::create_dir(&folder).expect("ours");
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).expect("ours");
    let stripped = Command::new("strip")
        .args(["-o", &folder.join("denet").display().to_string(), DENET])
        .output();
    assert!(stripped.is_ok_and(|done| done.status.success()));
    for name in ["ebpf_diag", "ebpf_test"] {
        claiming(scratch, name, env!("CARGO_PKG_VERSION"), &folder.join(name));
    }
}

/// A small program with the note of one of denet's.
fn claiming(scratch: &Scratch, name: &str, version: &str, to: &Path) {
    let text = format!("{name} {version}");
    let words = [6, text.len() as u32, 1].map(u32::to_le_bytes).concat();
    let mut note = [&words[..], b"denet\0\0\0", text.as_bytes()].concat();
    note.resize(note.len().next_multiple_of(4), 0);
    let file = scratch.path("note");
    fs::write(&file, note).expect("ours");
    let section = format!(".note.denet={}", file.display());
    let mut objcopy = Command::new("objcopy");
    let done = output(
        objcopy
            .args(["--add-section", &section, "/bin/true"])
            .arg(to),
    );
    assert!(done.status.success(), "{}", stderr(&done));
    fs::set_permissions(to, fs::Permissions::from_mode(0o755)).expect("ours");
}

fn setup(root: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(root.with_file_name("tools/denet"));
    command.arg("setup").arg("--root").arg(root).args(arguments);
    output(command.stdin(Stdio::null()).env_remove("SUDO_USER"))
}

/// As one line: where it is broken depends on the names.
fn unbroken(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn done(root: &Path, arguments: &[&str]) -> String {
    let ended = setup(root, arguments);
    assert!(
        ended.status.success(),
        "{arguments:?}: {}{}",
        stdout(&ended),
        stderr(&ended)
    );
    unbroken(&stdout(&ended))
}

const APPLY: [&str; 4] = ["--apply", "--yes", "--user", "alice"];

/// Everything below: kind, mode, owner, attributes and content.
fn snapshot(root: &Path) -> BTreeMap<PathBuf, String> {
    fn below(at: &Path, root: &Path, all: &mut BTreeMap<PathBuf, String>) {
        for entry in fs::read_dir(at).expect("ours").flatten() {
            let path = entry.path();
            let stat = fs::symlink_metadata(&path).expect("ours");
            let what = if stat.is_symlink() {
                format!("-> {}", fs::read_link(&path).expect("ours").display())
            } else if stat.is_dir() {
                below(&path, root, all);
                String::new()
            } else {
                let capability = output(Command::new("getcap").arg(&path));
                let content = fs::read(&path).expect("ours");
                let capability = stdout(&capability).replace(path.to_str().expect("ours"), "");
                format!(
                    "{capability}{:x?}",
                    content.iter().take(4096).collect::<Vec<_>>()
                )
            };
            let (mode, uid, gid, size) = (stat.mode(), stat.uid(), stat.gid(), stat.size());
            let size = if stat.is_dir() { 0 } else { size };
            let line = format!("{mode:o} {uid}:{gid} {size} {what}");
            all.insert(path.strip_prefix(root).expect("below").to_owned(), line);
        }
    }
    let mut all = BTreeMap::new();
    below(root, root, &mut all);
    all
}

#[test]
fn what_is_applied_is_there_and_is_undone_to_the_byte() {
    need_root();
    let scratch = Scratch::new();
    let root = image(&scratch);
    let before = snapshot(&root);
    let plan = done(&root, &["--user", "alice"]);
    assert!(plan.contains("Nothing was changed"), "{plan}");
    assert_eq!(plan.matches("sudo").count(), 1, "{plan}");
    let again = format!("sudo denet setup --root {}", root.display());
    assert!(plan.ends_with(&format!("{again} --apply")), "{plan}");
    assert_eq!(snapshot(&root), before, "a plan changes nothing");

    let applied = done(&root, &APPLY);
    assert!(
        applied.ends_with(&format!("{again} --rollback")),
        "{applied}"
    );
    let group = fs::read_to_string(root.join("etc/group")).expect("ours");
    assert!(group.ends_with("\ntracing:x:999:alice\n"), "{group}");
    let binary = root.join("usr/local/bin/denet");
    let stat = fs::metadata(&binary).expect("installed");
    assert_eq!(
        (stat.mode() & 0o7777, stat.uid(), stat.gid()),
        (0o750, 0, 999)
    );
    let caps = stdout(&output(Command::new("getcap").arg(&binary)));
    assert!(caps.contains("cap_perfmon,cap_bpf=ep"), "{caps}");
    let installed = root.join("etc/systemd/system/denet-tracefs.service");
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("setup/systemd/denet-tracefs.service");
    assert_eq!(fs::read(installed).ok(), fs::read(shipped).ok());

    let applied = snapshot(&root);
    let again = done(&root, &APPLY);
    assert!(again.contains("0 changes made"), "{again}");
    assert_eq!(
        snapshot(&root),
        applied,
        "the second time nothing is changed"
    );
    done(&root, &["--status"]);
    done(&root, &["--rollback"]);
    assert_eq!(snapshot(&root), before);
    let nothing = done(&root, &["--rollback"]);
    assert!(nothing.contains("nothing was set up"), "{nothing}");
}

/// Applies until the kill, then goes on as told; what is left must be as before.
fn killed_at(boundary: u32, then: &[&[&str]]) -> bool {
    let scratch = Scratch::new();
    let root = image(&scratch);
    let before = snapshot(&root);
    let number = boundary.to_string();
    let mut arguments = APPLY.to_vec();
    arguments.extend(["--die-at", &number]);
    let ended = setup(&root, &arguments);
    // An incomplete state is reported as such.
    let status = setup(&root, &["--status"]);
    let text = unbroken(&stdout(&status));
    let all_holds = status.status.success() && !text.contains("nothing was set up");
    let complete = text.matches('✓').count() > 10;
    assert!(
        !all_holds || complete && !text.contains('✗'),
        "killed at boundary {boundary}: {text}"
    );
    if !ended.status.success() && all_holds {
        // It was killed after the last line of the journal was written, so nothing is left to do.
        assert_eq!(
            done(&root, &APPLY).matches("by ").count(),
            0,
            "boundary {boundary}"
        );
    }
    for verb in then {
        done(&root, verb);
    }
    assert_eq!(
        snapshot(&root),
        before,
        "killed at boundary {boundary}, then {then:?}"
    );
    ended.status.success()
}

#[test]
fn killed_at_any_point_it_is_undone() {
    need_root();
    let mut boundary = 1;
    while !killed_at(boundary, &[&["--rollback"]]) {
        boundary += 1;
        assert!(boundary < 200, "it never comes to an end");
    }
    assert!(boundary > 20, "only {boundary} boundaries");
}

#[test]
fn killed_at_any_point_it_goes_on() {
    need_root();
    let mut boundary = 1;
    while !killed_at(boundary, &[&APPLY, &["--status"], &["--rollback"]]) {
        boundary += 2;
    }
}

#[test]
fn a_rollback_that_is_killed_goes_on() {
    need_root();
    for boundary in ["1", "4", "9"] {
        let scratch = Scratch::new();
        let root = image(&scratch);
        let before = snapshot(&root);
        done(&root, &APPLY);
        setup(&root, &["--rollback", "--die-at", boundary]);
        done(&root, &["--rollback"]);
        assert_eq!(snapshot(&root), before, "killed at {boundary}");
    }
}

#[test]
fn an_upgraded_binary_is_noticed_and_mended() {
    need_root();
    let scratch = Scratch::new();
    let root = image(&scratch);
    let before = snapshot(&root);
    done(&root, &APPLY);
    let binary = root.join("usr/local/bin/denet");
    let copied = output(Command::new("cp").arg("/bin/true").arg(&binary));
    assert!(copied.status.success());
    let status = setup(&root, &["--status"]);
    assert_eq!(status.status.code(), Some(1));
    assert!(
        unbroken(&stdout(&status)).contains("content, capabilities lost"),
        "{}",
        stdout(&status)
    );
    done(&root, &APPLY);
    done(&root, &["--status"]);
    done(&root, &["--rollback"]);
    assert_eq!(snapshot(&root), before);
}

#[test]
fn what_others_changed_since_is_left_alone_and_named() {
    need_root();
    let scratch = Scratch::new();
    let root = image(&scratch);
    done(&root, &APPLY);
    let unit = root.join("etc/systemd/system/denet-tracefs.service");
    fs::write(&unit, "[Unit]\nDescription=mine\n").expect("ours");
    let group = root.join("etc/group");
    let text = fs::read_to_string(&group).expect("ours");
    fs::write(
        &group,
        text.replace(":alice\n", ":alice,bob\n")
            .replace("users:x:100:alice,bob", "users:x:100:alice"),
    )
    .expect("ours");
    let link = root.join("etc/systemd/system/sysinit.target.wants/denet-tracefs.service");
    fs::remove_file(link).expect("the unit is disabled");
    let status = unbroken(&stdout(&setup(&root, &["--status"])));
    assert!(status.contains("the unit was disabled"), "{status}");
    let undone = done(&root, &["--rollback"]);
    assert!(undone.contains("left alone"), "{undone}");
    assert!(fs::read_to_string(unit).expect("left").contains("mine"));
    let text = fs::read_to_string(&group).expect("ours");
    assert!(text.contains("tracing:x:999:bob\n"), "{text}");
    assert!(!root.join("usr/local/bin/denet").exists());
}

#[test]
fn what_is_in_the_way_is_not_overwritten() {
    need_root();
    let conflict = |path: &str, make: &dyn Fn(&Path), words: &str| {
        let scratch = Scratch::new();
        let root = image(&scratch);
        let at = root.join(path);
        fs::create_dir_all(at.parent().expect("a folder")).expect("ours");
        make(&at);
        let before = snapshot(&root);
        let refused = setup(&root, &APPLY);
        assert_eq!(refused.status.code(), Some(1), "{path}");
        let text = stderr(&refused);
        assert!(
            text.contains(words) && text.contains("nothing was changed"),
            "{path}: {text}"
        );
        assert_eq!(snapshot(&root), before, "{path}");
    };
    let file = |at: &Path| fs::write(at, "mine\n").expect("ours");
    let link = |at: &Path| std::os::unix::fs::symlink("/tmp/x", at).expect("ours");
    conflict(
        "etc/systemd/system/denet-tracefs.service",
        &file,
        "move it away",
    );
    conflict("etc/sysusers.d/denet.conf", &file, "move it away");
    conflict("usr/local/bin/denet", &link, "move it away");
    let open = |at: &Path| {
        fs::set_permissions(
            at.parent().expect("a folder"),
            fs::Permissions::from_mode(0o777),
        )
        .expect("ours");
    };
    conflict(
        "usr/local/bin/denet",
        &open,
        "users other than root can write there",
    );
    let elsewhere = |at: &Path| {
        let folder = at.parent().expect("a folder");
        fs::remove_dir(folder).expect("ours");
        std::os::unix::fs::symlink("/tmp", folder).expect("ours");
    };
    conflict("usr/local/bin/denet", &elsewhere, "usr/local/bin");
}

#[test]
fn settings_find_their_directory_in_an_image() {
    need_root();
    let scratch = Scratch::new();
    let root = image(&scratch);
    let before = snapshot(&root);
    let documented = ["--profile", "documented", "--with", "sysctl=kernel.x=3"];
    done(&root, &[&APPLY[..], &documented].concat());
    let file = fs::read_to_string(root.join("etc/sysctl.d/99-denet.conf")).expect("written");
    assert!(
        file.ends_with("kernel.kptr_restrict = 0\nkernel.x = 3\n"),
        "{file}"
    );
    done(&root, &["--rollback"]);
    assert_eq!(snapshot(&root), before);
}

#[test]
fn the_journal_of_an_image_stays_in_it() {
    need_root();
    let scratch = Scratch::new();
    let root = image(&scratch);
    let elsewhere = scratch.path("elsewhere");
    fs::create_dir(&elsewhere).expect("ours");
    std::os::unix::fs::symlink(&elsewhere, root.join("var/lib/denet")).expect("ours");
    let before = snapshot(&root);
    for verb in [&APPLY[..], &["--rollback"], &["--status"], &[]] {
        let refused = setup(&root, verb);
        let text = unbroken(&stderr(&refused));
        assert_eq!(refused.status.code(), Some(125), "{verb:?}: {text}");
        assert!(text.contains("var/lib/denet: a link to"), "{text}");
    }
    assert_eq!(snapshot(&root), before);
    assert_eq!(fs::read_dir(&elsewhere).expect("ours").count(), 0);
}

#[test]
fn another_binary_under_the_name_comes_back() {
    need_root();
    let scratch = Scratch::new();
    let root = image(&scratch);
    let binary = root.join("usr/local/bin/denet");
    fs::copy("/bin/true", &binary).expect("ours");
    output(Command::new("setcap").arg("cap_net_raw=ep").arg(&binary));
    let before = snapshot(&root);
    let plan = done(&root, &["--user", "alice"]);
    assert!(plan.contains("kept for --rollback"), "{plan}");
    done(&root, &APPLY);
    done(&root, &["--rollback"]);
    assert_eq!(snapshot(&root), before);
}

#[test]
fn a_system_without_systemd_gets_the_rest_and_words() {
    need_root();
    let scratch = Scratch::new();
    let root = image(&scratch);
    fs::remove_file(root.join("usr/lib/systemd/systemd")).expect("ours");
    fs::remove_file(root.join("etc/gshadow")).expect("ours");
    let before = snapshot(&root);
    let told = done(&root, &APPLY);
    assert!(told.contains("no systemd here"), "{told}");
    assert!(root.join("usr/local/bin/denet").exists());
    assert!(!root.join("etc/sysusers.d").exists());
    done(&root, &["--rollback"]);
    assert_eq!(snapshot(&root), before);
}

#[test]
fn what_cannot_be_is_refused() {
    need_root();
    let scratch = Scratch::new();
    let root = image(&scratch);
    let refused = |arguments: &[&str], words: &str| {
        let ended = setup(&root, arguments);
        let text = stderr(&ended);
        assert_eq!(ended.status.code(), Some(2), "{arguments:?}: {text}");
        assert!(text.contains(words), "{arguments:?}: {text}");
    };
    refused(
        &["--apply", "--yes", "--user", "nobody-here"],
        "no user is called nobody-here",
    );
    refused(&["--apply"], "say --yes");
    refused(&["--prefix", "here"], "absolute path");
    for key in [
        "../../etc/passwd",
        "/etc/passwd",
        "kernel/../../etc/passwd",
        "kernel",
    ] {
        refused(&["--with", &format!("sysctl={key}=1")], "a name such as");
    }
    refused(&["--with", "everything"], "there are xdp");
    refused(&["--apply", "--rollback"], "cannot be used with");
    let mut header = fs::read("/bin/true").expect("a program");
    header[18] = 183;
    fs::write(root.join("usr/bin/env"), header).expect("ours");
    refused(&APPLY, "another architecture");
    let elsewhere = output(&mut denet(["setup", "--root", "/etc/passwd"]));
    assert_eq!(elsewhere.status.code(), Some(2));
}

#[test]
fn a_journal_that_is_damaged_or_newer_or_in_use_is_told() {
    need_root();
    let scratch = Scratch::new();
    let root = image(&scratch);
    done(&root, &APPLY);
    let journal = root.join("var/lib/denet/setup.journal");
    let whole = fs::read_to_string(&journal).expect("a journal");
    let failed = |content: &str, words: &str| {
        fs::write(&journal, content).expect("ours");
        for verb in [&["--rollback"][..], &APPLY, &["--status"]] {
            let ended = setup(&root, verb);
            assert_eq!(ended.status.code(), Some(125), "{}", stderr(&ended));
            assert!(stderr(&ended).contains(words), "{}", stderr(&ended));
        }
    };
    failed(&whole.replacen("begun", "gone", 1), "line 2 is damaged");
    failed(
        &whole.replacen("\"schema\":2", "\"schema\":7", 1),
        "newer denet",
    );
    fs::write(&journal, &whole).expect("ours");
    let lock = fs::File::open(root.join("var/lib/denet/setup.lock")).expect("a lock");
    lock.lock().expect("ours");
    let busy = setup(&root, &["--rollback"]);
    assert!(
        stderr(&busy).contains("another denet setup"),
        "{}",
        stderr(&busy)
    );
    drop(lock);
    done(&root, &["--rollback"]);
}

#[test]
fn scripts_get_the_plan_too() {
    need_root();
    let scratch = Scratch::new();
    let root = image(&scratch);
    let plan: Value = serde_json::from_str(&done(&root, &["--json", "--profile", "documented"]))
        .expect("one object");
    assert_eq!(
        (&plan["schema"], &plan["profile"]),
        (&1.into(), &"documented".into())
    );
    let steps = plan["steps"].as_array().expect("steps");
    assert!(steps.iter().any(|step| step["target"] == "group tracing"));
    let exposing = steps
        .iter()
        .flat_map(|step| step["steps"].as_array().expect("a list"));
    assert!(exposing.clone().any(|step| {
        step["risk"]
            .as_str()
            .is_some_and(|it| it.contains("kprobes"))
    }));
}

/// What a shell makes of an image, with file systems that this machine has to lend.
fn in_namespace(scratch: &Scratch, root: &Path, script: &str) -> String {
    let script = format!(
        "set -e; mount --make-rprivate /; cd {}; {script}",
        root.display()
    );
    let mut command = Command::new("unshare");
    command.args(["-m", "sh", "-c", &script, "sh"]);
    command.arg(scratch.path("tools/denet")).arg(root);
    let ended = output(command.stdin(Stdio::null()).env_remove("SUDO_USER"));
    unbroken(&(stdout(&ended) + &stderr(&ended)))
}

#[test]
fn a_file_system_without_capabilities_is_told_and_undone() {
    need_root();
    let scratch = Scratch::new();
    let root = image(&scratch);
    let before = snapshot(&root);
    let told = in_namespace(
        &scratch,
        &root,
        "mkdir ../ram; mount -t ramfs -o mode=0755 ramfs ../ram; cp -a . ../ram; \
         $1 setup --root ../ram --apply --yes --user alice 2>&1 || echo code $?; $1 setup --root ../ram --rollback; \
         ls -A ../ram/usr/local/bin | wc -l",
    );
    assert!(
        told.contains("no extended attributes") && told.contains("code 125"),
        "{told}"
    );
    assert!(told.ends_with(" 0"), "{told}");
    assert_eq!(snapshot(&root), before);
}

#[test]
fn a_read_only_system_is_told_and_undone() {
    need_root();
    let scratch = Scratch::new();
    let root = image(&scratch);
    let before = snapshot(&root);
    let told = in_namespace(
        &scratch,
        &root,
        "mount --bind . .; mount -o remount,ro,bind $2; \
         $1 setup --root $2 --apply --yes --user alice 2>&1 || echo code $?; $1 setup --root $2 --rollback",
    );
    assert!(
        told.contains("Read-only") && told.contains("code 125"),
        "{told}"
    );
    assert_eq!(snapshot(&root), before);
}

#[test]
fn mounts_in_an_image_are_left_alone() {
    need_root();
    let scratch = Scratch::new();
    let root = image(&scratch);
    for folder in ["dev", "proc", "run", "sys"] {
        fs::create_dir(root.join(folder)).expect("ours");
    }
    let before = snapshot(&root);
    let told = in_namespace(
        &scratch,
        &root,
        "for it in dev proc run sys; do mount --bind /$it $it; done; \
         $1 setup --root $2 --apply --yes --user alice && $1 setup --root $2 --rollback",
    );
    assert!(told.ends_with("group tracing: as it was before"), "{told}");
    assert_eq!(snapshot(&root), before);
    for mounted in [
        "etc",
        "usr",
        "usr/local/bin",
        "var",
        "etc/group",
        "etc/gshadow",
    ] {
        let host = scratch.path("host");
        let copied = output(
            Command::new("cp")
                .arg("-a")
                .arg(root.join(mounted))
                .arg(&host),
        );
        assert!(copied.status.success(), "{}", stderr(&copied));
        let told = in_namespace(
            &scratch,
            &root,
            &format!(
                "mount --bind {} {mounted}; $1 setup --root $2 --apply --yes --user alice || echo code $?; \
                 $1 setup --root $2 --rollback",
                host.display()
            ),
        );
        let named = format!(
            "{}: a file system that is not the image's own is mounted there: unmount it first",
            root.join(mounted).display()
        );
        assert!(told.contains(&named), "{mounted}: {told}");
        assert_eq!(snapshot(&root), before, "{mounted}");
        if host.is_dir() {
            assert!(
                !host.join("lib/denet").exists() && !host.join("denet").exists(),
                "{mounted}"
            );
            fs::remove_dir_all(&host).expect("ours");
        } else {
            assert_eq!(
                fs::read(&host).ok(),
                fs::read(root.join(mounted)).ok(),
                "{mounted}"
            );
            fs::remove_file(&host).expect("ours");
        }
    }
}

#[test]
fn a_full_disk_leaves_nothing_half_done() {
    need_root();
    let scratch = Scratch::new();
    let root = scratch.path("small");
    fs::create_dir(&root).expect("ours");
    let script = format!(
        "mount -t tmpfs -o size=8m,mode=0755 tmpfs {0} && mkdir -p {0}/etc/systemd/system {0}/usr/local/bin \
         {0}/var/lib {0}/usr/lib/systemd && touch {0}/usr/lib/systemd/systemd && \
         printf 'root:x:0:0::/:/bin/sh\\n' >{0}/etc/passwd && printf 'root:x:0:\\n' >{0}/etc/group && \
         (cd {0} && find . | sort >../before; cat etc/group >>../before); \
         $1 setup --root {0} --apply --yes; echo code $?; $1 setup --root {0} --rollback; \
         (cd {0} && find . | sort >../after; cat etc/group >>../after); cmp {0}/../before {0}/../after && echo same",
        root.display()
    );
    let mut command = Command::new("unshare");
    let ended = output(command.args(["-m", "sh", "-c", &script, "sh", DENET]));
    let text = stdout(&ended) + &stderr(&ended);
    assert!(
        text.contains("no space is left") && text.contains("code 125"),
        "{text}"
    );
    assert!(
        text.ends_with("same\n") || text.contains("\nsame\n"),
        "{text}"
    );
}
