//! The lines of tests that are checked: all of tests/, and what is for tests alone in src/.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::scan::{Language, reads_a_clock};
use crate::{collect, root};

/// The lines that may be there.
pub const LIST: &str = "tests/clocks";

/// A line is listed by so much of its text: some of C are very long.
const COMPARED: usize = 120;

/// Lines to check, by number.
pub type Lines = Vec<(usize, String)>;

pub fn numbered(text: &str) -> Lines {
    let lines = text.lines().enumerate();
    lines.map(|(at, line)| (at + 1, line.to_owned())).collect()
}

/// The items under `#[cfg(test)]`, and the modules declared there. As rustfmt writes it.
fn only_for_tests(text: &str) -> (Lines, Vec<String>) {
    let (mut lines, mut modules) = (Vec::new(), Vec::new());
    let mut rest = numbered(text).into_iter().peekable();
    while let Some((_, line)) = rest.next() {
        let of_tests = ["#[cfg(test)]", "#[cfg(all(test,"];
        if !of_tests.iter().any(|it| line.trim().starts_with(it)) {
            continue;
        }
        while rest
            .next_if(|(_, line)| line.trim().starts_with("#["))
            .is_some()
        {}
        let indent = line.len() - line.trim_start().len();
        let end = format!("{:indent$}}}", "");
        let mut item: Lines = Vec::new();
        for (number, line) in rest.by_ref() {
            let is_last = line == end || item.is_empty() && line.ends_with([';', ',', '}']);
            item.push((number, line));
            if is_last {
                break;
            }
        }
        let first = item.first().map_or("", |(_, line)| line.trim());
        let declared = first.strip_suffix(';').and_then(|it| it.split_once("mod "));
        match declared {
            Some((_, module)) => modules.push(module.to_owned()),
            None => lines.extend(item),
        }
    }
    (lines, modules)
}

/// The file of a module that another file declares.
fn file_of(declaring: &Path, module: &str) -> Option<PathBuf> {
    let folder = match declaring.file_name().and_then(|name| name.to_str()) {
        Some("mod.rs" | "lib.rs") => declaring.with_file_name(""),
        _ => declaring.with_extension(""),
    };
    let places = [format!("{module}.rs"), format!("{module}/mod.rs")];
    let mut files = places.iter().map(|place| folder.join(place));
    files.find(|file| file.exists())
}

fn language_of(file: &Path) -> Option<Language> {
    match file.extension().and_then(|extension| extension.to_str()) {
        Some("rs") => Some(Language::Rust),
        Some("c" | "h") => Some(Language::C),
        Some("sh") | None => Some(Language::Shell),
        Some(_) => None,
    }
}

/// Every file of the tests but recordings, these files, and the list.
fn files_of_tests() -> Vec<PathBuf> {
    let mut files = Vec::new();
    collect(&root().join("tests"), &mut files);
    let is_recorded = |file: &Path| {
        let data = file.starts_with("tests/data") && file.extension().is_none();
        data || file.starts_with("tests/hosts") || file.starts_with("tests/contract/clocks")
    };
    files.retain(|file| {
        let file = file.strip_prefix(root()).expect("below it");
        !is_recorded(file) && file != Path::new(LIST)
    });
    files
}

/// The text of a file, unless it is not UTF-8.
fn text_of(file: &Path) -> Option<String> {
    String::from_utf8(fs::read(file).expect("readable")).ok()
}

fn add(found: &mut Found, file: &Path, language: Language, lines: Lines) {
    let file = file.strip_prefix(root()).expect("below it");
    for (number, line) in lines {
        if reads_a_clock(language, &line) {
            let key = (file.display().to_string(), shortened(&line));
            found.entry(key).or_default().push(number);
        }
    }
}

fn shortened(line: &str) -> String {
    let text = line.trim().replace('\t', " ");
    text.chars().take(COMPARED).collect::<String>()
}

/// Numbers of lines, by file and text.
pub type Found = BTreeMap<(String, String), Vec<usize>>;

pub fn found() -> Found {
    let mut found = Found::new();
    for file in files_of_tests() {
        if let (Some(language), Some(text)) = (language_of(&file), text_of(&file)) {
            add(&mut found, &file, language, numbered(&text));
        }
    }
    let mut sources = Vec::new();
    collect(&root().join("src"), &mut sources);
    let mut whole: Vec<PathBuf> = sources
        .iter()
        .filter(|file| file.ends_with("tests.rs") || file.iter().any(|part| part == "tests"))
        .cloned()
        .collect();
    for file in &sources {
        let Some(text) = text_of(file).filter(|_| language_of(file) == Some(Language::Rust)) else {
            continue;
        };
        let (lines, modules) = only_for_tests(&text);
        whole.extend(modules.iter().filter_map(|module| file_of(file, module)));
        if !whole.contains(file) {
            add(&mut found, file, Language::Rust, lines);
        }
    }
    whole.sort();
    whole.dedup();
    for file in whole {
        let text = text_of(&file).expect("Rust");
        add(&mut found, &file, Language::Rust, numbered(&text));
    }
    found
}

#[test]
fn of_a_source_only_what_is_for_tests_counts() {
    let source = "use a;\n#[cfg(test)]\nuse b;\nfn c() {\n    d();\n}\n#[cfg(test)]\nmod e;\n\
        #[cfg(test)]\n#[path = \"x\"]\npub mod tests {\n    fn f() {\n    }\n    g();\n}\nfn h() {}\n";
    let (lines, modules) = only_for_tests(source);
    let numbers: Vec<_> = lines.iter().map(|(number, _)| *number).collect();
    assert_eq!(numbers, [3, 11, 12, 13, 14, 15]);
    assert_eq!(modules, ["e"]);
    let found = found();
    let mutations = file_of(&root().join("src/facts/object/mod.rs"), "mutations");
    assert!(mutations.is_some_and(|file| file.ends_with("src/facts/object/mutations.rs")));
    let of_support = |(file, _): &(String, String)| file == "tests/support/wait.rs";
    assert!(found.keys().any(of_support), "{found:?}");
    assert!(!found.keys().any(|(file, _)| file.starts_with("benches")));
}
