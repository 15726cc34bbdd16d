//! What was kept comes back, what is damaged is told, and no link leads elsewhere.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;

use super::*;
use crate::setup::state::FileState;
use crate::sys::root::tests::Tree;

/// Folders with the mode that they have on a machine, whatever the umask is.
fn tree() -> Tree {
    let tree = Tree::empty();
    for folder in ["", "var", "var/lib"] {
        let at = tree.at.join(folder);
        std::fs::create_dir_all(&at).unwrap();
        std::fs::set_permissions(&at, Permissions::from_mode(0o755)).unwrap();
    }
    tree
}

fn base(root: &Path) -> Base {
    Base::open(root).unwrap()
}

fn value(text: &str) -> State {
    State::Value(text.to_owned())
}

#[test]
fn the_first_state_and_the_last_are_kept() {
    let tree = tree();
    let root = &tree.at;
    let target = Target::Sysctl("kernel.x".to_owned());
    let mut journal = Journal::open(&base(root)).unwrap();
    assert!(matches!(
        Journal::open(&base(root)),
        Err(JournalError::Busy)
    ));
    journal
        .begin(&target, &value("1"), &[], &value("2"))
        .unwrap();
    journal.done(&target).unwrap();
    journal
        .begin(&target, &value("7"), &[], &value("3"))
        .unwrap();
    drop(journal);
    let journal = Journal::open(&base(root)).unwrap();
    let change = &journal.changes()[0];
    assert_eq!((&change.before, &change.wanted), (&value("1"), &value("3")));
    assert!(change.interrupted);
    journal.remove().unwrap();
    assert!(!root.join(FOLDER).exists());
}

#[test]
fn a_line_cut_short_did_not_happen_and_a_damaged_one_is_told() {
    let tree = tree();
    let root = &tree.at;
    let target = Target::Group("tracing".to_owned());
    let group = State::Group {
        gid: 990,
        members: Vec::new(),
    };
    let mut journal = Journal::open(&base(root)).unwrap();
    journal.begin(&target, &State::Absent, &[], &group).unwrap();
    drop(journal);
    let path = root.join(FOLDER).join(NAME);
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, format!("{text}{{\"begun\":{{\"tar")).unwrap();
    let journal = Journal::open(&base(root)).unwrap();
    assert_eq!(journal.changes().len(), 1);
    drop(journal);
    assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
    std::fs::write(&path, text.replace("begun", "begone")).unwrap();
    assert!(matches!(
        Journal::open(&base(root)),
        Err(JournalError::Damaged { line: 2, .. })
    ));
    std::fs::write(&path, text.replace("\"schema\":2", "\"schema\":9")).unwrap();
    assert!(matches!(
        Journal::open(&base(root)),
        Err(JournalError::Newer { found: 9, .. })
    ));
    std::fs::write(&path, text.replace("\"schema\":2", "\"schema\":1")).unwrap();
    assert!(matches!(
        Journal::open(&base(root)),
        Err(JournalError::Older { .. })
    ));
    std::fs::write(&path, text.replace("\"tracing\"", "\"sudo\"")).unwrap();
    assert!(matches!(
        Journal::open(&base(root)),
        Err(JournalError::Foreign { line: 2, .. })
    ));
}

#[test]
fn what_was_kept_comes_back_and_goes_with_the_journal() {
    let tree = tree();
    let root = &tree.at;
    let target = Target::Path("/etc/x".into());
    let before = State::File(FileState {
        mode: 0o644,
        uid: 0,
        gid: 0,
        attributes: BTreeMap::new(),
        bytes: 3,
        digest: digest(b"old"),
    });
    let mut journal = Journal::open(&base(root)).unwrap();
    let killed = root.join(FOLDER).join(CONTENTS);
    std::fs::create_dir(&killed).unwrap();
    std::fs::set_permissions(&killed, Permissions::from_mode(0o700)).unwrap();
    let half = format!(".{}.denet-setup", digest(b"old"));
    std::fs::write(killed.join(half), "o").unwrap();
    journal
        .begin(&target, &before, b"old", &State::Absent)
        .unwrap();
    assert_eq!(journal.content(&digest(b"old")).unwrap(), b"old");
    assert!(journal.content(&digest(b"new")).is_err());
    journal.remove().unwrap();
    assert!(!root.join(FOLDER).exists());
}

#[test]
fn a_link_leads_the_journal_nowhere_else() {
    for link in [FOLDER, "var"] {
        let trees = [tree(), tree()];
        let [root, elsewhere] = trees.each_ref().map(|tree| &tree.at);
        let at = root.join(link);
        if at.exists() {
            std::fs::remove_dir_all(&at).unwrap();
        }
        std::os::unix::fs::symlink(elsewhere, &at).unwrap();
        for error in [
            read(&base(root)).unwrap_err(),
            Journal::open(&base(root)).unwrap_err(),
        ] {
            let said = error.to_string();
            let link = format!("{}: a link to {}", at.display(), elsewhere.display());
            assert!(said.starts_with(&link), "{said}");
            assert!(said.contains("put a directory there"), "{said}");
        }
        let there = std::fs::read_dir(elsewhere).unwrap();
        let names: Vec<_> = there.flatten().map(|entry| entry.file_name()).collect();
        assert_eq!(names, ["var"]);
        assert!(!elsewhere.join(FOLDER).exists());
    }
}

#[test]
fn a_journal_is_not_kept_where_others_write() {
    let tree = tree();
    let root = &tree.at;
    drop(Journal::open(&base(root)).unwrap());
    for open in ["var/lib", FOLDER] {
        let at = root.join(open);
        std::fs::set_permissions(&at, Permissions::from_mode(0o777)).unwrap();
        for error in [
            read(&base(root)).unwrap_err(),
            Journal::open(&base(root)).unwrap_err(),
        ] {
            let said = error.to_string();
            let named = format!("{}: users other than root", at.display());
            assert!(said.starts_with(&named), "{said}");
        }
        std::fs::set_permissions(&at, Permissions::from_mode(0o755)).unwrap();
    }
}

#[test]
fn a_journal_stays_in_the_directory_that_was_opened() {
    let trees = [tree(), tree()];
    let [root, elsewhere] = trees.each_ref().map(|tree| &tree.at);
    let target = Target::Path("/etc/x".into());
    let mut journal = Journal::open(&base(root)).unwrap();
    let kept = elsewhere.join(FOLDER).join(CONTENTS);
    std::fs::create_dir_all(&kept).unwrap();
    std::fs::write(kept.join("x"), "").unwrap();
    let moved = root.with_extension("moved");
    std::fs::rename(root, &moved).unwrap();
    std::os::unix::fs::symlink(elsewhere, root).unwrap();
    journal
        .begin(&target, &State::Absent, &[], &State::Absent)
        .unwrap();
    journal.remove().unwrap();
    std::fs::remove_file(root).unwrap();
    std::fs::rename(&moved, root).unwrap();
    assert!(!root.join(FOLDER).exists());
    assert!(kept.join("x").exists());
}

#[test]
fn a_lock_or_journal_with_hard_links_or_another_owner_is_left_alone() {
    let tree = tree();
    let root = &tree.at;
    let folder = root.join(FOLDER);
    std::fs::create_dir(&folder).unwrap();
    std::fs::set_permissions(&folder, Permissions::from_mode(0o700)).unwrap();
    let refused = |at: &Path, words: &str| {
        let error = Journal::open(&base(root)).unwrap_err();
        assert_eq!(error.to_string(), format!("{}: {words}", at.display()));
    };
    for name in [LOCK, NAME] {
        let (at, other) = (folder.join(name), root.join("other"));
        std::fs::write(&other, "original").unwrap();
        std::fs::hard_link(&other, &at).unwrap();
        refused(&at, "it has 2 names (hard links)");
        assert_eq!(std::fs::read(&other).unwrap(), b"original");
        std::fs::File::open(&other).unwrap().try_lock().unwrap();
        std::fs::remove_file(&other).unwrap();
        // Only root may give files away.
        if nix::unistd::geteuid().is_root() {
            std::os::unix::fs::chown(&at, Some(65534), None).unwrap();
            refused(&at, "it belongs to uid 65534");
        }
        std::fs::remove_file(&at).unwrap();
    }
    drop(Journal::open(&base(root)).unwrap());
}

#[test]
fn a_directory_left_by_a_killed_setup_is_removed() {
    let tree = tree();
    let root = &tree.at;
    let folder = root.join(FOLDER);
    let make = |mode, names: &[&str]| {
        std::fs::create_dir(&folder).unwrap();
        std::fs::set_permissions(&folder, Permissions::from_mode(mode)).unwrap();
        for name in names {
            std::fs::write(folder.join(name), "").unwrap();
        }
    };
    for names in [&[][..], &[LOCK], &[LOCK, NAME]] {
        make(0o700, names);
        clear(&base(root)).unwrap();
        assert!(!folder.exists(), "{names:?}");
        make(0o700, names);
        Journal::open(&base(root)).unwrap().remove().unwrap();
        assert!(!folder.exists(), "{names:?}");
    }
    clear(&base(root)).unwrap();
    for (mode, names) in [(0o755, &[][..]), (0o700, &["x"])] {
        make(mode, names);
        clear(&base(root)).unwrap();
        Journal::open(&base(root)).unwrap().remove().unwrap();
        assert!(folder.exists(), "{mode:o} {names:?}");
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
