//! Whose processes denet shows. Root, and a user whose capabilities come from sudo or the ambient set, may
//! look at the whole machine without denet. Where capabilities come from denet's file, everybody who executes
//! it has them: it shows them only what ptrace(2) would, unless the administrator decides otherwise.

use std::io;
use std::path::Path;
use std::sync::OnceLock;

use serde::{Deserialize, Serialize};

use crate::facts::privileges::CapSet;
use crate::finding::Finding;
use crate::process::cgroup;
use crate::profile::attached::Whom;
use crate::step::Step;
use crate::sys::place::{Base, Entry, Place, others_write};
use crate::sys::{capabilities, environment, processes};

/// The administrator's decision.
pub const CONFIG: &str = "/etc/denet.toml";

/// The finding about a process that the user may not observe.
pub const NOT_YOURS: &str = "not-yours";

/// It holds a line or two.
const LONGEST: usize = 64 << 10;

/// Whose processes are shown with privileges from the file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// Processes that the user may trace with ptrace(2).
    #[default]
    Own,
    /// All.
    Any,
}

impl Scope {
    /// As it is written in [`CONFIG`].
    pub fn name(self) -> &'static str {
        match self {
            Self::Own => "own",
            Self::Any => "any",
        }
    }
}

/// What a denet that has its privileges from its file may show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Granted {
    /// Whose processes.
    pub scope: Scope,
    /// Why the administrator's file does not count, if there is one that does not.
    pub ignored: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    scope: Option<Scope>,
}

/// Where privileges come from the file; `None` for root, for users who have them themselves, and where
/// there are none. Decided when it is first asked for, while they are still held.
pub fn granted() -> Option<&'static Granted> {
    static GRANTED: OnceLock<Option<Granted>> = OnceLock::new();
    let decide = || {
        let held = capabilities::permitted(std::process::id());
        let has_none = held.is_ok_and(|held| held == CapSet::default());
        if nix::unistd::getuid().is_root() || !environment::gained_privileges() || has_none {
            return None;
        }
        Some(match configured(Path::new("/")) {
            Ok(scope) => Granted {
                scope: scope.unwrap_or_default(),
                ignored: None,
            },
            Err(ignored) => Granted {
                scope: Scope::Own,
                ignored: Some(ignored),
            },
        })
    };
    GRANTED.get_or_init(decide).as_ref()
}

/// The scope that root decided on, below this root; `None` if root did not.
///
/// # Errors
/// Why the file does not count.
pub fn configured(root: &Path) -> Result<Option<Scope>, String> {
    let place = Base::open(root).and_then(|base| Place::open_trusted(&base, Path::new(CONFIG)));
    let place = match place {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        place => place,
    };
    let entry = place.and_then(|place| place.look());
    let ignored = |why: &str| Err(format!("{CONFIG} is ignored: {why}"));
    match entry {
        Err(error) => ignored(&error.to_string()),
        Ok(None) => Ok(None),
        Ok(Some(Entry::Link(_))) => ignored("it is a symbolic link"),
        Ok(Some(Entry::File {
            bytes,
            mode,
            uid,
            gid,
            attributes,
        })) => {
            if uid != 0 {
                return ignored(&format!("it belongs to uid {uid}, not to root"));
            }
            if others_write(mode, gid, &attributes) {
                return ignored("others than root may write to it");
            }
            if bytes.len() > LONGEST {
                return ignored(&format!("it is larger than {} KiB", LONGEST >> 10));
            }
            parse(&bytes).map(Some).or_else(|why| ignored(&why))
        }
        Ok(Some(_)) => ignored("it is no regular file"),
    }
}

fn parse(bytes: &[u8]) -> Result<Scope, String> {
    let text = std::str::from_utf8(bytes).map_err(|_| "it is no text".to_owned())?;
    let config: Config = toml::from_str(text).map_err(|error| error.message().to_owned())?;
    Ok(config.scope.unwrap_or_default())
}

/// What the user may observe, or not, with privileges from the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Access {
    own_only: bool,
}

impl Access {
    /// That of whoever runs this process.
    pub fn of_user() -> Self {
        let own_only = granted().is_some_and(|granted| granted.scope == Scope::Own);
        Self { own_only }
    }

    /// Not everyone may be observed.
    pub fn is_limited(self) -> bool {
        self.own_only
    }

    /// Whether the user may observe this process. One that has ended is reached: attaching to it fails.
    pub fn reaches(self, pid: u32) -> bool {
        self.obstacle(pid).is_none()
    }

    /// Why the user may not observe a process.
    fn obstacle(self, pid: u32) -> Option<String> {
        if !self.own_only {
            return None;
        }
        let has_ended = |error: &io::Error| error.raw_os_error() == Some(libc::ESRCH);
        match processes::may_trace(pid) {
            Ok(true) => match more_permitted(pid) {
                Ok(false) => None,
                Ok(true) => Some(format!("process {pid} has capabilities that you have not")),
                Err(error) if has_ended(&error) => None,
                Err(error) => Some(format!("capabilities of process {pid}: {error}")),
            },
            Ok(false) => Some(format!("get_robust_list(2) of process {pid}: EPERM")),
            Err(error) if has_ended(&error) => None,
            Err(error) => Some(format!("get_robust_list(2) of process {pid}: {error}")),
        }
    }

    /// Refuses a target that is not the user's.
    ///
    /// # Errors
    /// `not-yours`.
    pub fn check(self, whom: &Whom) -> Result<(), Box<Finding>> {
        if !self.own_only {
            return Ok(());
        }
        let refused = |cause: String, evidence| Err(not_yours(&cause, evidence));
        match whom {
            Whom::Process(pid) => match self.obstacle(*pid) {
                None => Ok(()),
                Some(evidence) => refused(format!("process {pid} is not yours"), evidence),
            },
            Whom::Cgroup(folder) => {
                let members = cgroup::folder(folder).map(|folder| cgroup::members(&folder));
                let members = members.ok().and_then(Result::ok).unwrap_or_default();
                let obstacle = |pid| Some((pid, self.obstacle(pid)?));
                match members.into_iter().find_map(obstacle) {
                    None => Ok(()),
                    Some((pid, evidence)) => {
                        let folder = folder.display();
                        let cause = format!("process {pid} in the cgroup {folder} is not yours");
                        refused(cause, evidence)
                    }
                }
            }
            Whom::All => Err(not_yours(
                "the whole machine is not yours",
                "processes of all users would be shown".to_owned(),
            )),
        }
    }
}

/// Whether a process has capabilities that the user has not. ptrace(2) compares them with what denet itself
/// is permitted; without its file, its user would be permitted none. Those within another user namespace
/// count for nothing here: whether that namespace is the user's, ptrace(2) has answered.
fn more_permitted(pid: u32) -> io::Result<bool> {
    let namespace = |of: &str| std::fs::read_link(format!("/proc/{of}/ns/user"));
    if capabilities::permitted(pid)? == CapSet::default() {
        return Ok(false);
    }
    Ok(namespace(&pid.to_string())? == namespace("thread-self")?)
}

/// The refusal of a target that the user may not observe.
pub(crate) fn not_yours(cause: &str, evidence: String) -> Box<Finding> {
    let cause = format!(
        "{cause}: this denet has its privileges from its file, and shows with them what ptrace(2) would show you"
    );
    Box::new(Finding {
        id: NOT_YOURS,
        cause,
        evidence: vec![evidence],
        fix: vec![
            Step::Run("run denet with sudo".to_owned()),
            Step::Manual {
                what: format!("or let root decide: denet setup --apply --with scope=any writes {CONFIG}"),
                risk: "all who may execute denet then see what the programs of all users call, and with what"
                    .into(),
            },
        ],
    })
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::{PermissionsExt as _, chown, symlink};

    use super::*;
    use crate::sys::place::trust;
    use crate::sys::root::tests::Tree;

    #[test]
    fn a_scope_is_own_or_any() {
        assert_eq!(parse(b""), Ok(Scope::Own));
        assert_eq!(parse(b"# nothing\n"), Ok(Scope::Own));
        assert_eq!(parse(b"scope = \"own\"\n"), Ok(Scope::Own));
        assert_eq!(parse(b"scope = \"any\" # decided\n"), Ok(Scope::Any));
        for odd in [
            &b"scope = any"[..],
            b"scope = \"all\"",
            b"scope = 1",
            b"scopes = \"any\"",
            b"\xff",
            b"[",
        ] {
            assert!(parse(odd).is_err(), "{odd:?}");
        }
    }

    /// Only root may give files away.
    #[test]
    fn only_what_root_alone_writes_counts() {
        if !nix::unistd::geteuid().is_root() {
            return;
        }
        let tree = Tree::empty();
        let config = tree.at.join("etc/denet.toml");
        let mode =
            |path: &Path, mode| fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
        mode(&tree.at, 0o755);
        assert_eq!(configured(&tree.at), Ok(None));
        tree.write("/etc/denet.toml", b"scope = \"any\"\n");
        let folder = tree.at.join("etc");
        mode(&folder, 0o755);
        mode(&config, 0o644);
        assert_eq!(configured(&tree.at), Ok(Some(Scope::Any)));
        let refused = |words: &str| {
            let ignored = configured(&tree.at).unwrap_err();
            assert!(
                ignored.contains(words) && ignored.contains("is ignored"),
                "{ignored}"
            );
        };
        mode(&config, 0o646);
        refused("others than root may write to it");
        mode(&config, 0o644);
        mode(&folder, 0o777);
        refused("others than root may write there");
        mode(&folder, 0o755);
        if trust::tests::set_acl(&config) {
            mode(&config, 0o664);
            refused("others than root may write to it");
            mode(&config, 0o644);
            assert_eq!(configured(&tree.at), Ok(Some(Scope::Any)));
        }
        chown(&config, Some(65534), None).unwrap();
        refused("belongs to uid 65534");
        fs::write(&config, vec![b'#'; LONGEST + 1]).unwrap();
        chown(&config, Some(0), None).unwrap();
        refused("larger than 64 KiB");
        fs::rename(&config, tree.at.join("etc/other")).unwrap();
        symlink("other", &config).unwrap();
        refused("symbolic link");
        fs::remove_file(&config).unwrap();
        nix::unistd::mkfifo(&config, nix::sys::stat::Mode::S_IRWXU).unwrap();
        refused("no regular file");
    }
}
