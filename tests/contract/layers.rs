//! Modules use each other in the order of docs/design.md, and no files use each other in a cycle.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use super::{files, root};

/// A file of a crate, as a module.
struct Module {
    file: PathBuf,
    /// Path from the root of the crate; empty for the root itself.
    path: Vec<String>,
    /// The modules that it uses, with line numbers.
    uses: Vec<(usize, Vec<String>)>,
}

/// The modules of a crate by their path, without those for tests, which may use any other.
fn modules(folder: &Path) -> BTreeMap<Vec<String>, Module> {
    let texts: Vec<_> = files(folder, "rs")
        .into_iter()
        .map(|file| {
            let text = fs::read_to_string(&file).expect("readable");
            (file, text)
        })
        .collect();
    let only_tests: BTreeSet<_> = texts
        .iter()
        .flat_map(|(file, text)| declared_for_tests(&path_of(folder, file), text))
        .collect();
    let modules = texts.into_iter().map(|(file, text)| {
        let path = path_of(folder, &file);
        let uses = used_by(&path, &text);
        (path.clone(), Module { file, path, uses })
    });
    modules
        .filter(|(path, _)| !(0..=path.len()).any(|end| only_tests.contains(&path[..end])))
        .collect()
}

fn path_of(folder: &Path, file: &Path) -> Vec<String> {
    let below = file.strip_prefix(folder).expect("below").with_extension("");
    let mut path: Vec<_> = below
        .iter()
        .map(|part| part.to_string_lossy().into_owned())
        .collect();
    if path.last().is_some_and(|name| name == "mod") || path == ["lib"] || path == ["main"] {
        path.pop();
    }
    path
}

/// Modules that are declared below `#[cfg(test)]`.
fn declared_for_tests(path: &[String], text: &str) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    let mut for_tests = false;
    for line in text.lines().map(str::trim) {
        let name = line
            .split("mod ")
            .nth(1)
            .and_then(|rest| rest.strip_suffix(';'));
        match name {
            Some(name) if for_tests => found.push([path, &[name.to_owned()]].concat()),
            _ if is_for_tests(line) => for_tests = true,
            _ if line.starts_with("#[") => {}
            _ => for_tests = false,
        }
    }
    found
}

/// Lines before the tests at the end of a file.
fn own_lines(text: &str) -> usize {
    let lines: Vec<_> = text.lines().collect();
    let is_test = |at: usize| {
        let declaration = lines[at..].iter().find(|line| !line.starts_with("#["));
        is_for_tests(lines[at])
            && declaration.is_some_and(|line| line.contains("mod ") && line.ends_with('{'))
    };
    (0..lines.len())
        .find(|at| is_test(*at))
        .unwrap_or(lines.len())
}

fn is_for_tests(line: &str) -> bool {
    line.starts_with("#[cfg(test)]") || line.starts_with("#[cfg(all(test,")
}

/// Paths below the root of the crate that a file names, in `use` lines or elsewhere, outside its tests.
fn used_by(path: &[String], text: &str) -> Vec<(usize, Vec<String>)> {
    let code: String = text
        .lines()
        .take(own_lines(text))
        .map(|line| line.split("//").next().unwrap_or_default().to_owned() + "\n")
        .collect();
    let mut uses = Vec::new();
    for start in ["crate::", "super::", "self::"] {
        for (at, _) in code.match_indices(start) {
            let before = code[..at].chars().next_back();
            // Part of a longer path or name.
            if before.is_some_and(|c| c == ':' || c.is_alphanumeric() || c == '_' || c == '$') {
                continue;
            }
            let line = code[..at].matches('\n').count() + 1;
            for named in expanded(&code[at..]) {
                uses.extend(absolute(path, &named).map(|named| (line, named)));
            }
        }
    }
    uses
}

/// The paths of a tree such as `crate::a::{self, b::{c, d}}`, at the start of the text.
fn expanded(text: &str) -> Vec<Vec<String>> {
    let name_end = text
        .find(|c: char| !(c.is_alphanumeric() || c == '_'))
        .unwrap_or(text.len());
    let (name, rest) = text.split_at(name_end);
    let own = vec![name.to_owned()];
    let Some(rest) = rest.strip_prefix("::") else {
        return vec![own];
    };
    let below = match rest.strip_prefix('{') {
        None => expanded(rest),
        Some(list) => branches(list)
            .iter()
            .flat_map(|branch| expanded(branch))
            .collect(),
    };
    let joined = below
        .into_iter()
        .map(|path| [own.as_slice(), &path].concat());
    joined.collect()
}

/// The parts between commas, up to the brace that closes the list.
fn branches(list: &str) -> Vec<String> {
    let mut branches = vec![String::new()];
    let mut depth = 0;
    for c in list.chars() {
        match c {
            '}' if depth == 0 => break,
            ',' if depth == 0 => branches.push(String::new()),
            c => {
                depth += i32::from(c == '{') - i32::from(c == '}');
                branches.last_mut().expect("one").push(c);
            }
        }
    }
    branches
        .iter()
        .map(|branch| branch.trim().to_owned())
        .collect()
}

/// The path from the root of the crate; `None` if it leads out of the crate.
fn absolute(path: &[String], named: &[String]) -> Option<Vec<String>> {
    let supers = named.iter().take_while(|part| *part == "super").count();
    match named.first()?.as_str() {
        "crate" => Some(named[1..].to_vec()),
        "self" => Some([path, &named[1..]].concat()),
        _ => {
            let parent = path.get(..path.len().checked_sub(supers)?)?;
            Some([parent, &named[supers..]].concat())
        }
    }
}

/// The module that a path leads to.
fn owner<'a>(modules: &'a BTreeMap<Vec<String>, Module>, named: &[String]) -> Option<&'a Module> {
    (1..=named.len())
        .rev()
        .find_map(|end| modules.get(&named[..end]))
}

/// The order of modules in docs/design.md.
fn order() -> Vec<String> {
    let design = fs::read_to_string(root().join("docs/design.md")).expect("readable");
    let line = design.lines().find(|line| line.starts_with("bin → "));
    let line = line.expect("docs/design.md has the order of modules: bin → …");
    line.split(" → ").map(str::to_owned).collect()
}

#[test]
fn no_module_uses_one_above_it() {
    let order = order();
    let place = |name: &str| order.iter().position(|one| one == name);
    let modules = modules(&root().join("src"));
    assert!(modules.len() > 100);
    let mut wrong = Vec::new();
    for module in modules.values().filter(|module| !module.path.is_empty()) {
        let own = place(&module.path[0]);
        assert!(
            own.is_some(),
            "docs/design.md gives {} no place",
            module.path[0]
        );
        for (line, named) in &module.uses {
            let Some(used) = owner(&modules, named) else {
                continue;
            };
            if place(&used.path[0]) < own {
                let (file, named) = (module.file.display(), named.join("::"));
                wrong.push(format!(
                    "{file}:{line}: {named}: {} is above {}",
                    used.path[0], module.path[0]
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn files_do_not_use_each_other_in_cycles() {
    let mut folders = vec![root().join("src")];
    for tests in ["benches", "tests"] {
        let entries = fs::read_dir(root().join(tests)).expect("a folder");
        let entries = entries.map(|entry| entry.expect("an entry").path());
        folders.extend(entries.filter(|entry| entry.join("main.rs").exists()));
    }
    for folder in folders {
        let modules = modules(&folder);
        let edges: BTreeMap<_, _> = modules
            .iter()
            .map(|(path, module)| {
                let used = module.uses.iter().filter_map(|(line, named)| {
                    let used = owner(&modules, named)?;
                    (used.path != *path).then_some((used.path.as_slice(), *line))
                });
                (path.as_slice(), used.collect::<BTreeMap<_, _>>())
            })
            .collect();
        if let Some(cycle) = cycle(&edges) {
            let lines: Vec<_> = cycle
                .iter()
                .map(|(path, line)| format!("{}:{line}", modules[*path].file.display()))
                .collect();
            panic!(
                "these files use each other in a cycle:\n{}",
                lines.join("\n")
            );
        }
    }
}

type Edges<'a> = BTreeMap<&'a [String], BTreeMap<&'a [String], usize>>;

/// Modules that use each other in a cycle, each with the line that uses the next.
fn cycle<'a>(edges: &Edges<'a>) -> Option<Vec<(&'a [String], usize)>> {
    let mut done = BTreeSet::new();
    let mut stack = Vec::new();
    edges
        .keys()
        .find_map(|start| search(edges, start, &mut stack, &mut done))
}

fn search<'a>(
    edges: &Edges<'a>,
    at: &'a [String],
    stack: &mut Vec<(&'a [String], usize)>,
    done: &mut BTreeSet<&'a [String]>,
) -> Option<Vec<(&'a [String], usize)>> {
    if let Some(begin) = stack.iter().position(|(path, _)| *path == at) {
        return Some(stack[begin..].to_vec());
    }
    if done.contains(at) {
        return None;
    }
    for (next, line) in &edges[at] {
        stack.push((at, *line));
        if let Some(cycle) = search(edges, next, stack, done) {
            return Some(cycle);
        }
        stack.pop();
    }
    done.insert(at);
    None
}

#[test]
fn uses_are_understood() {
    let path = |text: &str| text.split("::").map(str::to_owned).collect::<Vec<_>>();
    let text = "use crate::a::{self, b::{C, d}};\nuse super::e::F;\nlet x = crate::g::h();\n// crate::i\n\
                #[cfg(test)]\nmod tests {\n    use crate::j;\n}\n";
    let uses = used_by(&path("x::y"), text);
    let expected = [
        (1, "a::self"),
        (1, "a::b::C"),
        (1, "a::b::d"),
        (3, "g::h"),
        (2, "x::e::F"),
    ];
    assert_eq!(uses, expected.map(|(line, named)| (line, path(named))));
}
