//! What a journal may name. Only root can write to it, but any user may have been root in an image. So its lines
//! are validated like a user's input, before anything is read or changed.

use std::path::{Component, Path, PathBuf};

use super::plan::{DEBUG, GROUP, TRACING};
use super::state::{FileState, State, Target, is_digest};

/// What setup never changes in this way; `None` if it may make such a change.
pub(super) fn refusal(target: &Target, states: [&State; 2]) -> Option<String> {
    let odd_state = || states.into_iter().find(|state| !fits(target, state));
    if is_a_target(target) {
        odd_state().map(|state| format!("{target}, {state}"))
    } else {
        Some(target.to_string())
    }
}

fn is_a_target(target: &Target) -> bool {
    match target {
        Target::Path(path) => is_plain(path),
        Target::Group(name) => name == GROUP,
        Target::Member { user, group } => is_account(user) && group == GROUP,
        Target::Sysctl(key) => sysctl(key).is_some(),
        Target::Mount { kind, at } => kind == "tracefs" && at == Path::new(TRACING),
        Target::MountOptions(at) => [TRACING, DEBUG].iter().any(|known| at == Path::new(known)),
        Target::GroupWrite(at) => at == Path::new(TRACING),
    }
}

fn fits(target: &Target, state: &State) -> bool {
    match (target, state) {
        (Target::Path(_), State::File(file)) => is_file(file),
        (Target::Path(_), State::Directory { mode, .. }) => *mode <= 0o7777,
        (Target::Path(_), State::Link(to)) => !to.is_empty() && !to.contains('\0'),
        (Target::Group(_), State::Group { members, .. }) => members.iter().all(|it| is_account(it)),
        (Target::Sysctl(_), State::Value(value)) => is_value(value),
        (Target::MountOptions(_), State::Options { mode, .. }) => *mode <= 0o777,
        (Target::Member { .. } | Target::Mount { .. } | Target::GroupWrite(_), State::Present)
        | (Target::Path(_), State::Special)
        | (_, State::Absent) => true,
        _ => false,
    }
}

fn is_file(file: &FileState) -> bool {
    let is_hex =
        |text: &String| text.len().is_multiple_of(2) && text.bytes().all(|b| b.is_ascii_hexdigit());
    let named = |(name, value): (&String, &String)| !name.contains('\0') && is_hex(value);
    file.mode <= 0o7777 && is_digest(&file.digest) && file.attributes.iter().all(named)
}

/// An absolute path without `..`.
fn is_plain(path: &Path) -> bool {
    let mut parts = path.components();
    let below = |part| matches!(part, Component::Normal(_));
    path.to_str().is_some_and(|text| !text.contains('\0'))
        && parts.next() == Some(Component::RootDir)
        && parts.clone().count() > 0
        && parts.all(below)
}

/// A name that cannot be more than one field, or one member, in a line of `/etc/group`.
fn is_account(name: &str) -> bool {
    let odd = |c: char| c.is_control() || c.is_whitespace() || ":,/".contains(c);
    !name.is_empty() && !name.starts_with(['-', '+']) && !name.contains(odd)
}

/// One or more numbers, as in a file below `/proc/sys`.
pub(super) fn is_value(value: &str) -> bool {
    let number = |word: &str| word.parse::<i64>().is_ok();
    !value.is_empty() && value.split(['\t', ' ']).all(number)
}

/// The file below `/proc/sys` for a key in the form of `sysctl.d(5)`: if the first separator is a slash, dots are
/// part of names; otherwise dots separate names, and a slash stands for a dot. `None` if the key is not valid.
pub(crate) fn sysctl(key: &str) -> Option<PathBuf> {
    let swapped = |c| match c {
        '.' => '/',
        '/' => '.',
        c => c,
    };
    let path: String = match key.find(['.', '/']).map(|at| key.as_bytes()[at]) {
        Some(b'/') => key.to_owned(),
        _ => key.chars().map(swapped).collect(),
    };
    let is_name = |name: &str| {
        let plain = |c: char| c.is_ascii_alphanumeric() || "_-.@".contains(c);
        !name.is_empty() && !name.starts_with('.') && name.chars().all(plain)
    };
    (path.contains('/') && path.split('/').all(is_name)).then(|| PathBuf::from(path))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::setup::state::digest;

    #[test]
    fn keys_name_only_files_below_proc_sys() {
        let file = |key| sysctl(key).map(|path| path.display().to_string());
        let some = |path: &str| Some(path.to_owned());
        assert_eq!(file("kernel.kptr_restrict"), some("kernel/kptr_restrict"));
        assert_eq!(file("kernel/kptr_restrict"), some("kernel/kptr_restrict"));
        assert_eq!(
            file("net.ipv4.conf.eth0/1.rp_filter"),
            some("net/ipv4/conf/eth0.1/rp_filter")
        );
        assert_eq!(
            file("net/ipv4/conf/eth0.1/rp_filter"),
            some("net/ipv4/conf/eth0.1/rp_filter")
        );
        for key in [
            "",
            ".",
            "/",
            "kernel",
            "kernel.",
            ".kernel",
            "/etc/passwd",
            "//etc/passwd",
            "../../etc/passwd",
            "kernel/../../../etc/passwd",
            "kernel./etc/passwd",
            "kernel...passwd",
            "kernel/./x",
            "a b.c",
            "kernel.x\n",
            "kernel.\u{202e}x",
            "kernel.x\0",
        ] {
            assert_eq!(sysctl(key), None, "{key:?}");
        }
    }

    fn file(mode: u32, digest: &str) -> State {
        State::File(FileState {
            mode,
            uid: 0,
            gid: 0,
            attributes: [("user.x".to_owned(), "0aff".to_owned())].into(),
            bytes: 1,
            digest: digest.to_owned(),
        })
    }

    #[test]
    fn what_setup_makes_is_accepted() {
        let group = State::Group {
            gid: 990,
            members: vec!["ann".to_owned()],
        };
        let value = |text: &str| State::Value(text.to_owned());
        let options = |mode| State::Options { gid: 0, mode };
        let directory = State::Directory {
            mode: 0o2755,
            uid: 0,
            gid: 0,
        };
        let member = Target::Member {
            user: "a.b".to_owned(),
            group: GROUP.to_owned(),
        };
        let mount = Target::Mount {
            kind: "tracefs".to_owned(),
            at: TRACING.into(),
        };
        for (target, before, wanted) in [
            (
                Target::Path("/usr/x".into()),
                State::Absent,
                file(0o750, &digest(b"x")),
            ),
            (
                Target::Path("/usr/x".into()),
                State::Link("../x".to_owned()),
                directory,
            ),
            (Target::Group(GROUP.to_owned()), State::Absent, group),
            (member, State::Absent, State::Present),
            (
                Target::Sysctl("kernel.x".to_owned()),
                value("4\t4\t1\t7"),
                value("1"),
            ),
            (mount, State::Present, State::Absent),
            (
                Target::MountOptions(DEBUG.into()),
                options(0o700),
                options(0o755),
            ),
            (
                Target::GroupWrite(TRACING.into()),
                State::Absent,
                State::Present,
            ),
        ] {
            assert_eq!(refusal(&target, [&before, &wanted]), None, "{target}");
        }
    }

    #[test]
    fn what_setup_never_makes_is_refused() {
        let whole = digest(b"x");
        let path = |path: &str| Target::Path(path.into());
        let member = |user: &str, group: &str| Target::Member {
            user: user.to_owned(),
            group: group.to_owned(),
        };
        let mount = |kind: &str, at: &str| Target::Mount {
            kind: kind.to_owned(),
            at: at.into(),
        };
        let present = || State::Present;
        for (target, state) in [
            (path("/"), file(0o644, &whole)),
            (path("etc/x"), file(0o644, &whole)),
            (path("/etc/../x"), file(0o644, &whole)),
            (path("/etc/x\0"), file(0o644, &whole)),
            (path("/etc/x"), file(0o200_644, &whole)),
            (path("/etc/x"), file(0o644, "../../../etc/shadow")),
            (path("/etc/x"), present()),
            (Target::Group("sudo".to_owned()), State::Absent),
            (
                Target::Group(GROUP.to_owned()),
                State::Group {
                    gid: 1,
                    members: vec!["a\nb".to_owned()],
                },
            ),
            (member("ann", "sudo"), present()),
            (member("ann:", GROUP), present()),
            (member("ann,bob", GROUP), present()),
            (member("-x", GROUP), present()),
            (
                Target::Sysctl("/etc/passwd".to_owned()),
                State::Value("1".to_owned()),
            ),
            (
                Target::Sysctl("kernel.x".to_owned()),
                State::Value("1\n2".to_owned()),
            ),
            (Target::Sysctl("kernel.x".to_owned()), present()),
            (mount("ext4", TRACING), present()),
            (mount("tracefs", "/etc"), present()),
            (
                Target::MountOptions("/".into()),
                State::Options {
                    gid: 0,
                    mode: 0o777,
                },
            ),
            (
                Target::MountOptions(TRACING.into()),
                State::Options {
                    gid: 0,
                    mode: 0o4777,
                },
            ),
            (Target::GroupWrite("/etc".into()), present()),
        ] {
            assert!(
                refusal(&target, [&State::Absent, &state]).is_some(),
                "{target}, {state}"
            );
        }
    }
}
