//! Where denet runs: its cgroup and the limits of it, a container, a virtual machine.

use std::path::{Path, PathBuf};

use procfs_core::ProcessCGroup;

use super::super::cgroup::{self, membership, memberships};
use super::super::environment::Environment;
use super::super::mounts::table;
use super::gathered::{Gathered, Read, line, of_fact, read, read_if_there};
use crate::facts::Fact;
use crate::output::exact::Text;
use crate::sys::mountinfo::Mount;
use crate::sys::root::Root;

pub(super) fn gather(root: &Root, to: &mut Gathered) {
    cgroups(root, to);
    let environment = Environment::probe(root);
    to.put_if_any("container", container(&environment));
    let wsl = environment.wsl.known() == Some(&true);
    let hypervisor = of_fact("/proc/cpuinfo", environment.hypervisor);
    let is_virtual = hypervisor.map(|says| says || wsl);
    if is_virtual == Ok(true) {
        to.put("hypervisor", hypervisor_name(root, wsl));
    }
    to.put("virtual_machine", is_virtual);
}

/// `None` if all signs were looked for and there is none.
fn container(environment: &Environment) -> Read<Option<&'static str>> {
    use super::super::environment::Container as C;
    let name = environment.container().map(|container| match container {
        C::Docker => "docker",
        C::Podman => "podman",
        C::Kubernetes => "kubernetes",
        C::Lxc => "lxc",
        C::Nspawn => "systemd-nspawn",
        C::Other => "other",
    });
    match (name, &environment.init_says) {
        (None, Fact::Denied(why) | Fact::Failed(why)) => Err(why.clone()),
        (name, _) => Ok(name),
    }
}

fn hypervisor_name(root: &Root, wsl: bool) -> Read<String> {
    if wsl {
        return Ok("wsl".to_owned());
    }
    // What the firmware calls the machine (dmi), or Xen itself.
    if let Some(kind) = read_if_there(root, "/sys/hypervisor/type", line)? {
        return Ok(kind);
    }
    let dmi = |name| read_if_there(root, &format!("/sys/class/dmi/id/{name}"), line);
    let said = [dmi("sys_vendor")?, dmi("product_name")?];
    let said: Vec<_> = said.into_iter().flatten().collect();
    if said.is_empty() {
        return Err("neither /sys/hypervisor/type nor /sys/class/dmi/id names it".to_owned());
    }
    let said = said.join(" ");
    let known = KNOWN.iter().find(|(word, _)| said.contains(word));
    Ok(known.map_or(said, |(_, name)| (*name).to_owned()))
}

/// Words of the firmware's, and what they stand for.
const KNOWN: [(&str, &str); 9] = [
    ("KVM", "kvm"),
    ("QEMU", "qemu"),
    ("VMware", "vmware"),
    ("VirtualBox", "virtualbox"),
    ("Microsoft Corporation", "hyper-v"),
    ("Amazon EC2", "amazon-ec2"),
    ("Google", "google-compute-engine"),
    ("Parallels", "parallels"),
    ("Xen", "xen"),
];

/// A controller that limits, and its file in both versions of control groups.
struct Controller {
    name: &'static str,
    file_v1: &'static str,
    file_v2: &'static str,
}

/// The path of a membership, by its readable form.
fn exact(root: &Root, readable: &str) -> Text {
    let lines = root.read("/proc/self/cgroup").unwrap_or_default();
    // number:controllers:path
    let paths = lines
        .split(|byte| *byte == b'\n')
        .filter_map(|line| line.splitn(3, |byte| *byte == b':').nth(2));
    paths
        .map(Text::from)
        .find(|text| **text == *readable)
        .unwrap_or_else(|| readable.into())
}

fn cgroups(root: &Root, to: &mut Gathered) {
    let own = read(root, "/proc/self/cgroup", memberships);
    let mounts = of_fact("/proc/self/mountinfo", table(root));
    let place = own.clone().and_then(|all| {
        let of = |name| membership(&all, name);
        let own = of("cpu").or_else(|| of("memory")).or_else(|| of(""));
        let own = own.or_else(|| all.first()).cloned();
        own.ok_or_else(|| "/proc/self/cgroup: in none".to_owned())
    });
    let version = place
        .clone()
        .map(|own| if own.controllers.is_empty() { 2 } else { 1 });
    to.put_text("cgroup_path", place.map(|own| exact(root, &own.pathname)));
    to.put("cgroup_version", version);
    let limits = own.and_then(|own| Ok((own, mounts?)));
    let tightest = |controller: &Controller, parse: &dyn Fn(&Path, &str) -> Read<Option<f64>>| {
        let (own, mounts) = limits.as_ref().map_err(String::clone)?;
        let mut tightest: Option<f64> = None;
        for (folder, file) in levels(own, mounts, controller) {
            if let Some(limit) = parse(&folder, file)? {
                tightest = Some(tightest.map_or(limit, |other| other.min(limit)));
            }
        }
        Ok(tightest)
    };
    let cpu = Controller {
        name: "cpu",
        file_v1: "cpu.cfs_quota_us",
        file_v2: "cpu.max",
    };
    let memory = Controller {
        name: "memory",
        file_v1: "memory.limit_in_bytes",
        file_v2: "memory.max",
    };
    let cpus = tightest(&cpu, &|folder, file| cpus(root, folder, file));
    to.put_if_any("cgroup_cpu_max", cpus);
    let bytes = tightest(&memory, &|folder, file| {
        let path = folder.join(file).display().to_string();
        let limit = read_if_there(root, &path, cgroup::parse_limit)?;
        Ok(limit.flatten().map(|bytes| bytes as f64))
    });
    let bytes = bytes.map(|bytes: Option<f64>| bytes.map(|bytes| bytes as u64));
    to.put_if_any("cgroup_memory_max_bytes", bytes);
}

/// A group's own folder and those around it, with the controller's file in them.
fn levels(
    own: &[ProcessCGroup],
    mounts: &[Mount],
    controller: &Controller,
) -> Vec<(PathBuf, &'static str)> {
    let old = membership(own, controller.name);
    let (group, kind, file) = match old {
        Some(group) => (Some(group), "cgroup", controller.file_v1),
        None => (membership(own, ""), "cgroup2", controller.file_v2),
    };
    let of_controller = |mount: &&Mount| {
        let mut options = mount.super_options.iter();
        let has = kind == "cgroup2" || options.any(|option| option == controller.name);
        mount.kind == kind && has
    };
    let (Some(group), Some(mount)) = (group, mounts.iter().find(of_controller)) else {
        return Vec::new();
    };
    // In a container the mount begins at the container's own group.
    let path = Path::new(group.pathname.trim_start_matches('/'));
    let begins = mount.root.trim_start_matches('/');
    let point = Path::new(&mount.point);
    let folder = point.join(path.strip_prefix(begins).unwrap_or(path));
    let levels = folder
        .ancestors()
        .take_while(|folder| folder.starts_with(point));
    levels.map(|folder| (folder.to_owned(), file)).collect()
}

/// CPUs' worth of time that a group may use: quota over period.
fn cpus(root: &Root, folder: &Path, file: &str) -> Read<Option<f64>> {
    let path = |file: &str| folder.join(file).display().to_string();
    if file == "cpu.max" {
        return Ok(read_if_there(root, &path(file), cpu_max)?.flatten());
    }
    let quota = read_if_there(root, &path(file), |text| text.trim().parse::<i64>().ok())?;
    let Some(quota) = quota.filter(|quota| *quota > 0) else {
        return Ok(None);
    };
    let period = read(root, &path("cpu.cfs_period_us"), positive)?;
    Ok(Some(quota as f64 / period))
}

/// `max 100000`, `150000 100000`
fn cpu_max(text: &str) -> Option<Option<f64>> {
    let (quota, period) = text.trim().split_once(' ')?;
    let period = positive(period)?;
    match quota {
        "max" => Some(None),
        quota => Some(Some(positive(quota)? / period)),
    }
}

fn positive(text: &str) -> Option<f64> {
    let number: u64 = text.trim().parse().ok()?;
    (number > 0).then_some(number as f64)
}
