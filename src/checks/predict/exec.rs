//! What becomes of capabilities at `execve(2)` (security/commoncap.c).

use libc::EPERM;

use super::{Check, Conditions, Prediction, refusal};
use crate::facts::binary::FileCapabilities;
use crate::sys::capabilities::CapSet;

/// A file to execute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Executable {
    /// `security.capability`. Copying a file does not copy it, writing to a file removes it
    /// (`cap_inode_killpriv`).
    pub capabilities: Option<FileCapabilities>,
    /// On a mount that ignores it.
    pub nosuid: bool,
}

/// The conditions of the process once it has executed that file.
///
/// # Errors
/// The refusal, if `execve` fails.
pub fn after_execve(file: Executable, before: &Conditions) -> Result<Conditions, Prediction> {
    let (permitted, effective) = gained(file, before)?;
    let mut after = before.clone();
    (after.permitted, after.effective) = (permitted, effective);
    if given(file).is_some() {
        after.ambient = CapSet(0);
    }
    Ok(after)
}

/// `get_file_caps`: `mnt_may_suid`.
fn given(file: Executable) -> Option<FileCapabilities> {
    file.capabilities.filter(|_| !file.nosuid)
}

/// Permitted and effective capabilities of the new program. Inheritable ones of files are left out:
/// nothing uses them.
pub(super) fn gained(file: Executable, c: &Conditions) -> Result<(CapSet, CapSet), Prediction> {
    let Some(given) = given(file) else {
        // handle_privileged_root, else pP' = pA
        let all = if c.uid == 0 { c.bounding } else { c.ambient };
        return Ok(limited(all, all, c));
    };
    // get_vfs_caps_from_disk drops bits that this kernel does not know.
    let asked = c.known(given.permitted);
    let permitted = CapSet(asked.0 & c.bounding.0);
    if given.effective && permitted != asked {
        let function = "bprm_caps_from_vfs_caps";
        return Err(refusal(EPERM, function, Check::BoundingSet));
    }
    let effective = if given.effective {
        permitted
    } else {
        CapSet(0)
    };
    Ok(limited(permitted, effective, c))
}

/// `cap_bprm_creds_from_file`: no_new_privs gives nothing that was not there before.
fn limited(permitted: CapSet, effective: CapSet, c: &Conditions) -> (CapSet, CapSet) {
    let most = if c.no_new_privs {
        c.permitted
    } else {
        permitted
    };
    (
        CapSet(permitted.0 & most.0),
        CapSet(effective.0 & permitted.0 & most.0),
    )
}
