//! What two places must agree on: the ABI of the eBPF side, the syscall tables, the objects, the files
//! that are installed.
#![expect(clippy::panic, reason = "what tests share is not a test to clippy")]

use std::path::{Path, PathBuf};
use std::process::Command;

use denet::decode::syscalls::Table;

mod abi;
mod assets;
mod clocks;
mod completeness;
mod layers;
mod pages;
mod records;
mod runner;
#[path = "../support/mod.rs"]
#[expect(dead_code, reason = "other tiers need more of it")]
mod support;
#[cfg(feature = "ebpf")]
mod xdp;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn run(command: &mut Command) {
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(
        output.status.success(),
        "{command:?}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn the_objects_are_what_their_sources_compile_to_in_any_folder() {
    let elsewhere = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("ebpf elsewhere");
    let _ = std::fs::remove_dir_all(&elsewhere);
    run(Command::new("cp")
        .arg("-r")
        .arg(root().join("ebpf"))
        .arg(&elsewhere));
    let out = elsewhere.join("built");
    run(Command::new(elsewhere.join("build")).arg(&out));
    let committed = |folder: &Path| {
        let entries = std::fs::read_dir(folder).expect("a folder");
        let mut files: Vec<_> = entries
            .map(|entry| entry.expect("an entry").path())
            .collect();
        files.sort();
        files
    };
    let (old, new) = (committed(&root().join("ebpf/objects")), committed(&out));
    let names = |files: &[PathBuf]| {
        files
            .iter()
            .map(|f| f.file_name().map(ToOwned::to_owned))
            .collect::<Vec<_>>()
    };
    assert_eq!(names(&old), names(&new));
    for (old, new) in old.iter().zip(&new) {
        let same = std::fs::read(old).expect("readable") == std::fs::read(new).expect("readable");
        assert!(
            same,
            "{} is not what its source compiles to: run ebpf/build",
            old.display()
        );
    }
}

/// `#define __NR_name number` of a header, as the preprocessor sees it.
fn numbers(header: &str, flags: &[&str]) -> Vec<(String, i32)> {
    let source = Path::new(env!("CARGO_TARGET_TMPDIR")).join(header.replace('/', "-") + ".c");
    std::fs::write(&source, format!("#include <{header}>\n")).expect("room in the target folder");
    let output = Command::new("clang-16")
        .args(["-E", "-dM"])
        .args(flags)
        .arg(&source)
        .output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    let text = text.unwrap_or_else(|error| panic!("clang-16: {error}"));
    let defined = text.lines().filter_map(|line| {
        let (name, value) = line.strip_prefix("#define __NR_")?.split_once(' ')?;
        Some((name.to_owned(), value.parse().ok()?))
    });
    defined.collect()
}

#[test]
fn the_syscall_tables_are_the_kernels_own() {
    let headers = [
        (Table::X86_64, "asm/unistd_64.h", &[][..], 340),
        (Table::I386, "asm/unistd_32.h", &[][..], 400),
        (
            Table::Arm64,
            "asm-generic/unistd.h",
            &[
                "-D__ARCH_WANT_RENAMEAT",
                "-D__ARCH_WANT_NEW_STAT",
                "-D__ARCH_WANT_SET_GET_RLIMIT",
                "-D__ARCH_WANT_TIME32_SYSCALLS",
                "-D__ARCH_WANT_SYS_CLONE3",
                "-D__ARCH_WANT_MEMFD_SECRET",
            ][..],
            250,
        ),
    ];
    for (table, header, flags, at_least) in headers {
        let numbers = numbers(header, flags);
        assert!(
            numbers.len() > at_least,
            "{header}: only {} numbers",
            numbers.len()
        );
        for (name, nr) in numbers
            .into_iter()
            .filter(|(name, _)| name != "syscalls" && name != "arch_specific_syscall")
        {
            assert_eq!(
                table.lookup(nr).map(|(name, _)| name),
                Some(name.as_str()),
                "{header}: {nr}"
            );
        }
    }
}

/// Names in prose and names in code: what the eBPF side calls its programs and maps fits 15 bytes,
/// the kernel's limit, so that bpftool shows them whole.
#[test]
fn names_fit_the_kernel() {
    for entry in std::fs::read_dir(root().join("ebpf")).expect("a folder") {
        let path = entry.expect("an entry").path();
        let source = std::fs::read_to_string(&path).unwrap_or_default();
        for word in source.split(|c: char| !c.is_ascii_alphanumeric() && c != '_') {
            let is_map = source.contains(&format!("}} {word} SEC(\".maps\")"));
            assert!(!is_map || word.len() <= 15, "{word} in {}", path.display());
        }
    }
}

/// Judging and rendering take data and give data: they read no files, ask no clock, print nothing.
#[test]
fn pure_code_stays_pure() {
    let pure = [
        "src/checks",
        "src/render",
        "src/decode",
        "src/profile/analyse.rs",
        "src/profile/tally.rs",
    ];
    let effects = [
        "std::fs",
        "std::process",
        "println!",
        "SystemTime::now",
        "Instant::now",
        "libc::syscall",
    ];
    let mut files = Vec::new();
    for place in pure {
        collect(&root().join(place), &mut files);
    }
    // Tests may read what they compare with.
    files.retain(|file| !file.ends_with("tests.rs") && !file.ends_with("replay.rs"));
    assert!(files.len() > 6);
    for file in files {
        let text = std::fs::read_to_string(&file).expect("readable");
        for effect in effects {
            assert!(!text.contains(effect), "{effect} in {}", file.display());
        }
    }
}

fn collect(place: &Path, files: &mut Vec<PathBuf>) {
    if place.is_dir() {
        for entry in std::fs::read_dir(place).expect("a folder") {
            collect(&entry.expect("an entry").path(), files);
        }
    } else {
        files.push(place.to_owned());
    }
}

/// Files below a folder, with this extension.
fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{error}"));
    let found = entries.flatten().flat_map(|entry| {
        let path = entry.path();
        if path.is_dir() {
            files(&path, extension)
        } else {
            vec![path]
        }
    });
    found
        .filter(|path| path.extension().is_some_and(|it| it == extension))
        .collect()
}
