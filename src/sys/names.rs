//! Users as the system's name service knows them: also those of LDAP, sssd or systemd-homed.

use std::ffi::CString;
use std::io;

use nix::unistd::{Gid, Uid, User, getgrouplist};

/// A user of the name service, with all groups, the primary one first; `None` if it knows nobody of
/// the name or number.
///
/// # Errors
/// What `getpwnam(3)`, `getpwuid(3)` or `getgrouplist(3)` answers.
pub(crate) fn user(asked: &str) -> io::Result<Option<(String, u32, Vec<u32>)>> {
    let named = User::from_name(asked)?;
    let found = match (named, asked.parse()) {
        (None, Ok(uid)) => User::from_uid(Uid::from_raw(uid))?,
        (named, _) => named,
    };
    let Some(user) = found else {
        return Ok(None);
    };
    let name = CString::new(user.name.as_str())?;
    let groups = getgrouplist(&name, user.gid)?;
    let primary = user.gid.as_raw();
    let others = groups.into_iter().map(Gid::as_raw);
    let mut ids = vec![primary];
    ids.extend(others.filter(|gid| *gid != primary));
    Ok(Some((user.name, user.uid.as_raw(), ids)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_is_known_by_name_and_number() {
        let root = user("root").unwrap().unwrap();
        assert_eq!((root.0.as_str(), root.1, root.2[0]), ("root", 0, 0));
        assert_eq!(user("0").unwrap().unwrap(), root);
        assert_eq!(user("no such user").unwrap(), None);
        assert_eq!(user("").unwrap(), None);
    }
}
