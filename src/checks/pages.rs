//! The pages of docs/troubleshooting, as `ebpf_diag --explain` prints them.

macro_rules! pages {
    ($($id:literal,)*) => {
        &[$(($id, include_str!(concat!("../../docs/troubleshooting/", $id, ".md")))),*]
    };
}

/// Id and text of each, by id.
pub const PAGES: &[(&str, &str)] = pages![
    "bounding-set",
    "bpffs-not-mounted",
    "built-without-ebpf",
    "capabilities-dropped",
    "cgroup-memory",
    "count-differs",
    "debugfs-755",
    "facts-contradicted",
    "file-capabilities-missing",
    "file-capabilities-not-effective",
    "file-capabilities-partial",
    "file-capabilities-unknown",
    "invalid-elf-header",
    "jit-limit",
    "jit-off",
    "kernel-addresses-hidden",
    "kernel-btf-malformed",
    "kernel-refused",
    "kernel-too-old",
    "kernel-without-bpf",
    "kernel-without-btf",
    "kernel-without-events",
    "kernel-without-kprobes",
    "kptr-restrict",
    "lockdown",
    "memlock",
    "net-admin-missing",
    "no-hardware-counters",
    "no-new-privs",
    "nofile",
    "nosuid-mount",
    "not-executable",
    "not-yours",
    "object-broken",
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
    "perf-event-paranoid",
    "pid-namespace",
    "processes-hidden",
    "ring-buffer",
    "runs-skipped",
    "seccomp",
    "seccomp-syscall",
    "security-module",
    "still-attached",
    "tracefs-chmod",
    "tracefs-not-mounted",
    "tracefs-unreadable",
    "udev-tracefs",
    "unprivileged-bpf-disabled",
    "user-namespace",
    "works-with-sudo",
    "xdp-busy",
    "xdp-not-native",
];

/// The page with this id.
pub fn page(id: &str) -> Option<&'static str> {
    let found = PAGES.iter().find(|(known, _)| *known == id);
    found.map(|(_, text)| *text)
}
