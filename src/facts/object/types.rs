//! What the object's own BTF tells.

use std::collections::BTreeSet;

use super::elf::Elf;
use super::{CoreRelocations, Fact, KernelFunction};
use crate::decode::btf::{self, Btf, Kind, TypeId};

/// `.BTF`, as far as it can be read.
pub(super) struct Types<'a> {
    size: usize,
    pub(super) btf: Fact<Btf<'a>>,
}

impl<'a> Types<'a> {
    pub(super) fn read(elf: &Elf<'a>) -> Self {
        let Some(section) = elf.section(".BTF") else {
            return Self {
                size: 0,
                btf: Fact::Absent,
            };
        };
        let read = Btf::parse(section.data);
        Self {
            size: section.data.len(),
            btf: read.map_or_else(|error| Fact::Failed(error.to_string()), Fact::Known),
        }
    }

    pub(super) fn describe(&self) -> Fact<super::Btf> {
        let describe = |types| super::Btf {
            size: self.size,
            types,
        };
        match &self.btf {
            Fact::Known(btf) => Fact::Known(describe(Fact::Known(btf.len()))),
            Fact::Failed(why) => Fact::Known(describe(Fact::Failed(why.clone()))),
            Fact::Absent | Fact::Denied(_) => Fact::Absent,
        }
    }

    pub(super) fn core_relocations(&self, elf: &Elf<'_>) -> Fact<CoreRelocations> {
        let Some(section) = elf.section(".BTF.ext") else {
            return Fact::Absent;
        };
        let relocations = match btf::core_relocations(section.data) {
            Ok(relocations) => relocations,
            Err(error) => return Fact::Failed(error.to_string()),
        };
        let ids: BTreeSet<TypeId> = relocations.iter().map(|one| one.type_id).collect();
        let btf = self.btf.known();
        let names: BTreeSet<&str> = btf
            .iter()
            .flat_map(|btf| ids.iter().filter_map(|id| btf.name(*id)))
            .map(without_flavour)
            .collect();
        Fact::Known(CoreRelocations {
            count: relocations.len(),
            types: names.into_iter().map(str::to_owned).collect(),
        })
    }

    /// Functions in `.ksyms`.
    pub(super) fn kernel_functions(&self, elf: &Elf<'_>) -> Fact<Vec<KernelFunction>> {
        let read = |btf: &Btf<'_>| -> Vec<KernelFunction> {
            let Some(section) = btf.find(Kind::DataSection, ".ksyms") else {
                return Vec::new();
            };
            btf.variables(section)
                .filter(|variable| btf.kind(variable.type_id) == Some(Kind::Function))
                .filter_map(|variable| btf.name(variable.type_id))
                .map(|name| KernelFunction {
                    name: without_flavour(name).to_owned(),
                    optional: elf.weak.contains(name),
                })
                .collect()
        };
        match &self.btf {
            Fact::Known(btf) => Fact::Known(read(btf)),
            Fact::Absent => Fact::Absent,
            Fact::Denied(why) => Fact::Denied(why.clone()),
            Fact::Failed(why) => Fact::Failed(why.clone()),
        }
    }
}

/// `task_struct___old` is a view of `task_struct`.
fn without_flavour(name: &str) -> &str {
    match name.find("___") {
        Some(at) if at > 0 => &name[..at],
        _ => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flavours_are_one_type() {
        assert_eq!(without_flavour("task_struct___old"), "task_struct");
        assert_eq!(without_flavour("task_struct"), "task_struct");
        assert_eq!(without_flavour("___x"), "___x");
    }
}
