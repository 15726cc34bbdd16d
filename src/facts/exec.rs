//! What becomes of privileges when a binary is executed: the kernel's own rules, in its own order
//! (`cap_bprm_creds_from_file`, security/commoncap.c; `bprm_fill_uid`, fs/exec.c).

use serde::{Deserialize, Serialize};

use super::access::Access;
use super::binary::{Binary, FileCapabilities, Format};
use super::fact::Fact;
use super::privileges::Privileges;
use crate::sys::capabilities::CapSet;

/// Why nothing is executed, or why that cannot be told.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ExecError {
    /// `execve` fails with EPERM: the file raises these capabilities, which the bounding set lacks
    /// (`bprm_caps_from_vfs_caps`).
    #[error("EPERM: the file's capabilities {0} lie outside the bounding set")]
    OutsideBounding(CapSet),
    /// `execve` fails with EACCES: not executable for this user, on a noexec mount, or no file.
    #[error("EACCES: {0}")]
    NotExecutable(String),
    /// What it depends on is not known.
    #[error("unknown: {0}")]
    Unknown(String),
}

/// Securebits (include/uapi/linux/securebits.h).
const NOROOT: u32 = 1 << 0;
const KEEP_CAPS: u32 = 1 << 4;

const SETUID: u32 = 0o4000;
const SETGID: u32 = 0o2000;
const GROUP_EXECUTES: u32 = 0o010;

/// The privileges of a process after it executed the binary.
///
/// # Errors
/// The kernel refuses to execute it, or what it goes by is not known.
pub(crate) fn after_exec(old: &Privileges, binary: &Binary) -> Result<Privileges, ExecError> {
    executable(old, binary)?;
    let honoured = binary.nosuid != Fact::Known(true);
    let mut new = old.clone();
    if honoured && !old.no_new_privs {
        change_ids(&mut new, binary);
    }
    let file = if honoured { given(old, binary)? } else { None };
    let mut effective = file.is_some_and(|file| file.effective);
    let file_or_none = file.unwrap_or_default();
    // pP' = (X & fP) | (pI & fI)
    new.permitted = old
        .bounding
        .and(file_or_none.permitted)
        .or(old.inheritable.and(file_or_none.inheritable));
    let lacking = file_or_none.permitted.without(new.permitted);
    if effective && !lacking.is_empty() {
        return Err(ExecError::OutsideBounding(lacking));
    }
    root_is_privileged(old, &mut new, file.is_some(), &mut effective);
    let changes_id = new.uid != old.real_uid || new.gid != old.real_gid;
    let gains = !new.permitted.without(old.permitted).is_empty();
    if (changes_id || gains) && old.no_new_privs {
        (new.uid, new.gid) = (new.real_uid, new.real_gid);
        new.permitted = new.permitted.and(old.permitted);
    }
    if file.is_some() || changes_id {
        new.ambient = CapSet::default();
    }
    new.permitted = new.permitted.or(new.ambient);
    new.effective = if effective {
        new.permitted
    } else {
        new.ambient
    };
    new.securebits = new.securebits.map(|bits| bits & !KEEP_CAPS);
    Ok(new)
}

fn executable(who: &Privileges, binary: &Binary) -> Result<(), ExecError> {
    let refused = |why: String| Err(ExecError::NotExecutable(why));
    if let Fact::Known(Format::Directory | Format::Special) = binary.format {
        return refused("it is no file".to_owned());
    }
    if binary.noexec == Fact::Known(true) {
        return refused("its file system is mounted noexec".to_owned());
    }
    match binary.executable_by(who) {
        Fact::Known(Access::Refused { at, stat, .. }) => refused(format!(
            "{at} has mode {:o}, owner {}, group {}",
            stat.mode, stat.uid, stat.gid
        )),
        Fact::Known(Access::Missing(at)) => refused(format!("there is no {at}")),
        // What cannot be looked at need not be closed.
        _ => Ok(()),
    }
}

fn change_ids(new: &mut Privileges, binary: &Binary) {
    let Fact::Known(stat) = binary.stat() else {
        return;
    };
    if matches!(binary.format, Fact::Known(Format::Script { .. })) {
        return;
    }
    if stat.mode & SETUID != 0 {
        new.uid = stat.uid;
    }
    if stat.mode & (SETGID | GROUP_EXECUTES) == SETGID | GROUP_EXECUTES {
        new.gid = stat.gid;
    }
}

/// The file's capabilities as far as they hold here (`get_vfs_caps_from_disk`).
fn given(old: &Privileges, binary: &Binary) -> Result<Option<FileCapabilities>, ExecError> {
    if let Fact::Known(Format::Script { .. }) = binary.format {
        // Those of the interpreter count, which is a shell or the like.
        return Ok(None);
    }
    let file = match &binary.capabilities {
        Fact::Known(file) => *file,
        Fact::Absent => return Ok(None),
        Fact::Denied(why) | Fact::Failed(why) => return Err(ExecError::Unknown(why.clone())),
    };
    if file
        .root_id
        .is_some_and(|root_id| !is_root_here(old, root_id))
    {
        return Ok(None);
    }
    // Bits that the kernel does not know are dropped without a word (CAP_VALID_MASK).
    let known = old
        .last_cap
        .known()
        .copied()
        .map_or(CapSet(u64::MAX), CapSet::up_to);
    Ok(Some(FileCapabilities {
        permitted: file.permitted.and(known),
        inheritable: file.inheritable.and(known),
        ..file
    }))
}

/// `rootid_owns_currentns`: the user is root of this user namespace or of one around it, as far as
/// can be told from here.
fn is_root_here(old: &Privileges, root_id: u32) -> bool {
    match old.initial_user_namespace {
        Fact::Known(true) => root_id == 0,
        _ => {
            let ranges = old.uid_map.known().map_or(&[][..], Vec::as_slice);
            // getxattr shows the id as this namespace knows it: its own root's is 0.
            root_id == 0
                || ranges
                    .iter()
                    .any(|range| range.inside == 0 && range.outside == root_id)
        }
    }
}

/// `handle_privileged_root`: uid 0 is given what the bounding set holds.
fn root_is_privileged(
    old: &Privileges,
    new: &mut Privileges,
    has_file_capabilities: bool,
    effective: &mut bool,
) {
    if old
        .securebits
        .known()
        .is_some_and(|bits| bits & NOROOT != 0)
    {
        return;
    }
    if has_file_capabilities && new.uid == 0 && new.real_uid != 0 {
        return;
    }
    if new.uid == 0 || new.real_uid == 0 {
        new.permitted = old.bounding.or(old.inheritable);
    }
    if new.uid == 0 {
        *effective = true;
    }
}

#[cfg(test)]
mod tests {
    use super::super::binary::tests::plain;
    use super::super::privileges::IdRange;
    use super::super::privileges::tests::nobody;
    use super::*;
    use crate::sys::capabilities::Cap;

    const BOTH: CapSet = CapSet(0xc0 << 32);

    fn tool(permitted: CapSet, effective: bool) -> Binary {
        Binary {
            capabilities: Fact::Known(FileCapabilities {
                permitted,
                effective,
                ..FileCapabilities::default()
            }),
            ..plain()
        }
    }

    fn with_mode(mode: u32) -> Binary {
        let mut binary = plain();
        if let Fact::Known(trail) = &mut binary.trail
            && let Some(last) = trail.0.last_mut()
            && let Fact::Known(stat) = &mut last.stat
        {
            stat.mode = mode;
        }
        binary
    }

    #[test]
    fn file_capabilities_are_given_and_raised() {
        let held = after_exec(&nobody(), &tool(BOTH, true)).unwrap();
        assert_eq!((held.permitted, held.effective), (BOTH, BOTH));
        let permitted_only = after_exec(&nobody(), &tool(BOTH, false)).unwrap();
        assert_eq!(
            (permitted_only.permitted, permitted_only.effective),
            (BOTH, CapSet(0))
        );
        let none = after_exec(&held, &plain()).unwrap();
        assert_eq!((none.permitted, none.effective), (CapSet(0), CapSet(0)));
    }

    #[test]
    fn what_takes_them_away() {
        let gets = |who: &Privileges, binary: &Binary| after_exec(who, binary).unwrap().effective;
        let mut nosuid = tool(BOTH, true);
        nosuid.nosuid = Fact::Known(true);
        assert_eq!(gets(&nobody(), &nosuid), CapSet(0));
        let mut bound = nobody();
        bound.no_new_privs = true;
        assert_eq!(gets(&bound, &tool(BOTH, true)), CapSet(0));
        // Held before, they are not gained.
        (bound.permitted, bound.effective) = (BOTH, BOTH);
        assert_eq!(gets(&bound, &tool(BOTH, true)), BOTH);
        let mut script = tool(BOTH, true);
        script.format = Fact::Known(Format::Script {
            interpreter: "/bin/sh".into(),
        });
        assert_eq!(gets(&nobody(), &script), CapSet(0));
    }

    #[test]
    fn outside_the_bounding_set_nothing_is_executed_at_all() {
        let mut contained = nobody();
        contained.bounding = CapSet(0xa804_25fb);
        let refused = after_exec(&contained, &tool(BOTH, true));
        assert_eq!(refused, Err(ExecError::OutsideBounding(BOTH)));
        // Who asks to raise them later is told later.
        let weak = after_exec(&contained, &tool(BOTH, false)).unwrap();
        assert_eq!(weak.permitted, CapSet(0));
        contained.no_new_privs = true;
        assert!(after_exec(&contained, &tool(BOTH, true)).is_err());
    }

    #[test]
    fn old_kernels_drop_what_they_do_not_know() {
        let mut old = nobody();
        old.last_cap = Fact::Known(37);
        old.bounding = CapSet::up_to(37);
        let held = after_exec(&old, &tool(BOTH, true)).unwrap();
        assert_eq!(held.permitted, CapSet(0));
    }

    #[test]
    fn inheritable_needs_both_sides_and_ambient_no_file() {
        let mut carrier = nobody();
        carrier.inheritable = BOTH;
        let mut binary = tool(CapSet(0), true);
        binary.capabilities = Fact::Known(FileCapabilities {
            inheritable: CapSet::of(Cap::Bpf),
            effective: true,
            ..FileCapabilities::default()
        });
        let held = after_exec(&carrier, &binary).unwrap();
        assert_eq!(held.effective, CapSet::of(Cap::Bpf));
        carrier.permitted = BOTH;
        carrier.ambient = BOTH;
        let kept = after_exec(&carrier, &plain()).unwrap();
        assert_eq!((kept.permitted, kept.effective), (BOTH, BOTH));
        let cleared = after_exec(&carrier, &tool(CapSet::of(Cap::Bpf), true)).unwrap();
        assert_eq!(
            (cleared.ambient, cleared.effective),
            (CapSet(0), CapSet::of(Cap::Bpf))
        );
    }

    #[test]
    fn root_gets_its_bounding_set() {
        let mut root = nobody();
        (root.uid, root.real_uid) = (0, 0);
        let held = after_exec(&root, &plain()).unwrap();
        assert_eq!(held.effective, root.bounding);
        root.securebits = Fact::Known(NOROOT);
        assert_eq!(after_exec(&root, &plain()).unwrap().effective, CapSet(0));
        // root.uid 0 alone, of a setuid file.
        let held = after_exec(&nobody(), &with_mode(0o4755)).unwrap();
        assert_eq!((held.uid, held.effective), (0, nobody().bounding));
        let mut mixed = with_mode(0o4755);
        mixed.capabilities = tool(BOTH, true).capabilities;
        assert_eq!(after_exec(&nobody(), &mixed).unwrap().effective, BOTH);
        let mut bound = nobody();
        bound.no_new_privs = true;
        let held = after_exec(&bound, &with_mode(0o4755)).unwrap();
        assert_eq!((held.uid, held.effective), (1000, CapSet(0)));
    }

    #[test]
    fn revision_3_is_for_one_namespace() {
        let mut binary = tool(BOTH, true);
        let of = |root_id| {
            Fact::Known(FileCapabilities {
                permitted: BOTH,
                effective: true,
                root_id: Some(root_id),
                ..FileCapabilities::default()
            })
        };
        binary.capabilities = of(100_000);
        assert_eq!(after_exec(&nobody(), &binary).unwrap().effective, CapSet(0));
        let mut inside = nobody();
        inside.initial_user_namespace = Fact::Known(false);
        inside.uid_map = Fact::Known(vec![IdRange {
            inside: 0,
            outside: 100_000,
            count: 65536,
        }]);
        assert_eq!(after_exec(&inside, &binary).unwrap().effective, BOTH);
        binary.capabilities = of(0);
        assert_eq!(after_exec(&nobody(), &binary).unwrap().effective, BOTH);
    }

    #[test]
    fn who_may_not_execute_it_gets_nothing() {
        let closed = after_exec(&nobody(), &with_mode(0o750));
        assert!(matches!(closed, Err(ExecError::NotExecutable(_))));
        let mut member = nobody();
        member.groups.push(0);
        assert!(after_exec(&member, &with_mode(0o750)).is_ok());
        let mut folder = plain();
        folder.format = Fact::Known(Format::Directory);
        assert!(after_exec(&nobody(), &folder).is_err());
        let mut unread = plain();
        unread.capabilities = Fact::Denied("no".into());
        let error = after_exec(&nobody(), &unread).unwrap_err();
        assert_eq!(error, ExecError::Unknown("no".into()));
    }
}
