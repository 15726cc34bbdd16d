//! Definitions of maps.

use super::elf::{Elf, Symbol};
use super::types::Types;
use super::{Map, MapDefinition, ObjectError};
use crate::decode::btf::{Btf, Kind, Member, TypeId};
use crate::facts::Fact;

/// Members that a definition may have: libbpf knows a dozen.
const MAX_MEMBERS: usize = 64;

/// Those of `.maps`, then those of `maps`.
pub(super) fn read(elf: &Elf<'_>, types: &Types<'_>) -> Result<Vec<Map>, ObjectError> {
    let mut maps = match types.btf.known().and_then(typed) {
        Some(maps) => maps,
        None => untyped(elf, types),
    };
    for symbol in objects(elf, "maps") {
        maps.push(legacy(elf, symbol)?);
    }
    Ok(maps)
}

/// By the types of the variables in `.maps` (`bpf_object__init_user_btf_maps`, libbpf).
fn typed(btf: &Btf<'_>) -> Option<Vec<Map>> {
    let section = btf.find(Kind::DataSection, ".maps")?;
    let maps = btf.variables(section).map(|variable| {
        let definition = btf.target(variable.type_id).and_then(|id| btf.resolve(id));
        let mut map = Map {
            name: btf.name(variable.type_id).unwrap_or_default().to_owned(),
            definition: MapDefinition::Btf,
            kind: Fact::Absent,
            key_size: Fact::Absent,
            value_size: Fact::Absent,
            max_entries: Fact::Absent,
            flags: Fact::Absent,
        };
        let members = definition.map(|id| btf.members(id).take(MAX_MEMBERS));
        for member in members.into_iter().flatten() {
            describe(btf, &member, &mut map);
        }
        map
    });
    Some(maps.collect())
}

fn describe(btf: &Btf<'_>, member: &Member, map: &mut Map) {
    let Some(name) = btf.member_name(member) else {
        return;
    };
    let read = |value: Option<u32>| {
        let failed = || Fact::Failed(format!("the type of its member {name} does not say"));
        value.map_or_else(failed, Fact::Known)
    };
    let number = || read(number(btf, member.type_id));
    let size = || read(pointed(btf, member.type_id).and_then(|id| size(btf, id)));
    match name {
        "type" => map.kind = number(),
        "max_entries" => map.max_entries = number(),
        "map_flags" => map.flags = number(),
        "key_size" => map.key_size = number(),
        "value_size" => map.value_size = number(),
        "key" => map.key_size = size(),
        "value" => map.value_size = size(),
        // Maps or programs: the kernel holds their descriptors.
        "values" => map.value_size = Fact::Known(4),
        _ => {}
    }
}

/// `__uint(name, number)`: a pointer to an array that long.
fn number(btf: &Btf<'_>, id: TypeId) -> Option<u32> {
    btf.array(pointed(btf, id)?).map(|(_, count)| count)
}

fn pointed(btf: &Btf<'_>, id: TypeId) -> Option<TypeId> {
    let id = btf.resolve(id)?;
    (btf.kind(id) == Some(Kind::Pointer)).then_some(())?;
    btf.resolve(btf.target(id)?)
}

fn size(btf: &Btf<'_>, id: TypeId) -> Option<u32> {
    u32::try_from(btf.size(id)?).ok()
}

/// The names alone, where the types cannot be read.
fn untyped(elf: &Elf<'_>, types: &Types<'_>) -> Vec<Map> {
    let why = match &types.btf {
        Fact::Known(_) => "the object's BTF does not describe .maps".to_owned(),
        Fact::Absent => "the object has no BTF".to_owned(),
        Fact::Denied(why) | Fact::Failed(why) => why.clone(),
    };
    let failed = || Fact::Failed(why.clone());
    let named = objects(elf, ".maps").map(|symbol| Map {
        name: symbol.name.clone(),
        definition: MapDefinition::Btf,
        kind: failed(),
        key_size: failed(),
        value_size: failed(),
        max_entries: failed(),
        flags: failed(),
    });
    named.collect()
}

/// `struct bpf_map_def`: five words.
fn legacy(elf: &Elf<'_>, symbol: &Symbol) -> Result<Map, ObjectError> {
    let section = elf.section_of(symbol);
    let start = usize::try_from(symbol.offset).ok();
    let word = |index: usize| {
        let at = start?.checked_add(index * 4)?;
        elf.word(section?.data, at)
    };
    let known = |index| {
        let beyond = || ObjectError::malformed(&symbol.name, "it does not lie within its section");
        word(index).map(Fact::Known).ok_or_else(beyond)
    };
    Ok(Map {
        name: symbol.name.clone(),
        definition: MapDefinition::Legacy,
        kind: known(0)?,
        key_size: known(1)?,
        value_size: known(2)?,
        max_entries: known(3)?,
        flags: known(4)?,
    })
}

/// Symbols of variables in the section of this name, by place.
fn objects<'e>(elf: &'e Elf<'_>, section: &str) -> impl Iterator<Item = &'e Symbol> {
    let index = elf.section(section).map(|section| section.index);
    let mut found: Vec<&Symbol> = elf
        .symbols
        .iter()
        .filter(|symbol| Some(symbol.section) == index && !symbol.is_function)
        .collect();
    found.sort_by_key(|symbol| symbol.offset);
    found.into_iter()
}
