//! The pages of docs/troubleshooting, as `ebpf_diag --explain` prints them.

use super::table::CHECKS;

macro_rules! pages {
    ($($id:literal,)*) => {
        &[$(($id, page!($id))),*]
    };
}

/// Pages of findings that no check makes, and of topics.
const OTHERS: &[(&str, &str)] = pages![
    "built-without-ebpf",
    "count-differs",
    "debugfs-755",
    "invalid-elf-header",
    "kptr-restrict",
    "not-followed",
    "object-btf-missing",
    "object-btf-unreadable",
    "object-class",
    "object-core-unreadable",
    "object-endianness",
    "object-helper-unknown",
    "object-license-incompatible",
    "object-license-missing",
    "object-map-unreadable",
    "object-maps-legacy",
    "object-misaligned",
    "object-no-programs",
    "object-program-large",
    "object-ringbuf-size",
    "object-section-unknown",
    "seccomp-syscall",
    "still-attached",
    "tracefs-chmod",
    "udev-tracefs",
    "unprivileged-bpf-disabled",
    "works-with-sudo",
    "xdp-not-native",
];

/// Id and text of each page, by id.
pub fn all() -> Vec<(&'static str, &'static str)> {
    let of_checks = CHECKS.iter().map(|check| (check.id, check.page));
    let mut pages: Vec<_> = of_checks.chain(OTHERS.iter().copied()).collect();
    pages.sort_unstable();
    pages
}

/// The page with this id.
pub fn page(id: &str) -> Option<&'static str> {
    let found = all().into_iter().find(|(known, _)| *known == id);
    found.map(|(_, text)| text)
}
