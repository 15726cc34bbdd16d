//! Security modules, which may refuse what capabilities allow.

use serde::{Deserialize, Serialize};

use super::fact::Fact;
use crate::sys::root::Root;

/// What is in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Security {
    /// In the order in which they are asked; `Absent` where securityfs is not mounted.
    pub(crate) modules: Fact<Vec<String>>,
    /// SELinux enforces its policy, or only logs; `Absent` where it is not in force.
    pub(crate) selinux_enforcing: Fact<bool>,
    /// AppArmor is in force; `Absent` where it was not built.
    pub(crate) apparmor: Fact<bool>,
}

impl Security {
    pub(crate) fn probe(root: &Root) -> Self {
        Self {
            modules: Fact::read(root, "/sys/kernel/security/lsm", parse_modules),
            selinux_enforcing: Fact::read(root, "/sys/fs/selinux/enforce", |text| {
                match text.trim() {
                    "0" => Some(false),
                    "1" => Some(true),
                    _ => None,
                }
            }),
            apparmor: Fact::read(
                root,
                "/sys/module/apparmor/parameters/enabled",
                |text| match text.trim() {
                    "N" => Some(false),
                    "Y" => Some(true),
                    _ => None,
                },
            ),
        }
    }
}

/// `capability,lockdown,apparmor`
fn parse_modules(text: &str) -> Option<Vec<String>> {
    let is_name = |name: &str| {
        let mut letters = name.chars();
        !name.is_empty() && letters.all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-')
    };
    let mut modules = text.trim().split(',');
    modules
        .clone()
        .all(is_name)
        .then(|| modules.by_ref().map(str::to_owned).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::root::tests::Tree;

    #[test]
    fn reads_what_is_in_force() {
        let tree = Tree::with(&[
            ("/sys/kernel/security/lsm", "lockdown,capability,bpf"),
            ("/sys/fs/selinux/enforce", "1"),
            ("/sys/module/apparmor/parameters/enabled", "maybe\n"),
        ]);
        let security = Security::probe(&tree.root());
        assert_eq!(security.modules.known().map(Vec::len), Some(3));
        assert_eq!(security.selinux_enforcing, Fact::Known(true));
        assert!(matches!(security.apparmor, Fact::Failed(_)));
    }

    #[test]
    fn garbage_is_no_list() {
        for text in ["", "a,,b", "a b", "\u{fffd}", "<html>"] {
            assert_eq!(parse_modules(text), None, "{text:?}");
        }
    }
}
