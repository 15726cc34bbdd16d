//! Another user, as `/etc/passwd` and `/etc/group` know them.
//!
//! On this machine the name service is asked as well, which knows those of a directory (LDAP,
//! systemd-homed); of a recorded tree there are only the files.

use super::fact::Fact;
use super::fact::malformed;
use super::privileges::{self, Privileges};
use crate::sys::capabilities::CapSet;
use crate::sys::names;
use crate::sys::root::Root;

/// A line of `/etc/passwd`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Account {
    /// Login name.
    pub(crate) name: String,
    /// User id.
    pub(crate) uid: u32,
    /// Primary group.
    pub(crate) gid: u32,
}

/// What a shell of this user may do, who is named or, where nobody is called so, numbered; `Absent`
/// if there is none. No capability is held; the bounding set and the seccomp filters are those of
/// pid 1, which every login descends from, or where that is hidden, this process' own.
pub(crate) fn of_user(root: &Root, user: &str) -> Fact<Privileges> {
    if root.is_live() {
        let known = Fact::of("the name service", names::user(user)).and_then(Fact::from_option);
        return known.and_then(|(name, uid, groups)| {
            let gid = groups.first().copied().unwrap_or(uid);
            shell_of(root, &Account { name, uid, gid }, groups)
        });
    }
    let account = account(root, user);
    account.and_then(|account| {
        let path = "/etc/group";
        let groups = Fact::of(path, root.text(path));
        let groups = groups.map(|text| groups_of(&text, &account));
        groups.and_then(|groups| shell_of(root, &account, groups))
    })
}

/// Whether there is such a user at all.
pub(crate) fn exists(root: &Root, user: &str) -> Fact<()> {
    if root.is_live() {
        let known = Fact::of("the name service", names::user(user)).and_then(Fact::from_option);
        return known.map(|_| ());
    }
    account(root, user).map(|_| ())
}

/// Who is called so in `/etc/passwd`, or has this number.
pub(crate) fn account(root: &Root, user: &str) -> Fact<Account> {
    let path = "/etc/passwd";
    Fact::of(path, root.text(path)).and_then(|text| find(&text, user))
}

/// The name of a user id; `Absent` if nobody has it.
pub(crate) fn name_of(root: &Root, uid: u32) -> Fact<String> {
    let path = "/etc/passwd";
    Fact::of(path, root.text(path)).and_then(|text| {
        let mut accounts = text.lines().filter_map(parse);
        let found = accounts.find(|account| account.uid == uid);
        found.map_or(Fact::Absent, |account| Fact::Known(account.name))
    })
}

fn shell_of(root: &Root, account: &Account, groups: Vec<u32>) -> Fact<Privileges> {
    let of = |path| Fact::read(root, path, privileges::parse);
    let start = match of("/proc/1/status") {
        Fact::Known(init) => Fact::Known(init),
        _ => of("/proc/self/status"),
    };
    start.map(|start| Privileges {
        real_uid: account.uid,
        uid: account.uid,
        real_gid: account.gid,
        gid: account.gid,
        groups,
        inheritable: CapSet::default(),
        permitted: held_by(account, start.bounding),
        effective: held_by(account, start.bounding),
        ambient: CapSet::default(),
        securebits: Fact::Known(0),
        no_new_privs: false,
        initial_user_namespace: privileges::initial_user_namespace(root),
        uid_map: Fact::Failed("not looked up for another user".to_owned()),
        last_cap: privileges::last_cap(root),
        label: Fact::Failed("what a security module calls a login is its policy's".to_owned()),
        ..start
    })
}

/// root's shell holds what its execve gave it (`handle_privileged_root`, security/commoncap.c).
fn held_by(account: &Account, bounding: CapSet) -> CapSet {
    if account.uid == 0 {
        bounding
    } else {
        CapSet::default()
    }
}

fn find(passwd: &str, user: &str) -> Fact<Account> {
    let named = |line: &&str| line.split(':').next() == Some(user);
    if let Some(line) = passwd.lines().find(named) {
        return parse(line)
            .map_or_else(|| Fact::Failed(malformed("/etc/passwd", line)), Fact::Known);
    }
    let Ok(uid) = user.parse::<u32>() else {
        return Fact::Absent;
    };
    let mut accounts = passwd.lines().filter_map(parse);
    let found = accounts.find(|account| account.uid == uid);
    found.map_or(Fact::Absent, Fact::Known)
}

/// `name:password:uid:gid:comment:home:shell`
fn parse(line: &str) -> Option<Account> {
    let mut fields = line.split(':');
    let name = fields.next().filter(|name| !name.is_empty())?;
    Some(Account {
        name: name.to_owned(),
        uid: fields.nth(1)?.parse().ok()?,
        gid: fields.next()?.parse().ok()?,
    })
}

/// The groups that list the user, after the primary one. `name:password:gid:member,member`
fn groups_of(group: &str, account: &Account) -> Vec<u32> {
    let listed = group.lines().filter_map(|line| {
        let mut fields = line.split(':');
        let gid: u32 = fields.nth(2)?.parse().ok()?;
        let mut members = fields.next()?.split(',');
        members.any(|member| member == account.name).then_some(gid)
    });
    let mut groups = vec![account.gid];
    groups.extend(listed.filter(|gid| *gid != account.gid));
    groups
}

#[cfg(test)]
mod tests {
    use super::super::privileges::tests::STATUS;
    use super::*;
    use crate::sys::root::tests::Tree;

    const PASSWD: &str = "root:x:0:0:root:/root:/bin/bash\nbroken:x\n\
        ada:x:1000:1000:Ada,,,:/home/ada:/bin/sh\n7:x:1007:7::/:/bin/sh\n";
    const GROUP: &str = "root:x:0:\ntracing:x:990:bob,ada\nada:x:1000:ada\nbad:x:y:ada\n";

    #[test]
    fn a_user_has_an_id_and_groups_and_no_capability() {
        let tree = Tree::with(&[
            ("/etc/passwd", PASSWD),
            ("/etc/group", GROUP),
            ("/proc/1/status", STATUS),
        ]);
        for name in ["ada", "1000"] {
            let ada = of_user(&tree.root(), name);
            let ada = ada.known().unwrap();
            assert_eq!((ada.uid, ada.real_uid, ada.gid), (1000, 1000, 1000));
            assert_eq!(ada.groups, [1000, 990]);
            assert!(ada.effective.is_empty() && ada.permitted.is_empty());
            assert_eq!(ada.bounding, CapSet::up_to(40));
            assert!(!ada.no_new_privs, "a service's own, not a login's");
        }
        let root = of_user(&tree.root(), "root");
        assert_eq!(root.known().unwrap().effective, CapSet::up_to(40));
    }

    #[test]
    fn nobody_is_made_up() {
        let tree = Tree::with(&[("/etc/passwd", PASSWD)]);
        let root = tree.root();
        assert_eq!(of_user(&root, "eve"), Fact::Absent);
        assert_eq!(of_user(&root, "4242"), Fact::Absent);
        assert_eq!(of_user(&root, ""), Fact::Absent);
        assert!(matches!(of_user(&root, "broken"), Fact::Failed(_)));
        assert_eq!(
            account(&root, "7").known().unwrap().uid,
            1007,
            "a name first"
        );
        assert_eq!(name_of(&root, 1000), Fact::Known("ada".into()));
        assert_eq!(name_of(&root, 5), Fact::Absent);
    }
}
