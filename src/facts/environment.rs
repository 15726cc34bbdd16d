//! Where all this runs: a container, a virtual machine, WSL, and what of it is hidden.

use serde::{Deserialize, Serialize};

use super::fact::Fact;
use crate::sys::root::Root;

/// A kind of container.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Container {
    Docker,
    Podman,
    Kubernetes,
    Lxc,
    Nspawn,
    /// Something else that says it is one.
    Other,
}

/// What tells a container and a virtual machine: signs, not proofs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Environment {
    /// `container=` in the environment of pid 1, which only its own user may read.
    pub(crate) init_says: Fact<String>,
    /// There is a `/.dockerenv`.
    pub(crate) dockerenv: Fact<bool>,
    /// There is a `/run/.containerenv` (Podman).
    pub(crate) containerenv: Fact<bool>,
    /// Control groups of pid 1, which name who made them, unless a namespace hides that.
    pub(crate) init_cgroups: Fact<Vec<String>>,
    /// In the initial pid namespace: elsewhere not all processes of the machine are visible.
    pub(crate) initial_pid_namespace: Fact<bool>,
    /// `/proc` shows the pid namespace of this process, so that ids mean the same there. Absent without `/proc`, and
    /// in older reports.
    #[serde(default = "unrecorded")]
    pub(crate) own_proc: Fact<bool>,
    /// The CPU says that it is a virtual one (x86).
    pub(crate) hypervisor: Fact<bool>,
    /// What the firmware calls the machine; `Absent` without firmware, as in a micro VM.
    pub(crate) product: Fact<String>,
    /// The kernel is that of the Windows Subsystem for Linux.
    pub(crate) wsl: Fact<bool>,
}

/// Inode of the initial pid namespace: PROC_PID_INIT_INO (include/linux/proc_ns.h).
const INITIAL_PID_NAMESPACE: &str = "pid:[4026531836]";

fn unrecorded() -> Fact<bool> {
    Fact::Absent
}

/// Whether `/proc` shows the pid namespace of this process: then `NSpid` lists one id. In the `/proc` of a namespace
/// that contains this one it lists several, and in any other there is no `/proc/self`, only its link.
pub(crate) fn own_proc(root: &Root) -> Fact<bool> {
    let status = "/proc/self/status";
    match Fact::of(status, root.text(status)) {
        Fact::Absent => {
            let listed = root.read_dir("/proc").unwrap_or_default();
            match listed.iter().any(|name| name == "self") {
                true => Fact::Known(false),
                false => Fact::Absent,
            }
        }
        read => read.and_then(|text| Fact::from_option(parse_ids(&text))),
    }
}

/// `None` before Linux 4.1, and without pid namespaces.
fn parse_ids(status: &str) -> Option<bool> {
    let ids = status
        .lines()
        .find_map(|line| line.strip_prefix("NSpid:"))?;
    Some(ids.split_whitespace().count() == 1)
}

impl Environment {
    /// Looks for the signs.
    pub(crate) fn probe(root: &Root) -> Self {
        let exists = |path: &str| match Fact::of(path, root.stat(path)) {
            Fact::Absent => Fact::Known(false),
            fact => fact.map(|_| true),
        };
        let line = |path| Fact::of(path, root.text(path)).map(|text| text.trim().to_owned());
        let (environ, namespace) = ("/proc/1/environ", "/proc/self/ns/pid");
        Self {
            init_says: Fact::of(environ, root.read(environ)).and_then(|block| said_by(&block)),
            dockerenv: exists("/.dockerenv"),
            containerenv: exists("/run/.containerenv"),
            init_cgroups: Fact::read(root, "/proc/1/cgroup", parse_cgroups),
            initial_pid_namespace: Fact::of(namespace, root.read_link(namespace))
                .map(|link| link.as_os_str() == INITIAL_PID_NAMESPACE),
            own_proc: own_proc(root),
            hypervisor: Fact::read(root, "/proc/cpuinfo", parse_cpus),
            product: line("/sys/class/dmi/id/product_name"),
            wsl: line("/proc/sys/kernel/osrelease").map(|release| {
                let release = release.to_lowercase();
                release.contains("microsoft") || release.contains("wsl")
            }),
        }
    }

    /// The container that the signs point to; `None` if there is no sign.
    pub(crate) fn container(&self) -> Option<Container> {
        let paths = self.init_cgroups.known().map_or(&[][..], Vec::as_slice);
        let runs_in = |words: &[&str]| {
            let named = |path: &String| words.iter().any(|word| path.contains(word));
            paths.iter().any(named)
        };
        let says = self.init_says.known().map(String::as_str);
        // A virtual machine made of a container's image keeps the file, and has no namespaces.
        let alone = self.initial_pid_namespace == Fact::Known(true);
        match says {
            _ if runs_in(&["kubepods"]) => Some(Container::Kubernetes),
            Some("docker") => Some(Container::Docker),
            Some("podman") => Some(Container::Podman),
            Some("lxc" | "lxc-libvirt") => Some(Container::Lxc),
            Some("systemd-nspawn") => Some(Container::Nspawn),
            // WSL says so of itself and is a virtual machine.
            Some("wsl") => None,
            _ if !alone && self.containerenv == Fact::Known(true) => Some(Container::Podman),
            _ if !alone && self.dockerenv == Fact::Known(true) => Some(Container::Docker),
            _ if runs_in(&["/docker/", "/docker-"]) => Some(Container::Docker),
            _ if runs_in(&["/libpod-", "/libpod_"]) => Some(Container::Podman),
            _ if runs_in(&["/lxc/", "/lxc.payload"]) => Some(Container::Lxc),
            Some(_) => Some(Container::Other),
            None => None,
        }
    }
}

/// The value of `container=` in a block of `NAME=value\0`.
fn said_by(block: &[u8]) -> Fact<String> {
    let mut entries = block.split(|byte| *byte == 0);
    let found = entries.find_map(|entry| entry.strip_prefix(b"container="));
    found.map_or(Fact::Absent, |value| {
        Fact::Known(String::from_utf8_lossy(value).into_owned())
    })
}

/// The paths in `/proc/PID/cgroup`.
fn parse_cgroups(text: &str) -> Option<Vec<String>> {
    text.lines()
        .map(|line| line.splitn(3, ':').nth(2).map(str::to_owned))
        .collect()
}

/// The flag `hypervisor` of the first CPU; other architectures have no such flag.
fn parse_cpus(text: &str) -> Option<bool> {
    let flags = text.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        ["flags", "Features"]
            .contains(&name.trim())
            .then_some(value)
    })?;
    Some(flags.split_whitespace().any(|flag| flag == "hypervisor"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::root::tests::Tree;

    fn kind(files: &[(&str, &str)]) -> Option<Container> {
        Environment::probe(&Tree::with(files).root()).container()
    }

    #[test]
    fn signs_of_containers() {
        use Container as C;
        let environ = "/proc/1/environ";
        let cgroup = "/proc/1/cgroup";
        assert_eq!(kind(&[("/x", "")]), None);
        assert_eq!(kind(&[("/.dockerenv", "")]), Some(C::Docker));
        assert_eq!(kind(&[("/run/.containerenv", "")]), Some(C::Podman));
        assert_eq!(kind(&[(environ, "A=b\0container=lxc\0")]), Some(C::Lxc));
        assert_eq!(kind(&[(environ, "container=wsl\0")]), None);
        assert_eq!(kind(&[(environ, "container=odd\0")]), Some(C::Other));
        assert_eq!(kind(&[(environ, "notcontainer=lxc\0")]), None);
        assert_eq!(kind(&[(cgroup, "0::/init.scope\n")]), None);
        let pod = "0::/kubepods.slice/kubepods-pod1.slice/cri-containerd-ab.scope\n";
        assert_eq!(
            kind(&[(cgroup, pod), ("/.dockerenv", "")]),
            Some(C::Kubernetes)
        );
        assert_eq!(kind(&[(cgroup, "1:cpu:/docker/ab\n")]), Some(C::Docker));
    }

    #[test]
    fn signs_of_virtual_machines() {
        let tree = Tree::with(&[
            (
                "/proc/cpuinfo",
                "processor\t: 0\nflags\t\t: fpu hypervisor\n",
            ),
            (
                "/proc/sys/kernel/osrelease",
                "5.15.1-microsoft-standard-WSL2\n",
            ),
            ("/sys/class/dmi/id/product_name", "KVM\n"),
        ]);
        let here = Environment::probe(&tree.root());
        assert_eq!(here.hypervisor, Fact::Known(true));
        assert_eq!(here.wsl, Fact::Known(true));
        assert_eq!(here.product, Fact::Known("KVM".into()));
        assert_eq!(here.initial_pid_namespace, Fact::Absent);
        assert_eq!(here.own_proc, Fact::Absent);
    }

    #[test]
    fn garbage_says_nothing() {
        assert_eq!(parse_cpus("flags"), None);
        assert_eq!(parse_cgroups("garbage"), None);
        assert_eq!(said_by(b"\xff\0=\0container"), Fact::Absent);
    }

    #[test]
    fn proc_is_own_if_it_shows_one_id() {
        let of = |files: &[(&str, &str)]| own_proc(&Tree::with(files).root());
        let status = |ids: &str| format!("Name:\tsh\nNSpid:\t{ids}\nVmPeak:\t1 kB\n");
        let path = "proc/self/status";
        assert_eq!(of(&[(path, &status("4711"))]), Fact::Known(true));
        assert_eq!(of(&[(path, &status("4711\t1"))]), Fact::Known(false));
        assert_eq!(of(&[(path, "Name:\tsh\n")]), Fact::Absent);
        assert_eq!(of(&[("proc/self/other", "")]), Fact::Known(false));
        assert_eq!(of(&[("proc/version", "Linux")]), Fact::Absent);
    }
}
