//! The files of setup/, as they are installed.

/// A file that is installed as it is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asset {
    /// Below setup/.
    pub(crate) from: &'static str,
    pub(crate) to: &'static str,
    pub(crate) bytes: &'static [u8],
    pub(crate) why: &'static str,
    /// What it gives away; empty if nothing.
    pub(crate) risk: &'static str,
}

macro_rules! asset {
    ($from:literal => $to:literal, $why:literal, $risk:literal) => {
        Asset {
            from: $from,
            to: $to,
            bytes: include_bytes!(concat!("../../setup/", $from)),
            why: $why,
            risk: $risk,
        }
    };
}

/// The group exists on every system that is made of this one.
pub(crate) const SYSUSERS: Asset = asset!(
    "sysusers.d/denet.conf" => "/etc/sysusers.d/denet.conf",
    "the group is there again where systemd makes it anew (images, factory reset)",
    ""
);

/// Whoever mounts tracefs at boot mounts it so.
pub(crate) const MOUNT: Asset = asset!(
    "systemd/sys-kernel-tracing.mount.d/denet.conf" =>
        "/etc/systemd/system/sys-kernel-tracing.mount.d/denet.conf",
    "tracefs is readable for the group from boot on, and still nosuid, nodev and noexec",
    "members of the group can read what is traced, and write nothing but trace_marker"
);

/// And where something else mounted it, it is made so.
pub(crate) const UNIT: Asset = asset!(
    "systemd/denet-tracefs.service" => "/etc/systemd/system/denet-tracefs.service",
    "the same where something else mounted tracefs before",
    "members of the group can read what is traced, and write nothing but trace_marker"
);

/// Name of [`UNIT`].
pub(crate) const UNIT_NAME: &str = "denet-tracefs.service";

/// Events of modules that are loaded later, on kernels that do not hand the group on.
pub(crate) const RULE: Asset = asset!(
    "udev/70-denet-tracefs.rules" => "/etc/udev/rules.d/70-denet-tracefs.rules",
    "tracepoints of modules that are loaded later are readable, too: this kernel does not hand the group on",
    ""
);

/// Everyone who may execute denet sees the processes of all users.
pub(crate) const SCOPE: Asset = asset!(
    "denet.toml" => "/etc/denet.toml",
    "everyone who may execute denet sees the processes of all users",
    "members of the group see the system calls of all users' programs, including root's, with file names and data"
);

/// debugfs as the classic guides want it.
pub(crate) const DEBUGFS: Asset = asset!(
    "documented/sys-kernel-debug.mount.d/denet.conf" =>
        "/etc/systemd/system/sys-kernel-debug.mount.d/denet.conf",
    "asked for by classic guides; denet does not need it",
    "every user can list debugfs, and read what drivers leave readable there"
);

/// tracefs as the classic guides want it.
pub(crate) const WRITABLE: Asset = asset!(
    "documented/denet-tracefs-write.service" =>
        "/etc/systemd/system/denet-tracefs-write.service",
    "asked for by classic guides; denet does not need it",
    "members of the group read arbitrary kernel memory through kprobes, without any capability"
);

/// Name of [`WRITABLE`].
pub(crate) const WRITABLE_NAME: &str = "denet-tracefs-write.service";

/// Settings as the classic guides want them.
pub(crate) const SYSCTLS: Asset = asset!(
    "documented/99-denet.conf" => "/etc/sysctl.d/99-denet.conf",
    "asked for by classic guides; denet does not need it",
    "every user reaches bpf(2) and its verifier, and sees addresses of the kernel"
);
