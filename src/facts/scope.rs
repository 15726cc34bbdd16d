//! Which users' processes denet shows. Root, and users whose capabilities come from sudo or the ambient set, may
//! observe the whole machine without denet. If the capabilities come from denet's file, every user who executes
//! it has them: denet then shows only what ptrace(2) would, unless the administrator allows more.

use std::io;
use std::path::Path;
use std::sync::OnceLock;

use serde::{Deserialize, Serialize};

use super::fact::Fact;
use crate::sys::capabilities::{self, CapSet};
use crate::sys::environment;
use crate::sys::place::{Base, Entry, Place, Trusted};
use crate::sys::root::Root;

/// The administrator's configuration.
pub(crate) const CONFIG: &str = "/etc/denet.toml";

/// Largest configuration file that is read; usual ones have one or two lines.
const LONGEST: usize = 64 << 10;

/// Which users' processes denet shows if it gets its privileges from its file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Scope {
    /// Processes that the user may trace with ptrace(2).
    #[default]
    Own,
    /// Processes of all users.
    Any,
}

impl Scope {
    /// Its name in [`CONFIG`].
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Own => "own",
            Self::Any => "any",
        }
    }
}

/// What denet may show if it gets its privileges from its file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Granted {
    /// Which users' processes.
    pub(crate) scope: Scope,
    /// Why the administrator's configuration is ignored, if it is.
    pub(crate) ignored: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    scope: Option<Scope>,
}

/// What denet may show with privileges from its file. `None` for root, for users who have the privileges
/// themselves, and if there are none. Determined by the first call, which must be made before they are dropped.
pub(crate) fn granted() -> Option<&'static Granted> {
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

/// The scope that is configured in this tree: `Absent` if there is no configuration, `Denied` if it is ignored.
pub(super) fn probe(root: &Root) -> Fact<Scope> {
    match configured(root.directory()) {
        Ok(Some(scope)) => Fact::Known(scope),
        Ok(None) => Fact::Absent,
        Err(ignored) => Fact::Denied(ignored),
    }
}

/// The scope that is configured below this root directory; `None` if there is no configuration.
///
/// # Errors
/// Why the configuration is ignored.
fn configured(root: &Path) -> Result<Option<Scope>, String> {
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
            if Trusted::root().others_write(mode, gid, &attributes) {
                return ignored("users other than root can write to it");
            }
            if bytes.len() > LONGEST {
                return ignored(&format!("it is larger than {} KiB", LONGEST >> 10));
            }
            parse(&bytes).map(Some).or_else(|why| ignored(&why))
        }
        Ok(Some(_)) => ignored("it is not a regular file"),
    }
}

fn parse(bytes: &[u8]) -> Result<Scope, String> {
    let text = std::str::from_utf8(bytes).map_err(|_| "it is not UTF-8".to_owned())?;
    let config: Config = toml::from_str(text).map_err(|error| error.message().to_owned())?;
    Ok(config.scope.unwrap_or_default())
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
    fn a_configuration_that_others_can_write_is_ignored() {
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
        refused("users other than root can write to it");
        mode(&config, 0o644);
        mode(&folder, 0o777);
        refused("users other than root can write there");
        mode(&folder, 0o755);
        if trust::tests::set_acl(&config) {
            mode(&config, 0o664);
            refused("users other than root can write to it");
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
        refused("not a regular file");
    }
}
