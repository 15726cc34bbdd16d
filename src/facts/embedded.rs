//! The eBPF objects within this binary, as they lie in memory.

use serde::{Deserialize, Serialize};

/// An object that was compiled in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Embedded {
    /// `syscalls`
    pub(crate) name: String,
    /// Its size in bytes.
    pub(crate) bytes: u64,
    /// Its address modulo 8: loaders need 0.
    pub(crate) misaligned_by: u8,
    /// Programs in it.
    pub(crate) programs: usize,
    /// Maps in it.
    pub(crate) maps: usize,
    /// Why it cannot be read, if it cannot.
    pub(crate) problem: Option<String>,
}

/// All of them; none in a build without eBPF.
#[cfg(feature = "ebpf")]
pub(crate) fn all() -> Vec<Embedded> {
    let objects = crate::bpf::OBJECTS.iter();
    objects
        .map(|(name, bytes)| Embedded::of(name, bytes))
        .collect()
}

/// All of them; none in a build without eBPF.
#[cfg(not(feature = "ebpf"))]
pub(crate) fn all() -> Vec<Embedded> {
    Vec::new()
}

#[cfg(feature = "ebpf")]
impl Embedded {
    fn of(name: &str, bytes: &[u8]) -> Self {
        let found = super::object::inspect(bytes);
        let of = |count: fn(&super::object::ObjectFacts) -> usize| found.as_ref().map_or(0, count);
        Self {
            name: name.to_owned(),
            bytes: bytes.len() as u64,
            misaligned_by: (bytes.as_ptr().addr() % 8) as u8,
            programs: of(|object| object.programs.len()),
            maps: of(|object| object.maps.len()),
            problem: found.as_ref().err().map(ToString::to_string),
        }
    }
}

#[cfg(all(test, feature = "ebpf"))]
mod tests {
    use super::*;

    #[test]
    fn a_cut_one_has_a_problem() {
        let whole = crate::bpf::SMOKE;
        assert_eq!(Embedded::of("smoke", whole).problem, None);
        let cut = Embedded::of("smoke", &whole[..whole.len() / 2]);
        assert!(cut.problem.is_some() && cut.programs == 0, "{cut:?}");
    }

    #[test]
    fn all_are_sound_and_aligned() {
        for object in all() {
            assert_eq!((object.problem, object.misaligned_by), (None, 0));
            assert!(object.programs > 0, "{}", object.name);
        }
    }
}
