//! Hostile input of setup: journals in images, programs beside denet, locks, and what is not a regular file.

use std::os::unix::fs::{chown, symlink};

use nix::sys::stat::{Mode, SFlag, mknod};

use super::*;
use crate::support::wait::wait_until;

/// Writes a journal with these lines after its header.
fn with_journal(root: &Path, lines: &[Value]) {
    let folder = root.join("var/lib/denet");
    fs::create_dir_all(&folder).expect("ours");
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o700)).expect("ours");
    let version = env!("CARGO_PKG_VERSION");
    let header = serde_json::json!({"schema": 2, "version": version, "made_folder": true});
    let lines = std::iter::once(&header).chain(lines);
    let text: String = lines.map(|line| format!("{line}\n")).collect();
    fs::write(folder.join("setup.journal"), text).expect("ours");
}

fn begun(target: Value, before: Value, wanted: Value) -> Value {
    serde_json::json!({"begun": {"target": target, "before": before, "wanted": wanted}})
}

#[test]
fn a_journal_cannot_change_anything_outside_its_image() {
    need_root();
    let scratch = Scratch::new();
    let root = image(&scratch);
    let host = scratch.path("host");
    fs::write(&host, "original").expect("ours");
    let value = |text: &str| serde_json::json!({"value": text});
    let file = |digest: &str| {
        serde_json::json!({"file": {
            "mode": 0o644, "uid": 0, "gid": 0, "attributes": {}, "bytes": 1, "digest": digest
        }})
    };
    let absent = || Value::from("absent");
    let up = "../".repeat(40) + host.to_str().expect("a path");
    for (target, before) in [
        (serde_json::json!({"sysctl": host}), value("changed")),
        (serde_json::json!({"sysctl": up}), value("changed")),
        (serde_json::json!({"path": up}), absent()),
        (serde_json::json!({"path": format!("/{up}")}), absent()),
        (serde_json::json!({"path": "/etc/x"}), file(&up)),
        (serde_json::json!({"group": "users"}), absent()),
        (
            serde_json::json!({"member": {"user": "alice", "group": "sudo"}}),
            "present".into(),
        ),
        (
            serde_json::json!({"mount": {"kind": "tmpfs", "at": "/tmp"}}),
            absent(),
        ),
        (serde_json::json!({"group_write": "/etc"}), "present".into()),
        (
            serde_json::json!({"mount_options": "/tmp"}),
            serde_json::json!({"options": {"gid": 0, "mode": 0o777}}),
        ),
    ] {
        with_journal(&root, &[begun(target.clone(), before, absent())]);
        let before = snapshot(&root);
        for verb in [&["--rollback"][..], &["--status"], &APPLY] {
            let refused = setup(&root, verb);
            let text = unbroken(&stderr(&refused));
            assert_eq!(refused.status.code(), Some(125), "{target}: {text}");
            assert!(
                text.contains("line 2 names something that denet setup never changes"),
                "{target}: {text}"
            );
        }
        assert_eq!(snapshot(&root), before, "{target}");
    }
    assert_eq!(fs::read_to_string(&host).expect("ours"), "original");
}

#[test]
fn targets_of_a_running_system_are_left_alone_in_an_image() {
    need_root();
    let scratch = Scratch::new();
    let root = image(&scratch);
    let key = "/proc/sys/vm/stat_interval";
    let before = fs::read_to_string(key).expect("a setting");
    let value = serde_json::json!({"value": "77"});
    // As in a copy of the disk of a system that setup has changed.
    let target = serde_json::json!({"sysctl": "vm.stat_interval"});
    let present = || Value::from("present");
    let mount = serde_json::json!({"mount": {"kind": "tracefs", "at": "/sys/kernel/tracing"}});
    let made = serde_json::json!({"path": "/etc/made"});
    let link = serde_json::json!({"link": "nowhere"});
    symlink("nowhere", root.join("etc/made")).expect("ours");
    let lines = [
        begun(target, value, serde_json::json!({"value": before.trim()})),
        begun(mount, "absent".into(), present()),
        begun(
            serde_json::json!({"group_write": "/sys/kernel/tracing"}),
            present(),
            "absent".into(),
        ),
        begun(made, "absent".into(), link),
    ];
    with_journal(&root, &lines);
    let status = setup(&root, &["--status"]);
    let told = unbroken(&stdout(&status));
    assert!(told.contains("belongs to a running system"), "{told}");
    let told = done(&root, &["--rollback"]);
    assert_eq!(
        told.matches("belongs to a running system").count(),
        3,
        "{told}"
    );
    assert!(!root.join("etc/made").is_symlink());
    assert_eq!(fs::read_to_string(key).expect("a setting"), before);
}

#[test]
fn what_others_put_in_the_place_of_an_interrupted_change_is_left_alone() {
    need_root();
    let scratch = Scratch::new();
    let root = image(&scratch);
    let target = serde_json::json!({"path": "/etc/made"});
    let wanted = serde_json::json!({"link": "nowhere"});
    with_journal(&root, &[begun(target, "absent".into(), wanted)]);
    fs::write(root.join("etc/made"), "an administrator's").expect("ours");
    let told = unbroken(&stdout(&setup(&root, &["--rollback"])));
    assert!(told.contains("left alone"), "{told}");
    let left = fs::read_to_string(root.join("etc/made")).expect("it is there");
    assert_eq!(left, "an administrator's");
}

#[test]
fn odd_files_of_an_image_stop_nothing() {
    need_root();
    let scratch = Scratch::new();
    let root = image(&scratch);
    fs::create_dir_all(root.join("usr/bin")).expect("ours");
    fs::write(root.join("usr/bin/env"), b"\x7fELF").expect("ours");
    let mut passwd = fs::read(root.join("etc/passwd")).expect("ours");
    passwd.extend(b"m:x:77:77:M\xfcller:/:/bin/sh\n");
    fs::write(root.join("etc/passwd"), passwd).expect("ours");
    done(&root, &APPLY);
    done(&root, &["--rollback"]);
}

#[test]
fn a_planted_program_is_not_installed() {
    need_root();
    let own = env!("CARGO_PKG_VERSION");
    let refused = |plant: &dyn Fn(&Scratch, &Path), words: &str| {
        let scratch = Scratch::new();
        let root = image(&scratch);
        plant(&scratch, &scratch.path("tools/ebpf_test"));
        let before = snapshot(&root);
        let ended = setup(&root, &APPLY);
        let text = unbroken(&stderr(&ended));
        assert_eq!(ended.status.code(), Some(1), "{words}: {text}");
        assert!(
            text.contains(words) && text.contains("nothing was changed"),
            "{words}: {text}"
        );
        assert_eq!(snapshot(&root), before, "{words}");
    };
    let mode = |path: &Path, mode| {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("ours");
    };
    refused(
        &|_, at| chown(at, Some(65534), None).expect("root"),
        "ebpf_test: it belongs to uid 65534",
    );
    refused(
        &|_, at| mode(at, 0o757),
        "ebpf_test: other users can write to it",
    );
    let folder = |at: &Path| at.parent().expect("a folder").to_owned();
    refused(
        &|_, at| mode(&folder(at), 0o777),
        "tools: other users can write there",
    );
    refused(
        &|_, at| chown(folder(at), Some(65534), None).expect("root"),
        "tools: it belongs to uid 65534",
    );
    let again = |at: &Path| fs::remove_file(at).expect("ours");
    refused(
        &|_, at| {
            again(at);
            fs::copy("/bin/true", at).expect("ours");
        },
        "ebpf_test: it is not one of denet's programs",
    );
    refused(
        &|scratch, at| {
            again(at);
            claiming(scratch, "ebpf_test", "0.0.1", at);
        },
        "ebpf_test: it is ebpf_test 0.0.1, not ebpf_test",
    );
    refused(
        &|scratch, at| {
            again(at);
            claiming(scratch, "denet", own, at);
        },
        "ebpf_test: it is denet",
    );
    refused(
        &|_, at| {
            again(at);
            nix::unistd::mkfifo(at, Mode::S_IRWXU).expect("ours");
        },
        "ebpf_test: not a regular file",
    );
    refused(
        &|_, at| {
            again(at);
            symlink("denet", at).expect("ours");
        },
        "ebpf_test: not a regular file",
    );
}

#[test]
fn groups_are_written_under_the_locks_of_shadow_utils() {
    need_root();
    let scratch = Scratch::new();
    let root = image(&scratch);
    let before = snapshot(&root);
    // A lock of a process that has ended is taken over, as groupadd does.
    let ended = Command::new("true")
        .spawn()
        .and_then(|mut it| it.wait().map(|_| it.id()));
    let lock = root.join("etc/group.lock");
    let ended = ended.expect("true");
    fs::write(&lock, format!("{ended}\0")).expect("ours");
    done(&root, &APPLY);
    assert!(!lock.exists() && !root.join("etc/.pwd.lock").exists());
    // Files that a rollback leaves if it is killed during a change.
    let applied = snapshot(&root);
    let killed = || {
        for (name, content) in [
            (".pwd.lock", "denet setup\n"),
            ("group.lock", &ended.to_string()),
            (".group.denet-setup", ""),
            ("systemd/system/.denet-tracefs.service.denet-setup", ""),
        ] {
            let at = root.join("etc").join(name);
            fs::write(&at, content).expect("ours");
            fs::set_permissions(&at, fs::Permissions::from_mode(0o600)).expect("ours");
        }
    };
    killed();
    done(&root, &APPLY);
    assert_eq!(snapshot(&root), applied);
    killed();
    done(&root, &["--rollback"]);
    assert_eq!(snapshot(&root), before);
    // A lock of a running process is waited for; if it stays, setup fails and names it.
    for name in ["etc/group.lock", "etc/gshadow.lock"] {
        let lock = root.join(name);
        fs::write(&lock, std::process::id().to_string()).expect("ours");
        let apply = || {
            let mut command = Command::new(scratch.path("tools/denet"));
            command.arg("setup").arg("--root").arg(&root).args(APPLY);
            command
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::piped());
            command.spawn().expect("denet")
        };
        let waiting = apply();
        let journal = root.join("var/lib/denet/setup.journal");
        let begun = || fs::read_to_string(&journal).is_ok_and(|text| text.lines().count() == 2);
        wait_until("the change of the group has begun", begun);
        assert_eq!(
            fs::read_to_string(root.join("etc/group")).expect("ours"),
            GROUP
        );
        fs::remove_file(&lock).expect("ours");
        let waited = waiting.wait_with_output().expect("denet");
        assert!(waited.status.success(), "{}", stderr(&waited));
        done(&root, &["--rollback"]);
        assert_eq!(snapshot(&root), before);
    }
    let file = root.join("etc/.pwd.lock");
    let held = fs::File::create(&file).expect("ours");
    let whole = libc::flock {
        l_type: libc::F_WRLCK as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: 0,
        l_len: 0,
        l_pid: 0,
    };
    nix::fcntl::fcntl(&held, nix::fcntl::FcntlArg::F_SETLK(&whole)).expect("ours");
    let refused = setup(&root, &APPLY);
    let text = unbroken(&stderr(&refused));
    assert_eq!(refused.status.code(), Some(125), "{text}");
    assert!(
        text.contains("another process has locked /etc/.pwd.lock"),
        "{text}"
    );
    assert_eq!(
        fs::read_to_string(root.join("etc/group")).expect("ours"),
        GROUP
    );
    drop(held);
    done(&root, &APPLY);
}

#[test]
fn special_files_are_refused_without_waiting() {
    need_root();
    type Make<'a> = &'a dyn Fn(&Path);
    let kinds: [(&str, Make<'_>); 4] = [
        ("a FIFO", &|at| {
            nix::unistd::mkfifo(at, Mode::S_IRWXU).expect("ours")
        }),
        ("a device", &|at| {
            mknod(at, SFlag::S_IFCHR, Mode::S_IRWXU, libc::makedev(1, 5)).expect("root");
        }),
        ("a directory", &|at| fs::create_dir(at).expect("ours")),
        ("a link", &|at| symlink("/etc/hostname", at).expect("ours")),
    ];
    let scratch = Scratch::new();
    let root = image(&scratch);
    let folder = root.join("var/lib/denet");
    for path in [
        "var/lib/denet/setup.lock",
        "var/lib/denet/setup.journal",
        "etc/group",
        "etc/gshadow",
        "etc/passwd",
    ] {
        let at = root.join(path);
        let content = fs::read(&at).ok();
        for (kind, make) in &kinds {
            // A rollback removes it if it contains no journal.
            fs::create_dir_all(&folder).expect("ours");
            fs::set_permissions(&folder, fs::Permissions::from_mode(0o700)).expect("ours");
            let _ = fs::remove_file(&at);
            make(&at);
            let refused = setup(&root, &APPLY);
            let text = unbroken(&stderr(&refused));
            assert!(!refused.status.success(), "{path}, {kind}");
            assert!(
                text.contains(path) && text.contains("not a regular file"),
                "{path}, {kind}: {text}"
            );
            if *kind == "a directory" {
                fs::remove_dir(&at).expect("ours");
            }
            let journal = setup(&root, &["--rollback"]);
            assert!(journal.status.code().is_some(), "{path}, {kind}");
        }
        let _ = fs::remove_file(&at);
        if let Some(content) = content {
            fs::write(&at, content).expect("ours");
        }
    }
    done(&root, &APPLY);
}
