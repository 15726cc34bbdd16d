//! What is known before anything is decided, and what of a plan holds already.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use super::SetupError;
use super::journal;
use super::plan::{Action, GROUP, Known, PlanOptions, Profile, holds, plan, wanted_sysctls};
use super::source;
use super::state::{State, Target};
use super::status::at_boot;
use super::system::System;
use super::targets::{GSHADOW, PASSWD};
use super::validate::{is_value, sysctl};
use crate::facts::kernel::Kernel;
use crate::facts::privileges::Privileges;
use crate::facts::sysctls::Sysctls;
use crate::facts::{Fact, accounts};
use crate::sys::capabilities::Cap;
use crate::sys::mounts;
use crate::sys::release::Release;
use crate::sys::root::Root;

/// How a part of the plan stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// It is so already.
    Holds,
    /// It is to be done.
    ToDo,
    /// Something is in the way; what to do about it.
    Conflict(String),
    /// We may not look; why.
    Unknown(String),
}

/// A part of the plan.
#[derive(Clone, Debug)]
pub(crate) struct Item {
    /// What is to be done.
    pub(crate) action: Action,
    /// What is there now, where that is known.
    pub(crate) now: Option<State>,
    /// How it stands.
    pub(crate) standing: Standing,
}

/// A plan beside what there is.
#[derive(Clone, Debug)]
pub(crate) struct Survey {
    /// In the order in which they are done.
    pub(crate) items: Vec<Item>,
    /// What else there is to say.
    pub(crate) notes: Vec<String>,
    /// The directory of the system, if it is not the one that runs.
    pub(crate) image: Option<PathBuf>,
}

/// denet's programs.
const PROGRAMS: [&str; 3] = ["denet", "ebpf_diag", "ebpf_test"];

/// Plans, and looks.
///
/// # Errors
/// What was asked for cannot be, or what decides it cannot be read.
pub(crate) fn survey(system: &System, options: &PlanOptions) -> Result<Survey, SetupError> {
    check_options(system, options)?;
    let (known, notes) = known(system, options)?;
    let ours = journalled(system)?;
    let mut seen = BTreeSet::new();
    let items = plan(options, &known)
        .into_iter()
        .filter(|action| seen.insert(action.target.clone()))
        .map(|action| item(system, action, &ours));
    Ok(Survey {
        items: items.collect(),
        notes,
        image: system.image().map(Path::to_owned),
    })
}

/// Targets that an earlier setup changed: replacing them replaces its own.
fn journalled(system: &System) -> Result<BTreeSet<Target>, SetupError> {
    let changes = match journal::read(system.base()) {
        // Only root reads it: a plan without root is made without.
        Err(journal::JournalError::Io { source, .. })
            if source.kind() == io::ErrorKind::PermissionDenied =>
        {
            None
        }
        changes => changes?,
    };
    let changes = changes.into_iter().flat_map(|recorded| recorded.changes);
    Ok(changes.map(|change| change.target).collect())
}

fn refused(what: impl Into<String>) -> SetupError {
    SetupError::Refused(what.into())
}

fn look<T>(what: &str, result: io::Result<T>) -> Result<T, SetupError> {
    result.map_err(|source| SetupError::Look {
        what: what.to_owned(),
        source,
    })
}

fn check_options(system: &System, options: &PlanOptions) -> Result<(), SetupError> {
    if !options.prefix.is_absolute() {
        return Err(refused("--prefix takes an absolute path"));
    }
    if let Some(user) = &options.user {
        look(PASSWD, system.text(PASSWD))?;
        match accounts::exists(&system.tree(), user) {
            Fact::Known(()) => {}
            Fact::Absent => return Err(refused(format!("no user is called {user}"))),
            Fact::Denied(why) | Fact::Failed(why) => {
                return Err(refused(format!("the user {user}: {why}")));
            }
        }
    }
    for (key, value) in &options.sysctls {
        if sysctl(key).is_none() || value.parse::<i64>().is_err() {
            return Err(refused(format!(
                "--with sysctl=KEY=VALUE takes a name such as kernel.perf_event_paranoid and a number, not {key}={value}"
            )));
        }
    }
    same_architecture(system)
}

/// An image of another machine's system would get binaries that it cannot run.
fn same_architecture(system: &System) -> Result<(), SetupError> {
    if system.is_live() {
        return Ok(());
    }
    let machine = |root: &Root, path: &str| {
        let head = root.head(path, 20).ok()?;
        let machine = head.get(18..20)?.try_into().ok()?;
        head.starts_with(b"\x7fELF")
            .then(|| u16::from_le_bytes(machine))
    };
    let own = machine(&Root::default(), "/proc/self/exe");
    let programs = ["/usr/bin/env", "/bin/sh", "/bin/busybox"];
    let theirs = programs
        .iter()
        .find_map(|path| machine(&system.tree(), path));
    match (own, theirs) {
        (Some(own), Some(theirs)) if own != theirs => Err(refused(format!(
            "the image is for another architecture (ELF machine {theirs}, this denet is {own}): \
             take a denet that was built for it"
        ))),
        _ => Ok(()),
    }
}

fn known(system: &System, options: &PlanOptions) -> Result<(Known, Vec<String>), SetupError> {
    let tree = system.tree();
    let live = system.is_live();
    let has = |path: &str| tree.stat(path).is_ok();
    let systemd = if live {
        has("/run/systemd/system")
    } else {
        has("/usr/lib/systemd/systemd") || has("/lib/systemd/systemd")
    };
    let mounts_too = may_mount();
    let group = look("/etc/group", system.group(GROUP))?;
    // Read before anything is changed. A user who only plans is not permitted to.
    match system.text(GSHADOW) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {}
        text => {
            look(GSHADOW, text)?;
        }
    }
    let free_gid = look("/etc/group", system.free_gid())?;
    let debug = Path::new("/sys/kernel/debug");
    let debugfs = system.observe(&Target::MountOptions(debug.into())).ok();
    let sysctls = wanted_sysctls(options).into_iter().map(|(key, ..)| {
        let now = system.observe(&Target::Sysctl(key.clone())).ok();
        let number = now.and_then(|state| match state {
            State::Value(value) => value.parse().ok(),
            _ => None,
        });
        (key, number)
    });
    let known = Known {
        live: live && mounts_too,
        systemd,
        release: Release::running().filter(|_| live),
        confidential: live && Kernel::probe(&Root::default()).is_confidential(),
        group,
        free_gid,
        binaries: binaries()?,
        missing: missing(system, &options.prefix.join("bin"))?,
        debugfs: debugfs
            .filter(|state| matches!(state, State::Options { .. }))
            .and_then(|_| mounts::group_and_mode(debug).ok()),
        sysctls: sysctls.collect(),
    };
    let mut notes = notes(options, &known, live, mounts_too);
    notes.extend(paranoid_note(options, perf_event_paranoid(&tree)));
    Ok((known, notes))
}

const PARANOID: &str = "kernel.perf_event_paranoid";

/// The running kernel says; of an image only what its files set is known.
fn perf_event_paranoid(tree: &Root) -> Option<i64> {
    if tree.is_live() {
        Sysctls::probe(tree).perf_event_paranoid.known().copied()
    } else {
        at_boot(tree, PARANOID)?.1.parse().ok()
    }
}

/// Whoever follows the classic guides wonders why a level above 1 hides what they promise. To lower it
/// is no advice: it opens perf to every user, and denet gains nothing.
fn paranoid_note(options: &PlanOptions, now: Option<i64>) -> Option<String> {
    /// Debian's and Ubuntu's kernels ask for more than CAP_PERFMON from here on.
    const DISTRIBUTIONS: i64 = 3;
    let normal = |key: &str| key.replace('/', ".") == PARANOID;
    let asked = options.sysctls.iter().rfind(|(key, _)| normal(key));
    let level = asked.and_then(|(_, value)| value.parse().ok()).or(now)?;
    if options.profile != Profile::Documented || level <= 1 {
        return None;
    }
    let capable = if level >= DISTRIBUTIONS {
        ", and the kernels of some distributions refuse classic tracepoints and kprobes even to programs \
         with CAP_PERFMON"
    } else {
        ""
    };
    Some(format!(
        "{PARANOID} is {level}: above 1, users without capabilities measure nothing of the kernel with \
         perf, and kernel.kptr_restrict = 0 shows its addresses in /proc/kallsyms to none but those with \
         CAP_SYSLOG{capable}. denet does not need it lowered"
    ))
}

/// A container without CAP_SYS_ADMIN changes no mounts; who is not root will be, to apply.
fn may_mount() -> bool {
    let own = Privileges::probe(&Root::default());
    own.known()
        .is_none_or(|own| own.uid != 0 || own.effective.has(Cap::SysAdmin))
}

fn notes(options: &PlanOptions, known: &Known, live: bool, mounts_too: bool) -> Vec<String> {
    let mut notes = Vec::new();
    if options.user.is_none() {
        notes.push(format!(
            "no user is added to the group {GROUP}: name one with --user NAME"
        ));
    }
    if !known.systemd {
        notes.push(
            "no systemd here: nothing makes tracefs readable at boot. denet needs it on Linux 7.0 and \
             later only; if you do, let your boot scripts run: \
             mount -o remount,gid=tracing,mode=0750 /sys/kernel/tracing"
                .to_owned(),
        );
    }
    if known.confidential {
        notes.push(
            "lockdown=confidentiality: nobody can read tracefs, so nothing is done about it; denet \
             profiles without"
                .to_owned(),
        );
    }
    if live && !mounts_too {
        notes.push(
            "this is a container that may not mount: tracefs and settings are the host's; run denet setup \
             there for them"
                .to_owned(),
        );
    }
    if known.binaries.len() < PROGRAMS.len() {
        notes.push(
            "ebpf_diag and ebpf_test lie not beside this denet, so they are not installed, and nothing \
             is verified"
                .to_owned(),
        );
    }
    notes
}

/// This binary and those beside it.
fn binaries() -> Result<Vec<(PathBuf, Vec<u8>)>, SetupError> {
    let own = look("/proc/self/exe", std::fs::read_link("/proc/self/exe"))?;
    let trusted = source::trusted();
    let mut found = Vec::new();
    for name in PROGRAMS {
        // Under its name there may be a newer one than the one that runs: that one is meant.
        let path = own.with_file_name(name);
        let read = source::read(&path, name, &trusted);
        let bytes =
            read.map_err(|why| SetupError::Conflicts(vec![why, source::ADVICE.to_owned()]))?;
        found.extend(bytes.map(|bytes| (path, bytes)));
    }
    Ok(found)
}

fn missing(system: &System, folder: &Path) -> Result<Vec<PathBuf>, SetupError> {
    let mut found = Vec::new();
    for at in folder.ancestors().filter(|at| at.parent().is_some()) {
        let there = look(&at.display().to_string(), system.look(at))?;
        if there.is_none() {
            found.push(at.to_owned());
        }
    }
    found.reverse();
    Ok(found)
}

fn item(system: &System, action: Action, ours: &BTreeSet<Target>) -> Item {
    let (now, standing) = match system.observe(&action.target) {
        Ok(now) => {
            let standing = standing(system, &action, &now, ours.contains(&action.target));
            (Some(now), standing)
        }
        Err(error) => (
            None,
            Standing::Unknown(format!("{}: {error}", action.target)),
        ),
    };
    Item {
        action,
        now,
        standing,
    }
}

fn standing(system: &System, action: &Action, now: &State, ours: bool) -> Standing {
    if holds(&action.wanted, now) {
        return Standing::Holds;
    }
    let target = &action.target;
    let conflict = match (target, &action.wanted, now) {
        (Target::Path(path), ..) if untrusted(system, path).is_some() => untrusted(system, path),
        (Target::Path(path), State::File(file), _)
            if !file.attributes.is_empty() && ignores_capabilities(system, path) =>
        {
            Some(format!(
                "{target} would lie on a nosuid mount, where file capabilities have no effect: choose \
                 another --prefix"
            ))
        }
        (_, _, State::Absent) if !matches!(target, Target::Sysctl(_)) => None,
        (_, State::File(_), State::File(_)) if ours || action.replaces => None,
        (Target::Path(_), ..) => Some(format!(
            "{target} is there already ({now}) and not of denet's making: move it away first"
        )),
        (Target::Sysctl(key), State::Value(value), State::Value(now))
            if key == "kernel.unprivileged_bpf_disabled" && now == "1" =>
        {
            Some(format!(
                "{key} is 1, which cannot be changed to {value} before the next boot"
            ))
        }
        (Target::Sysctl(key), _, State::Value(now)) if !is_value(now) => Some(format!(
            "{key} is {now}, which is not a number: denet does not change it"
        )),
        (Target::Sysctl(key), _, State::Absent) => Some(format!("this kernel has no {key}")),
        _ => None,
    };
    conflict.map_or(Standing::ToDo, Standing::Conflict)
}

/// Why nothing is put there, if nothing is.
fn untrusted(system: &System, path: &Path) -> Option<String> {
    match system.trusted(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            path.parent().and_then(|parent| untrusted(system, parent))
        }
        Err(error) => Some(format!("{}: {error}", path.display())),
        Ok(_) => None,
    }
}

fn ignores_capabilities(system: &System, path: &Path) -> bool {
    let there = path.ancestors().find(|at| system.tree().stat(at).is_ok());
    let flags = there.map(|at| system.tree().statvfs(at));
    flags.is_some_and(|flags| flags.is_ok_and(|flags| flags.nosuid))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::root::tests::Tree;

    fn options(profile: Profile, sysctls: &[(&str, &str)]) -> PlanOptions {
        let owned = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
        PlanOptions {
            profile,
            user: None,
            xdp: false,
            kernel_symbols: false,
            any_scope: false,
            sysctls: sysctls.iter().map(owned).collect(),
            prefix: "/usr/local".into(),
        }
    }

    #[test]
    fn a_level_above_one_is_told_with_the_documented_profile_and_never_to_be_lowered() {
        let documented = options(Profile::Documented, &[]);
        let two = paranoid_note(&documented, Some(2)).unwrap();
        assert!(
            two.starts_with("kernel.perf_event_paranoid is 2: above 1"),
            "{two}"
        );
        assert!(two.contains("denet does not need it lowered"), "{two}");
        assert!(!two.contains("CAP_PERFMON"), "{two}");
        let four = paranoid_note(&documented, Some(4)).unwrap();
        assert!(four.contains("even to programs with CAP_PERFMON"), "{four}");
        for quiet in [Some(1), Some(-1), None] {
            assert_eq!(paranoid_note(&documented, quiet), None);
        }
        assert_eq!(paranoid_note(&options(Profile::Least, &[]), Some(3)), None);
    }

    #[test]
    fn the_level_that_is_asked_for_is_the_one_that_counts() {
        let asked = |value| options(Profile::Documented, &[(PARANOID, value)]);
        assert_eq!(paranoid_note(&asked("1"), Some(3)), None);
        let raised = paranoid_note(&asked("2"), Some(0)).unwrap();
        assert!(raised.contains("paranoid is 2"), "{raised}");
    }

    #[test]
    fn of_an_image_its_files_say_the_level_and_no_kernel() {
        let kernel = "/proc/sys/kernel/perf_event_paranoid";
        let file = "/etc/sysctl.d/10-hard.conf";
        let mute = Tree::with(&[(kernel, "4\n")]);
        assert_eq!(perf_event_paranoid(&Root::new(mute.at.clone())), None);
        let told = Tree::with(&[(kernel, "4\n"), (file, "kernel.perf_event_paranoid = 3\n")]);
        assert_eq!(perf_event_paranoid(&Root::new(told.at.clone())), Some(3));
    }
}
