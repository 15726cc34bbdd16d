//! What a process may do: credentials, capability sets, and what takes them away.

use serde::{Deserialize, Serialize};

use super::fact::Fact;
use crate::sys::capabilities::{self, CapSet};
use crate::sys::root::Root;

/// A line of `/proc/PID/uid_map`: ids from `inside` on are those from `outside` on in the parent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct IdRange {
    /// First id in the namespace.
    pub(crate) inside: u32,
    /// First id outside.
    pub(crate) outside: u32,
    pub(crate) count: u32,
}

/// Credentials of a process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Privileges {
    /// Real user id: who started it.
    pub(crate) real_uid: u32,
    /// Effective user id.
    pub(crate) uid: u32,
    /// Real group id.
    pub(crate) real_gid: u32,
    /// Effective group id.
    pub(crate) gid: u32,
    /// Supplementary groups.
    pub(crate) groups: Vec<u32>,
    /// CapInh.
    pub(crate) inheritable: CapSet,
    /// CapPrm.
    pub(crate) permitted: CapSet,
    /// CapEff.
    pub(crate) effective: CapSet,
    /// CapBnd.
    pub(crate) bounding: CapSet,
    /// CapAmb.
    pub(crate) ambient: CapSet,
    /// `capabilities(7)`; only the process itself can tell.
    pub(crate) securebits: Fact<u32>,
    /// NoNewPrivs: file capabilities have no effect.
    pub(crate) no_new_privs: bool,
    /// Seccomp: 0 none, 1 strict, 2 filter.
    pub(crate) seccomp: u32,
    /// How many filters (Linux 5.9).
    pub(crate) seccomp_filters: Fact<u32>,
    /// In the initial user namespace: elsewhere capabilities do not reach `bpf(2)`.
    pub(crate) initial_user_namespace: Fact<bool>,
    /// How that namespace maps user ids.
    pub(crate) uid_map: Fact<Vec<IdRange>>,
    /// Number of the last capability that the kernel knows: 37 before 5.8, which has no CAP_BPF.
    pub(crate) last_cap: Fact<u32>,
    /// What a security module calls it (AppArmor's profile, SELinux' context); `Absent` without one.
    pub(crate) label: Fact<String>,
}

/// Inode of the initial user namespace: PROC_USER_INIT_INO (include/linux/proc_ns.h).
const INITIAL_USER_NAMESPACE: &str = "user:[4026531837]";

impl Privileges {
    /// Those of this process, or of the one that recorded the tree.
    pub(crate) fn probe(root: &Root) -> Fact<Self> {
        let status = "/proc/self/status";
        Fact::read(root, status, parse).map(|mut own| {
            own.initial_user_namespace = initial_user_namespace(root);
            own.uid_map = Fact::read(root, "/proc/self/uid_map", parse_id_map);
            own.last_cap = last_cap(root);
            own.label = label(root);
            own.securebits = if root.is_live() {
                Fact::of("prctl PR_GET_SECUREBITS", capabilities::securebits())
            } else {
                Fact::Failed("securebits are in no file".to_owned())
            };
            own
        })
    }
}

pub(super) fn initial_user_namespace(root: &Root) -> Fact<bool> {
    let link = "/proc/self/ns/user";
    Fact::of(link, root.read_link(link)).map(|link| link.as_os_str() == INITIAL_USER_NAMESPACE)
}

pub(super) fn last_cap(root: &Root) -> Fact<u32> {
    let parse = |text: &str| text.trim().parse().ok();
    Fact::read(root, "/proc/sys/kernel/cap_last_cap", parse)
}

fn label(root: &Root) -> Fact<String> {
    let path = "/proc/self/attr/current";
    match root.text(path) {
        // proc_pid_attr_read, where no module answers.
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) => Fact::Absent,
        text => Fact::of(path, text).map(|text| text.trim_end_matches(['\n', '\0']).to_owned()),
    }
}

/// `/proc/PID/status`, all that it says. Not by procfs-core, which ends a name at its first `:`, reads no file with
/// a byte that is not UTF-8, and does not count the filters of seccomp.
pub(super) fn parse(status: &str) -> Option<Privileges> {
    let field = |name: &str| {
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line.map(str::trim)
    };
    let caps = |name| u64::from_str_radix(field(name)?, 16).ok().map(CapSet);
    // real, effective, saved, file system
    let ids = |name| numbers(field(name)?).filter(|ids| ids.len() == 4);
    let (uids, gids) = (ids("Uid")?, ids("Gid")?);
    let elsewhere = "not in /proc/PID/status";
    Some(Privileges {
        real_uid: *uids.first()?,
        uid: *uids.get(1)?,
        real_gid: *gids.first()?,
        gid: *gids.get(1)?,
        groups: numbers(field("Groups")?)?,
        inheritable: caps("CapInh")?,
        permitted: caps("CapPrm")?,
        effective: caps("CapEff")?,
        bounding: caps("CapBnd")?,
        ambient: caps("CapAmb")?,
        securebits: Fact::Failed(elsewhere.to_owned()),
        no_new_privs: match field("NoNewPrivs")? {
            "0" => false,
            "1" => true,
            _ => return None,
        },
        // Absent in kernels without CONFIG_SECCOMP.
        seccomp: field("Seccomp").map_or(Some(0), |mode| mode.parse().ok())?,
        seccomp_filters: match field("Seccomp_filters") {
            Some(count) => Fact::Known(count.parse().ok()?),
            None => Fact::Absent,
        },
        initial_user_namespace: Fact::Failed(elsewhere.to_owned()),
        uid_map: Fact::Failed(elsewhere.to_owned()),
        last_cap: Fact::Failed(elsewhere.to_owned()),
        label: Fact::Failed(elsewhere.to_owned()),
    })
}

fn numbers(text: &str) -> Option<Vec<u32>> {
    text.split_whitespace()
        .map(|word| word.parse().ok())
        .collect()
}

fn parse_id_map(text: &str) -> Option<Vec<IdRange>> {
    let range = |line| match numbers(line)?[..] {
        [inside, outside, count] => Some(IdRange {
            inside,
            outside,
            count,
        }),
        _ => None,
    };
    text.lines().map(range).collect()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::sys::capabilities::Cap;

    pub(crate) const STATUS: &str = "Name:\tdenet\nUid:\t1000\t1001\t1000\t1000\n\
        Gid:\t100\t101\t100\t100\nGroups:\t4 27 1000 \nCapInh:\t0000000000000000\n\
        CapPrm:\t000000c000000000\nCapEff:\t0000004000000000\nCapBnd:\t000001ffffffffff\n\
        CapAmb:\t0000000000000000\nNoNewPrivs:\t1\nSeccomp:\t2\nSeccomp_filters:\t3\n";

    /// A user without any privilege, on a host without any restriction.
    pub(crate) fn nobody() -> Privileges {
        let mut privileges = parse(STATUS).unwrap();
        let all = CapSet::up_to(40);
        (privileges.real_uid, privileges.uid) = (1000, 1000);
        (privileges.real_gid, privileges.gid) = (1000, 1000);
        privileges.groups = vec![1000];
        privileges.permitted = CapSet(0);
        privileges.effective = CapSet(0);
        privileges.bounding = all;
        privileges.no_new_privs = false;
        privileges.seccomp = 0;
        privileges.seccomp_filters = Fact::Known(0);
        privileges.securebits = Fact::Known(0);
        privileges.initial_user_namespace = Fact::Known(true);
        privileges.last_cap = Fact::Known(40);
        privileges.label = Fact::Absent;
        privileges
    }

    #[test]
    fn reads_status() {
        let read = parse(STATUS).unwrap();
        assert_eq!((read.real_uid, read.uid, read.gid), (1000, 1001, 101));
        assert_eq!(read.groups, [4, 27, 1000]);
        assert_eq!((read.no_new_privs, read.seccomp), (true, 2));
        assert_eq!(read.seccomp_filters, Fact::Known(3));
        assert!(read.effective.has(Cap::Perfmon));
        assert_eq!(read.effective.lacks_for_tracing(), [Cap::Bpf]);
        assert!(CapSet(1 << 21).lacks_for_tracing().is_empty());
    }

    #[test]
    fn older_kernels_say_less() {
        let without = |line: &str| parse(&STATUS.replace(line, ""));
        let read = without("Seccomp_filters:\t3\n").unwrap();
        assert_eq!(read.seccomp_filters, Fact::Absent);
        assert_eq!(without("Seccomp:\t2\n").unwrap().seccomp, 0);
        assert!(without("CapBnd:\t000001ffffffffff\n").is_none());
    }

    #[test]
    fn why_status_is_not_read_by_procfs_core() {
        use procfs_core::FromRead as _;
        use procfs_core::process::Status;
        let own = std::fs::read("/proc/self/status").unwrap();
        let end = own.iter().position(|byte| *byte == b'\n').unwrap();
        let named = |name: &[u8]| [b"Name:\t", name, &own[end..]].concat();
        let theirs = Status::from_read(&*named(b"a:b")).unwrap();
        assert_eq!(theirs.name, "a");
        assert!(Status::from_read(&*named(b"\xff")).is_err());
    }

    #[test]
    fn garbage_is_no_status() {
        for text in ["", "Uid:\tx\n", "Uid: 0 0 0 0\nGid: 0 0 0 0\n", "\u{fffd}"] {
            assert_eq!(parse(text), None, "{text:?}");
        }
        assert!(parse(&STATUS.replace("NoNewPrivs:\t1", "NoNewPrivs:\tyes")).is_none());
        assert!(parse(&STATUS.replace("Groups:\t4", "Groups:\t-4")).is_none());
        assert!(parse(&STATUS.replace("\t1000\t1001", "\t1001")).is_none());
    }

    #[test]
    fn reads_id_maps() {
        let whole = IdRange {
            inside: 0,
            outside: 0,
            count: u32::MAX,
        };
        let text = "         0          0 4294967295\n";
        assert_eq!(parse_id_map(text), Some(vec![whole]));
        assert_eq!(parse_id_map(""), Some(vec![]), "a namespace not yet mapped");
        assert_eq!(parse_id_map("0 0"), None);
    }
}
