//! Flags and constants of the kernel by name, in strace's order.
//!
//! The numbers are those of the `libc` crate for this machine where it has them. Where it has not,
//! they stand beside the name, from the kernel's `include/uapi`.

pub(crate) mod files;
pub(crate) mod ioctls;
pub(crate) mod ipc;
pub(crate) mod network;
pub(crate) mod process;
pub(crate) mod signals;

use std::borrow::Cow;

use super::value::Value;

/// Pairs of number and name, the names of the `libc` crate unless a number stands beside them.
macro_rules! named {
    ($($name:ident $(= $value:expr)?),* $(,)?) => {
        &[$(($crate::decode::names::number!($name $(= $value)?), stringify!($name))),*]
    };
}
macro_rules! number {
    ($name:ident) => {
        libc::$name as u32 as u64
    };
    ($name:ident = $value:expr) => {
        $value
    };
}
pub(crate) use {named, number};

/// Numbers and names, and what strace calls a number that is none of them (`MAP_???`).
#[derive(Debug)]
pub(crate) struct Names {
    /// In the order in which flags are written.
    pub(crate) known: &'static [(u64, &'static str)],
    /// What an unknown number would be one of; empty where strace leaves the number bare.
    pub(crate) unknown: &'static str,
}

impl Names {
    /// The name of just this number.
    pub(crate) fn name(&self, number: u64) -> Option<&'static str> {
        let found = self.known.iter().find(|(known, _)| *known == number);
        found.map(|(_, name)| *name)
    }

    /// The number of a name.
    pub(crate) fn number(&self, name: &str) -> Option<u64> {
        let found = self.known.iter().find(|(_, known)| *known == name);
        found.map(|(number, _)| *number)
    }

    /// One constant: its name, else the number with a remark.
    pub(crate) fn constant(&self, number: u64) -> Value {
        match self.name(number) {
            Some(name) => Value::word(name),
            None if self.unknown.is_empty() => Value::UInt(number),
            None => remarked(number, self.unknown),
        }
    }

    /// Any of them at once.
    pub(crate) fn flags(&self, bits: u64) -> Value {
        let (mut words, rest) = self.split(bits);
        if words.is_empty() {
            return match (rest, self.unknown) {
                (0, _) => Value::UInt(0),
                (rest, "") => Value::Hex(rest),
                (rest, unknown) => remarked(rest, unknown),
            };
        }
        if rest != 0 {
            words.push(format!("{rest:#x}").into());
        }
        Value::word(words.join("|"))
    }

    /// The names of the bits, and the bits without a name.
    pub(crate) fn split(&self, bits: u64) -> (Vec<Cow<'static, str>>, u64) {
        if let Some(name) = self.name(bits) {
            return (vec![name.into()], 0);
        }
        let mut rest = bits;
        let mut words = Vec::new();
        for (flag, name) in self.known {
            if *flag != 0 && rest & flag == *flag {
                words.push(Cow::Borrowed(*name));
                rest &= !flag;
            }
        }
        (words, rest)
    }
}

fn remarked(number: u64, unknown: &'static str) -> Value {
    Value::Hex(number).noted(unknown)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOME: Names = Names {
        known: named![O_ALL = 7, O_ONE = 1, O_TWO = 2, O_CLOEXEC],
        unknown: "O_???",
    };

    #[test]
    fn bits_have_names_and_the_rest_is_shown() {
        let flags = |bits| SOME.flags(bits).to_string();
        assert_eq!(flags(0), "0");
        assert_eq!(flags(3), "O_ONE|O_TWO");
        assert_eq!(flags(7), "O_ALL");
        assert_eq!(flags(0x43), "O_ONE|O_TWO|0x40");
        assert_eq!(flags(0x40), "0x40 /* O_??? */");
        assert_eq!(flags(0o2_000_001), "O_ONE|O_CLOEXEC");
        assert_eq!(SOME.constant(2).to_string(), "O_TWO");
        assert_eq!(SOME.constant(3).to_string(), "0x3 /* O_??? */");
    }
}
