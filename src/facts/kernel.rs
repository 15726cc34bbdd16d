//! What the running kernel forbids to everyone.

use super::Fact;

/// How far the kernel protects itself from root (`kernel_lockdown(7)`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lockdown {
    /// Not at all.
    None,
    /// It cannot be changed.
    Integrity,
    /// Nor read.
    Confidentiality,
}

/// The running kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kernel {
    /// Its lockdown; `Absent` without that LSM or without securityfs.
    pub lockdown: Fact<Lockdown>,
}

impl Kernel {
    /// Reads it.
    pub fn probe() -> Self {
        let text = Fact::from(std::fs::read_to_string("/sys/kernel/security/lockdown"));
        Self {
            lockdown: text.map(|text| parse(&text)),
        }
    }
}

/// `[none] integrity confidentiality`: the one in brackets holds.
fn parse(text: &str) -> Lockdown {
    if text.contains("[confidentiality]") {
        Lockdown::Confidentiality
    } else if text.contains("[integrity]") {
        Lockdown::Integrity
    } else {
        Lockdown::None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_bracketed_word() {
        assert_eq!(parse("[none] integrity confidentiality\n"), Lockdown::None);
        assert_eq!(
            parse("none integrity [confidentiality]\n"),
            Lockdown::Confidentiality
        );
    }
}
