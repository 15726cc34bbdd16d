//! What is to be changed: decided from what is known, without looking or touching.

mod settings;

use std::path::{Path, PathBuf};

use settings::settings;
pub(crate) use settings::wanted_sysctls;

use super::assets::{self, Asset};
use super::state::{CAPABILITY, FileState, State, Target, digest};
use crate::checks::step::Step;
use crate::sys::capabilities::{Cap, CapSet};
use crate::sys::release::Release;

/// The group that may profile.
pub(crate) const GROUP: &str = "tracing";

/// Where tracefs belongs.
pub(crate) const TRACING: &str = "/sys/kernel/tracing";
/// Where debugfs belongs.
pub(crate) const DEBUG: &str = "/sys/kernel/debug";

/// How much is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Profile {
    /// What is needed and no more.
    Least,
    /// What the classic guides ask for as well.
    Documented,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PlanOptions {
    /// How much is opened.
    pub(crate) profile: Profile,
    /// Who is to profile; nobody is added to the group without.
    pub(crate) user: Option<String>,
    /// Counters on network interfaces.
    pub(crate) xdp: bool,
    /// Names of kernel functions in stacks.
    pub(crate) kernel_symbols: bool,
    /// Processes of all users, not only what ptrace(2) would show.
    pub(crate) any_scope: bool,
    /// Settings, by name and value.
    pub(crate) sysctls: Vec<(String, String)>,
    /// Where binaries go: into `bin` below.
    pub(crate) prefix: PathBuf,
}

/// What is known of the system.
#[derive(Clone, Debug)]
pub(crate) struct Known {
    /// It runs.
    pub(crate) live: bool,
    /// systemd is its init, or is installed in the image.
    pub(crate) systemd: bool,
    /// The running kernel.
    pub(crate) release: Option<Release>,
    /// It lets nobody read tracefs (`lockdown=confidentiality`).
    pub(crate) confidential: bool,
    /// Number and members of [`GROUP`], if there is one.
    pub(crate) group: Option<(u32, Vec<String>)>,
    /// A number for it, if there is none.
    pub(crate) free_gid: u32,
    /// Where denet's binaries come from, and what is in them.
    pub(crate) binaries: Vec<(PathBuf, Vec<u8>)>,
    /// Directories on the way to the binaries that are missing, the outermost first.
    pub(crate) missing: Vec<PathBuf>,
    /// debugfs is mounted, with this group and mode.
    pub(crate) debugfs: Option<(u32, u32)>,
    /// Settings that were asked for, as they are.
    pub(crate) sysctls: Vec<(String, Option<i64>)>,
}

/// One thing to do.
#[derive(Clone, Debug)]
pub(crate) struct Action {
    /// As it is told.
    pub(crate) steps: Vec<Step>,
    /// What is changed.
    pub(crate) target: Target,
    /// What it is to be.
    pub(crate) wanted: State,
    /// Content of a file.
    pub(crate) bytes: Vec<u8>,
    /// What it is good for.
    pub(crate) why: &'static str,
    /// Something else under that name is replaced, and kept; otherwise it is a conflict.
    pub(crate) replaces: bool,
}

fn action(steps: Vec<Step>, target: Target, wanted: State, why: &'static str) -> Action {
    Action {
        steps,
        target,
        wanted,
        bytes: Vec::new(),
        why,
        replaces: true,
    }
}

/// Everything that is asked for, in the order in which it is done.
pub(crate) fn plan(options: &PlanOptions, known: &Known) -> Vec<Action> {
    let gid = known.group.as_ref().map_or(known.free_gid, |(gid, _)| *gid);
    let mut all = vec![group(known, gid)];
    all.extend(options.user.as_deref().map(member));
    all.extend(known.missing.iter().map(|at| directory(at)));
    for (from, bytes) in &known.binaries {
        all.extend(binary(options, from, bytes, gid));
    }
    if options.any_scope {
        all.extend(asset(assets::SCOPE));
    }
    if known.systemd {
        all.extend(units(options, known));
    }
    all.extend(settings(options));
    if known.live {
        all.extend(now(options, known, gid));
    }
    all
}

fn group(known: &Known, gid: u32) -> Action {
    let members = known.group.clone().map_or(Vec::new(), |(_, all)| all);
    action(
        vec![Step::AddGroup(GROUP)],
        Target::Group(GROUP.to_owned()),
        State::Group { gid, members },
        "who is in it may profile, and nobody else",
    )
}

fn member(user: &str) -> Action {
    action(
        vec![Step::AddMember {
            user: user.to_owned(),
            group: GROUP,
        }],
        Target::Member {
            user: user.to_owned(),
            group: GROUP.to_owned(),
        },
        State::Present,
        "this user may profile, from the next login on",
    )
}

fn directory(at: &Path) -> Action {
    let state = State::Directory {
        mode: 0o755,
        uid: 0,
        gid: 0,
    };
    action(
        vec![Step::MakeDirectory(at.to_owned())],
        Target::Path(at.to_owned()),
        state,
        "something goes in there",
    )
}

/// What `setcap(8)` calls the capabilities that are asked for.
fn caps(options: &PlanOptions) -> (&'static str, CapSet) {
    let base = CapSet::of(Cap::Bpf).or(CapSet::of(Cap::Perfmon));
    let (net, syslog) = (CapSet::of(Cap::NetAdmin), CapSet::of(Cap::Syslog));
    match (options.xdp, options.kernel_symbols) {
        (false, false) => ("cap_bpf,cap_perfmon", base),
        (true, false) => ("cap_bpf,cap_perfmon,cap_net_admin", base.or(net)),
        (false, true) => ("cap_bpf,cap_perfmon,cap_syslog", base.or(syslog)),
        (true, true) => (
            "cap_bpf,cap_perfmon,cap_net_admin,cap_syslog",
            base.or(net).or(syslog),
        ),
    }
}

/// `struct vfs_cap_data`, revision 2, effective (include/uapi/linux/capability.h), in hexadecimal.
fn capability_attribute(set: CapSet) -> String {
    const REVISION_2: u32 = 0x0200_0000;
    const EFFECTIVE: u32 = 1;
    let words = [
        REVISION_2 | EFFECTIVE,
        set.0 as u32,
        0,
        (set.0 >> 32) as u32,
        0,
    ];
    let bytes = words.iter().flat_map(|word| word.to_le_bytes());
    bytes.map(|byte| format!("{byte:02x}")).collect()
}

fn binary(options: &PlanOptions, from: &Path, bytes: &[u8], gid: u32) -> Option<Action> {
    let to = options.prefix.join("bin").join(from.file_name()?);
    let (names, set) = caps(options);
    let state = FileState {
        mode: 0o750,
        uid: 0,
        gid,
        attributes: [(CAPABILITY.to_owned(), capability_attribute(set))].into(),
        bytes: bytes.len() as u64,
        digest: digest(bytes),
    };
    let steps = vec![
        Step::Install {
            from: from.to_owned(),
            to: to.clone(),
            group: Some(GROUP),
        },
        Step::GrantCaps {
            file: to.clone(),
            caps: names.into(),
            before: None,
        },
    ];
    let why =
        "it may load tracing programs for members of the group, where only root can change it";
    Some(Action {
        bytes: bytes.to_vec(),
        ..action(steps, Target::Path(to), State::File(state), why)
    })
}

/// A file, and the directory that it lies in.
fn file(to: &'static str, bytes: Vec<u8>, steps: Vec<Step>, why: &'static str) -> Vec<Action> {
    let folder = Path::new(to).parent().unwrap_or(Path::new("/"));
    let state = FileState {
        mode: 0o644,
        uid: 0,
        gid: 0,
        attributes: std::collections::BTreeMap::new(),
        bytes: bytes.len() as u64,
        digest: digest(&bytes),
    };
    let it = Action {
        bytes,
        replaces: false,
        ..action(steps, Target::Path(to.into()), State::File(state), why)
    };
    vec![directory(folder), it]
}

fn install(asset: Asset) -> Step {
    Step::InstallFile {
        from: asset.from,
        to: asset.to.into(),
        risk: asset.risk,
    }
}

fn asset(asset: Asset) -> Vec<Action> {
    file(
        asset.to,
        asset.bytes.to_vec(),
        vec![install(asset)],
        asset.why,
    )
}

fn enable(unit: &'static str, wanted_by: &str) -> Vec<Action> {
    let folder = PathBuf::from(format!("/etc/systemd/system/{wanted_by}.wants"));
    let link = folder.join(unit);
    let to = format!("/etc/systemd/system/{unit}");
    let it = action(
        vec![Step::Enable(unit)],
        Target::Path(link),
        State::Link(to),
        "it runs at boot",
    );
    vec![directory(&folder), it]
}

/// Kernels from here on hand the group of tracefs on to events that appear later.
const HANDS_ON: Release = Release(5, 10);

fn units(options: &PlanOptions, known: &Known) -> Vec<Action> {
    let mut all = asset(assets::SYSUSERS);
    all.extend(asset(assets::MOUNT));
    all.extend(asset(assets::UNIT));
    all.extend(enable(assets::UNIT_NAME, "sysinit.target"));
    if known.release.is_some_and(|release| release < HANDS_ON) {
        all.extend(asset(assets::RULE));
    }
    if options.profile == Profile::Documented {
        all.extend(asset(assets::DEBUGFS));
        all.extend(asset(assets::WRITABLE));
        all.extend(enable(assets::WRITABLE_NAME, "sysinit.target"));
    }
    all
}

/// tracefs, and for the documented profile debugfs, for the group.
fn tracing(known: &Known, writable: bool, gid: u32) -> Vec<Action> {
    let mode = if writable { 0o770 } else { 0o750 };
    let mut all = vec![
        action(
            vec![Step::Mount {
                kind: "tracefs",
                at: TRACING,
            }],
            Target::Mount {
                kind: "tracefs".to_owned(),
                at: TRACING.into(),
            },
            State::Present,
            "ids of tracepoints are read there",
        ),
        action(
            vec![Step::Remount {
                at: TRACING,
                options: format!("gid={GROUP},mode={mode:04o}"),
                before: "gid=0,mode=0700",
                risk: "members of that group can read what is traced there, and write nothing but \
                       trace_marker",
            }],
            Target::MountOptions(TRACING.into()),
            State::Options { gid, mode },
            "members of the group read ids of tracepoints, from now on",
        ),
    ];
    if writable {
        all.push(action(
            vec![Step::GroupWrite(TRACING)],
            Target::GroupWrite(TRACING.into()),
            State::Present,
            "asked for by classic guides; denet does not need it",
        ));
        all.extend(known.debugfs.map(|(gid, _)| {
            action(
                vec![Step::Remount {
                    at: DEBUG,
                    options: "mode=0755".to_owned(),
                    before: "mode=0700",
                    risk: assets::DEBUGFS.risk,
                }],
                Target::MountOptions(DEBUG.into()),
                State::Options { gid, mode: 0o755 },
                assets::DEBUGFS.why,
            )
        }));
    }
    all
}

/// What holds until the next boot, so that none is needed.
fn now(options: &PlanOptions, known: &Known, gid: u32) -> Vec<Action> {
    let writable = options.profile == Profile::Documented;
    let mut all = match known.confidential {
        true => Vec::new(),
        false => tracing(known, writable, gid),
    };
    for (key, value, risk) in wanted_sysctls(options) {
        let before = known.sysctls.iter().find(|(known, _)| *known == key);
        all.push(action(
            vec![Step::Sysctl {
                key: key.clone().into(),
                value: value.parse().unwrap_or_default(),
                before: before.and_then(|(_, value)| *value),
                risk,
            }],
            Target::Sysctl(key),
            State::Value(value),
            "as it will be after the next boot",
        ));
    }
    all
}

/// Whether a target is as it is wanted. Who else is in the group does not matter, nor how a directory
/// is otherwise.
pub(crate) fn holds(wanted: &State, now: &State) -> bool {
    match (wanted, now) {
        (State::Group { gid: wanted, .. }, State::Group { gid, .. }) => wanted == gid,
        (State::Directory { .. }, State::Directory { .. }) => true,
        (wanted, now) => wanted == now,
    }
}

#[cfg(test)]
mod tests;
