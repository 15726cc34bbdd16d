//! What stands in the way of loading an object, before anybody tries.

use crate::checks::finding::Finding;
use crate::checks::step::Step;
use crate::decode::uapi::{helpers, maps, sections};
use crate::facts::Fact;
use crate::facts::object::{Class, Code, Endianness, HelperCall, Map, MapDefinition, ObjectFacts};

/// Instructions that kernels before 5.2, and those who lack CAP_BPF, may load (BPF_MAXINSNS).
pub(super) const OLD_LIMIT: usize = 4096;

/// What is wrong, what keeps all of it from loading first.
pub(crate) fn findings(object: &ObjectFacts) -> Vec<Finding> {
    let checks: [fn(&ObjectFacts) -> Option<Finding>; 15] = [
        endianness,
        class,
        misaligned,
        no_programs,
        license_missing,
        license_incompatible,
        btf_missing,
        btf_unreadable,
        core_unreadable,
        section_unknown,
        map_unreadable,
        ring_buffer_size,
        maps_legacy,
        helper_unknown,
        program_large,
    ];
    checks.iter().filter_map(|check| check(object)).collect()
}

fn finding(id: &'static str, cause: String, evidence: Vec<String>, fix: &str) -> Option<Finding> {
    Some(Finding {
        id,
        cause,
        evidence,
        fix: vec![Step::manual(fix)],
    })
}

fn endianness(object: &ObjectFacts) -> Option<Finding> {
    let (theirs, ours, target) = match (object.endianness, Endianness::HOST) {
        (Endianness::Big, Endianness::Little) => ("big", "little", "bpfel"),
        (Endianness::Little, Endianness::Big) => ("little", "big", "bpfeb"),
        _ => return None,
    };
    finding(
        "object-endianness",
        format!(
            "the object is {theirs}-endian, this machine {ours}-endian: no kernel here takes it"
        ),
        vec![format!("e_ident[EI_DATA]: {theirs}-endian")],
        &format!("compile it with clang -target {target} (or -target bpf on this machine)"),
    )
}

fn class(object: &ObjectFacts) -> Option<Finding> {
    (object.class == Class::Bits32).then_some(())?;
    finding(
        "object-class",
        "the object is a 32-bit ELF file: libbpf and aya read those of 64 bits only".to_owned(),
        vec!["e_ident[EI_CLASS]: ELFCLASS32".to_owned()],
        "compile it with clang -target bpf",
    )
}

fn misaligned(object: &ObjectFacts) -> Option<Finding> {
    (object.misaligned_by != 0).then_some(())?;
    finding(
        "object-misaligned",
        "the object's bytes are not aligned to 8 in memory: loaders read ELF structures in place \
         (\"Invalid ELF header size or alignment\")"
            .to_owned(),
        vec![format!("its address is {} modulo 8", object.misaligned_by)],
        "embed it with aya::include_bytes_aligned! instead of include_bytes!",
    )
}

fn no_programs(object: &ObjectFacts) -> Option<Finding> {
    object.programs.is_empty().then_some(())?;
    let names = object.sections.iter().map(|section| section.name.as_str());
    finding(
        "object-no-programs",
        "the object holds no program: no function lies in a section of its own".to_owned(),
        vec![format!("sections: {}", names.collect::<Vec<_>>().join(" "))],
        "give each program a section, SEC(\"raw_tp/sys_enter\") for one, and do not strip symbols",
    )
}

/// Everything that the kernel refuses without a license compatible with the GPL.
fn needs_gpl(object: &ObjectFacts) -> Vec<String> {
    let mut reasons: Vec<String> = Vec::new();
    for (name, code) in code(object) {
        for HelperCall { id, .. } in &code.helpers {
            if let Some(helper) = helpers::helper(*id).filter(|helper| helper.gpl_only) {
                reasons.push(format!("{name} calls {}", helper.name));
            }
        }
    }
    for program in &object.programs {
        if program.kind.known().is_some_and(|kind| kind.needs_gpl()) {
            reasons.push(format!(
                "{} is in section {}",
                program.name, program.section
            ));
        }
    }
    for function in object.kernel_functions.known().into_iter().flatten() {
        reasons.push(format!("it calls the kernel function {}", function.name));
    }
    reasons
}

fn code(object: &ObjectFacts) -> impl Iterator<Item = (&str, &Code)> {
    let programs = object
        .programs
        .iter()
        .map(|one| (one.name.as_str(), &one.code));
    let functions = object
        .functions
        .iter()
        .map(|one| (one.name.as_str(), &one.code));
    programs.chain(functions)
}

const LICENSE_FIX: &str = "if its authors agree: char LICENSE[] SEC(\"license\") = \"GPL\"; (or \"Dual MIT/GPL\", \"Dual BSD/GPL\")";

fn license_missing(object: &ObjectFacts) -> Option<Finding> {
    let seen = match &object.license {
        Fact::Known(license) if license.is_empty() => "the section license is empty",
        Fact::Known(_) => return None,
        Fact::Absent => "there is no section license",
        Fact::Denied(why) | Fact::Failed(why) => why,
    };
    let reasons = needs_gpl(object);
    (!reasons.is_empty()).then_some(())?;
    let mut evidence = vec![seen.to_owned()];
    evidence.extend(reasons);
    let cause = "the kernel keeps for the GPL what this object needs, and it names no license";
    finding(
        "object-license-missing",
        cause.to_owned(),
        evidence,
        LICENSE_FIX,
    )
}

/// `license_is_gpl_compatible` (include/linux/license.h): letter by letter.
const GPL_COMPATIBLE: &[&str] = &[
    "GPL",
    "GPL v2",
    "GPL and additional rights",
    "Dual BSD/GPL",
    "Dual MIT/GPL",
    "Dual MPL/GPL",
];

fn license_incompatible(object: &ObjectFacts) -> Option<Finding> {
    let license = object
        .license
        .known()
        .filter(|license| !license.is_empty())?;
    let reasons = needs_gpl(object);
    if GPL_COMPATIBLE.contains(&license.as_str()) || reasons.is_empty() {
        return None;
    }
    let mut evidence = vec![format!("license: {license:?}")];
    evidence.extend(reasons);
    finding(
        "object-license-incompatible",
        format!(
            "the kernel keeps for the GPL what this object needs, and does not take {license:?} for it"
        ),
        evidence,
        LICENSE_FIX,
    )
}

fn btf_missing(object: &ObjectFacts) -> Option<Finding> {
    (object.btf == Fact::Absent).then_some(())?;
    let mut evidence = Vec::new();
    if let Some(relocations) = object
        .core_relocations
        .known()
        .filter(|found| found.count > 0)
    {
        evidence.push(format!(
            "{} CO-RE relocations in .BTF.ext",
            relocations.count
        ));
    }
    let typed = |map: &&Map| map.definition == MapDefinition::Btf;
    let names: Vec<_> = object
        .maps
        .iter()
        .filter(typed)
        .map(|map| map.name.as_str())
        .collect();
    if !names.is_empty() {
        evidence.push(format!(
            "maps that only BTF describes: {}",
            names.join(", ")
        ));
    }
    (!evidence.is_empty()).then_some(())?;
    finding(
        "object-btf-missing",
        "the object has lost its BTF, and cannot be loaded without".to_owned(),
        evidence,
        "compile with clang -g, and strip with llvm-strip -g, which keeps .BTF",
    )
}

fn is_foreign(object: &ObjectFacts) -> bool {
    object.endianness != Endianness::HOST
}

fn reads_types(object: &ObjectFacts) -> bool {
    let btf = object.btf.known();
    btf.is_some_and(|btf| btf.types.known().is_some())
}

fn btf_unreadable(object: &ObjectFacts) -> Option<Finding> {
    (!is_foreign(object)).then_some(())?;
    let (Fact::Failed(why) | Fact::Denied(why)) = &object.btf.known()?.types else {
        return None;
    };
    finding(
        "object-btf-unreadable",
        "the object's BTF cannot be read".to_owned(),
        vec![format!(".BTF: {why}")],
        "compile the object again, for this machine",
    )
}

fn core_unreadable(object: &ObjectFacts) -> Option<Finding> {
    (!is_foreign(object)).then_some(())?;
    let (Fact::Failed(why) | Fact::Denied(why)) = &object.core_relocations else {
        return None;
    };
    finding(
        "object-core-unreadable",
        "the object's CO-RE relocations cannot be read".to_owned(),
        vec![format!(".BTF.ext: {why}")],
        "compile the object again, for this machine",
    )
}

fn section_unknown(object: &ObjectFacts) -> Option<Finding> {
    let unknown = object
        .programs
        .iter()
        .filter(|program| program.kind == Fact::Absent);
    let evidence: Vec<String> = unknown
        .map(|program| {
            let known = sections::resembles(&program.section);
            let hint = known.map_or(String::new(), |rule| {
                format!(": libbpf 1.0 takes {}, without a name behind it", rule.name)
            });
            format!("{} is in section {}{hint}", program.name, program.section)
        })
        .collect();
    (!evidence.is_empty()).then_some(())?;
    finding(
        "object-section-unknown",
        "what some programs are cannot be told from their sections: libbpf loads them only if it is told"
            .to_owned(),
        evidence,
        "name the section as Documentation/bpf/libbpf/program_types.rst does, or set the type in the loader",
    )
}

fn map_unreadable(object: &ObjectFacts) -> Option<Finding> {
    let mut evidence = Vec::new();
    // Without readable types, that is said already.
    let is_readable = |map: &&Map| map.definition == MapDefinition::Legacy || reads_types(object);
    for map in object.maps.iter().filter(is_readable) {
        let fields = [
            &map.kind,
            &map.key_size,
            &map.value_size,
            &map.max_entries,
            &map.flags,
        ];
        if let Some(Fact::Failed(why)) = fields.iter().find(|fact| matches!(fact, Fact::Failed(_)))
        {
            evidence.push(format!("{}: {why}", map.name));
        } else if map.kind.known().is_none_or(|kind| *kind == 0) {
            evidence.push(format!("{}: it has no type", map.name));
        }
    }
    (!evidence.is_empty()).then_some(())?;
    finding(
        "object-map-unreadable",
        "how some maps are to be made cannot be told".to_owned(),
        evidence,
        "define each with __uint(type, …), __type(key, …) and __type(value, …), and compile with -g",
    )
}

/// `ringbuf_map_alloc`: a power of two and whole pages. 0 is for the loader to set.
fn ring_buffer_size(object: &ObjectFacts) -> Option<Finding> {
    let wrong = object.maps.iter().filter_map(|map| {
        let kind = map.kind.known()?;
        let size = *map.max_entries.known()?;
        let is_fine = size == 0 || (size.is_power_of_two() && size >= 4096);
        (*kind == maps::RINGBUF && !is_fine).then(|| format!("{}: {size} bytes", map.name))
    });
    let evidence: Vec<String> = wrong.collect();
    (!evidence.is_empty()).then_some(())?;
    finding(
        "object-ringbuf-size",
        "the size of a ring buffer is not a power of two of whole pages: the kernel answers EINVAL"
            .to_owned(),
        evidence,
        "set max_entries to a power of two, 4096 or more",
    )
}

fn maps_legacy(object: &ObjectFacts) -> Option<Finding> {
    let legacy = object
        .maps
        .iter()
        .filter(|map| map.definition == MapDefinition::Legacy);
    let names: Vec<&str> = legacy.map(|map| map.name.as_str()).collect();
    (!names.is_empty()).then_some(())?;
    finding(
        "object-maps-legacy",
        "maps are defined the old way, in a section maps: libbpf refuses that since 1.0, aya takes it"
            .to_owned(),
        vec![format!("maps: {}", names.join(", "))],
        "define them in SEC(\".maps\"), or load the object with aya",
    )
}

fn helper_unknown(object: &ObjectFacts) -> Option<Finding> {
    let unknown = code(object).flat_map(|(name, code)| {
        let calls = code
            .helpers
            .iter()
            .filter(|call| helpers::helper(call.id).is_none())
            .filter(|call| !helpers::PLACEHOLDERS.contains(&call.id));
        calls.map(move |call| format!("{name} calls helper {}", call.id))
    });
    let evidence: Vec<String> = unknown.collect();
    (!evidence.is_empty()).then_some(())?;
    finding(
        "object-helper-unknown",
        "helpers are called that Linux 6.18 does not have".to_owned(),
        evidence,
        "compile the object again; if it was made for a patched kernel, load it there",
    )
}

fn program_large(object: &ObjectFacts) -> Option<Finding> {
    let large = object
        .programs
        .iter()
        .filter(|one| one.code.instructions > OLD_LIMIT);
    let evidence: Vec<String> = large
        .map(|one| format!("{}: {} instructions", one.name, one.code.instructions))
        .collect();
    (!evidence.is_empty()).then_some(())?;
    finding(
        "object-program-large",
        "programs of more than 4096 instructions load from Linux 5.2 on, and with CAP_BPF only (E2BIG)"
            .to_owned(),
        evidence,
        "split them, or say that they need Linux 5.2",
    )
}
