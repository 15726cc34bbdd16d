//! The pages of docs/troubleshooting: each is for something, and asks for nothing that opens the machine.

use denet::checks::CHECKS;
use denet::checks::pages;

use super::{files, root};

/// What guides ask for, explained where people look for it; no finding is called so.
const TOPICS: [&str; 7] = [
    "debugfs-755",
    "invalid-elf-header",
    "kptr-restrict",
    "tracefs-chmod",
    "udev-tracefs",
    "unprivileged-bpf-disabled",
    "works-with-sudo",
];

#[test]
fn every_page_is_embedded_and_has_the_same_headings() {
    let folder = root().join("docs/troubleshooting");
    let mut names: Vec<_> = files(&folder, "md")
        .iter()
        .filter_map(|path| Some(path.file_stem()?.to_str()?.to_owned()))
        .filter(|name| name != "README")
        .collect();
    names.sort();
    let pages = pages::all();
    let embedded: Vec<_> = pages.iter().map(|(id, _)| *id).collect();
    assert_eq!(
        embedded, names,
        "a check's page is embedded with its entry, any other is listed in src/checks/pages.rs"
    );
    let index = std::fs::read_to_string(folder.join("README.md")).expect("an index");
    for (id, page) in pages {
        let headings: Vec<_> = page.lines().filter(|line| line.starts_with('#')).collect();
        let title = format!("# {id}");
        let expected = [
            &title,
            "## Symptom",
            "## What it means",
            "## Cause",
            "## Fix",
            "## Verify",
            "## Undo",
        ];
        assert_eq!(headings, expected);
        assert!(
            index.contains(&format!("({id}.md)")),
            "{id} is not in the index"
        );
        let wide = page.lines().find(|line| line.chars().count() > 80);
        assert_eq!(wide, None, "{id}");
    }
}

#[test]
fn every_finding_has_a_page_and_every_page_is_for_one() {
    let mut ids: Vec<_> = CHECKS.iter().map(|check| check.id).collect();
    ids.sort_unstable();
    let count = ids.len();
    ids.dedup();
    assert_eq!(ids.len(), count, "an id stands twice");
    let has_page = |id: &str| pages::page(id).is_some();
    let sources: String = files(&root().join("src"), "rs")
        .iter()
        .filter(|path| !path.ends_with("pages.rs"))
        .map(|path| std::fs::read_to_string(path).expect("our own source"))
        .collect();
    for (id, _) in pages::all() {
        let told = sources.contains(&format!("\"{id}\""));
        assert!(told || TOPICS.contains(&id), "no finding is called {id}");
    }
    for literal in sources.split("id: \"").skip(1) {
        let id = literal.split('"').next().unwrap_or_default();
        let goal = denet::backends::table::GOALS
            .iter()
            .any(|goal| goal.id == id);
        assert!(
            has_page(id) || goal || id == "x" || id == "object",
            "no page: {id}"
        );
    }
}

/// Lines that a reader may paste.
fn commands(page: &str) -> impl Iterator<Item = &str> {
    page.lines().filter(|line| line.starts_with("    "))
}

#[test]
fn no_page_asks_for_what_opens_the_machine() {
    let forbidden = [
        "unprivileged_bpf_disabled=0",
        "unprivileged_bpf_disabled=1",
        "kptr_restrict=0",
        "perf_event_paranoid=-1",
        "perf_event_paranoid=0",
        "perf_event_paranoid=1",
        "g+w",
        "g+rw",
        "o+w",
        "chmod -R g+",
        "chmod -R a+",
        "chmod 777",
        "mode=0770",
        "mode=0777",
        "cap_dac_read_search",
        "cap_sys_admin",
    ];
    for (id, page) in pages::all() {
        for line in commands(page) {
            let found = forbidden.iter().find(|words| line.contains(*words));
            assert_eq!(found, None, "{id}: {line}");
        }
    }
}
