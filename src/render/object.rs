//! What is in an eBPF object, and what it asks for.

use std::io::{self, Write};

use crate::checks::object::Requirements;
use crate::decode::uapi::maps::map_type;
use crate::facts::Fact;
use crate::facts::object::{Class, Endianness, Map, ObjectFacts, Program};
use crate::output::colour::{TITLE, paint};
use crate::output::escape::printable;
use crate::output::layout::behind;

/// Columns in front of what a program or a map is.
const NAME: usize = 28;

pub(super) fn contents(
    to: &mut dyn Write,
    object: &ObjectFacts,
    asked: &Requirements,
    width: usize,
) -> io::Result<()> {
    writeln!(to, "\n{}", paint(TITLE, "in the object"))?;
    named(to, "format", &format(object), width)?;
    for program in &object.programs {
        named(to, &program.name, &of_program(program, asked), width)?;
    }
    for map in &object.maps {
        named(to, &map.name, &of_map(map), width)?;
    }
    for capability in &asked.capabilities {
        let reasons = capability.reasons.join("; ");
        named(to, capability.cap.name(), &format!("for {reasons}"), width)?;
    }
    for demand in &asked.demands {
        let since = match &demand.since {
            Fact::Known(release) => format!("Linux {release}"),
            _ => "an unknown Linux".to_owned(),
        };
        let certain = if demand.certain {
            ""
        } else {
            ", if it is reached"
        };
        named(
            to,
            &since,
            &format!("{} ({}){certain}", demand.what, demand.of),
            width,
        )?;
    }
    for reason in &asked.kernel_btf {
        let certain = if reason.certain {
            ""
        } else {
            ", if it is reached"
        };
        named(
            to,
            "the kernel's types",
            &format!("for {}{certain}", reason.reason),
            width,
        )?;
    }
    Ok(())
}

fn named(to: &mut dyn Write, name: &str, what: &str, width: usize) -> io::Result<()> {
    let start = format!("  {:1$}", printable(name), NAME - 2);
    behind(to, start, NAME, what, width)
}

fn format(object: &ObjectFacts) -> String {
    let class = match object.class {
        Class::Bits32 => "32-bit",
        Class::Bits64 => "64-bit",
    };
    let order = match object.endianness {
        Endianness::Little => "little-endian",
        Endianness::Big => "big-endian",
    };
    let types = match &object.btf {
        Fact::Known(btf) => match &btf.types {
            Fact::Known(types) => format!("{types} types"),
            unknown => format!("types: {}", unread(unknown)),
        },
        unknown => format!("types: {}", unread(unknown)),
    };
    format!(
        "{class} {order} {}, {} sections, {types}, license {}, {} bytes off alignment",
        object.machine_name,
        object.sections.len(),
        object.license.known().map_or("none", String::as_str),
        object.misaligned_by
    )
}

fn unread<T>(fact: &Fact<T>) -> &str {
    match fact {
        Fact::Known(_) => "",
        Fact::Absent => "none",
        Fact::Denied(why) | Fact::Failed(why) => why,
    }
}

fn of_program(program: &Program, asked: &Requirements) -> String {
    let found = asked
        .attachments
        .iter()
        .find(|it| it.program == program.name);
    let how = found.map_or("attached by its loader", |it| it.mechanism.as_str());
    let load = if program.autoload {
        ""
    } else {
        ", loaded when asked for"
    };
    format!(
        "program {}, {} instructions, {how}{load}",
        program.section, program.code.instructions
    )
}

fn of_map(map: &Map) -> String {
    let number = |fact: &Fact<u32>| fact.known().map_or("?".to_owned(), u32::to_string);
    let kind = match map.kind.known().copied() {
        Some(kind) => map_type(kind).map_or(format!("type {kind}"), |known| known.name.to_owned()),
        None => "of no type".to_owned(),
    };
    format!(
        "map {kind}, key {} and value {} bytes, {} entries",
        number(&map.key_size),
        number(&map.value_size),
        number(&map.max_entries)
    )
}
