//! Each test that docs/completeness.md names exists.

use std::path::{Path, PathBuf};

use super::root;

/// Every Rust file below a folder.
fn sources(folder: &Path, to: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            sources(&path, to);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            to.push(path);
        }
    }
}

#[test]
fn every_test_of_a_claim_exists() {
    let page = std::fs::read_to_string(root().join("docs/completeness.md")).expect("the page");
    let mut files = Vec::new();
    sources(&root().join("tests"), &mut files);
    sources(&root().join("src"), &mut files);
    let names: Vec<_> = page
        .split('`')
        .filter(|part| part.contains("::") && !part.contains(' '))
        .collect();
    assert!(names.len() > 40, "{names:?}");
    for name in names {
        let (module, test) = name.rsplit_once("::").expect("filtered");
        let place = module.replace("::", "/");
        let defines = |path: &&PathBuf| {
            let shown = path.display().to_string();
            let is_there = [".rs", "/mod.rs", "/tests.rs"]
                .iter()
                .any(|end| shown.ends_with(&format!("/{place}{end}")));
            is_there
                && std::fs::read_to_string(path)
                    .is_ok_and(|text| text.contains(&format!("fn {test}(")))
        };
        assert!(files.iter().any(|path| defines(&path)), "no test {name}");
    }
    for row in page.lines().filter(|line| line.starts_with("| ")) {
        let is_head = row.ends_with("| test |");
        assert!(
            is_head || row.contains("::") || row.contains("| none: "),
            "a claim without a test: {row}"
        );
    }
}
