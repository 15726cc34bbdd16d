use super::samples::{self, Sample};
use super::*;
use crate::decode::btf::tests::blob;

/// Name, type, key, value, entries, flags.
type Row<'a> = (&'a str, u32, Option<u32>, Option<u32>, u32, u32);

fn rows(object: &ObjectFacts) -> Vec<Row<'_>> {
    let row = |map: &'_ Map| {
        let flags = map.flags.known().copied().unwrap_or_default();
        (
            *map.kind.known().unwrap(),
            map.key_size.known().copied(),
            map.value_size.known().copied(),
            *map.max_entries.known().unwrap(),
            flags,
        )
    };
    let maps = object.maps.iter();
    maps.map(|map| {
        let (kind, key, value, entries, flags) = row(map);
        (map.name.as_str(), kind, key, value, entries, flags)
    })
    .collect()
}

/// The helpers, by number.
fn helpers(code: &Code) -> Vec<u32> {
    code.helpers.iter().map(|helper| helper.id).collect()
}

fn program<'a>(object: &'a ObjectFacts, name: &str) -> &'a Program {
    let mut programs = object.programs.iter();
    programs.find(|program| program.name == name).unwrap()
}

/// What `ebpf/common.h` defines; `denet_overflow` and others lie in the order of their first use.
fn shared(name: &str) -> Row<'_> {
    const MMAPABLE: u32 = 1 << 10;
    match name {
        "denet_slots" => (name, 2, Some(4), Some(600), 4096, MMAPABLE),
        "denet_claims" => (name, 1, Some(4), Some(8), 4096, 0),
        "denet_overflow" => (name, 1, Some(8), Some(600), 16384, 0),
        "denet_uncounted" => (name, 1, Some(8), Some(4), 65536, 0),
        "denet_wanted" => (name, 1, Some(4), Some(4), 8192, 1),
        "denet_spill" => (name, 1, Some(24), Some(8), 8192, 0),
        "denet_ended" => (name, 27, None, None, 2 << 20, 0),
        "denet_control" => (name, 2, Some(4), Some(112), 1, MMAPABLE),
        "denet_unfreed" => (name, 1, Some(8), Some(96), 65536, 0),
        other => panic!("{other} is not in common.h"),
    }
}

#[test]
fn reads_the_object_that_counts() {
    let object = inspect(samples::syscalls()).unwrap();
    assert_eq!(
        (object.class, object.endianness, object.machine),
        (Class::Bits64, Endianness::Little, 247)
    );
    assert_eq!(object.machine_name, "eBPF");
    assert_eq!(
        (object.object_type.as_str(), object.misaligned_by),
        ("REL", 0)
    );
    assert_eq!(object.license, Fact::Known("Dual MIT/GPL".to_owned()));
    assert_eq!(object.kernel_version, Fact::Absent);

    let program = program(&object, "denet_count");
    assert_eq!(program.section, "raw_tp/sys_enter");
    assert_eq!(program.kind, Fact::Known(ProgramKind::RawTracepoint));
    assert_eq!(program.hook, Fact::Known(Hook::RawTracepoint));
    assert_eq!(program.target, Fact::Known("sys_enter".to_owned()));
    assert_eq!(helpers(&program.code), [1, 35, 113, 158]);
    let name = Fact::Known("bpf_probe_read_kernel".to_owned());
    assert_eq!(program.code.helpers[2].name, name);
    assert!(program.code.calls_functions);
    let instructions = |section: &str| {
        let found = object.sections.iter().find(|one| one.name == section);
        usize::try_from(found.unwrap().size).unwrap() / 8
    };
    assert_eq!(program.code.instructions, instructions("raw_tp/sys_enter"));
    let function = |name| object.functions.iter().find(|one| one.name == name);
    let calls = |name| function(name).map(|one| helpers(&one.code));
    assert_eq!(calls("count_displaced"), Some(vec![1, 35, 113, 158]));
    assert_eq!(calls("count_in_spill"), Some(vec![1, 2]));
    let sum: usize = object
        .functions
        .iter()
        .map(|one| one.code.instructions)
        .sum();
    assert_eq!(sum, instructions(".text"));

    let rows = rows(&object);
    let (kept, common) = rows
        .iter()
        .partition::<Vec<Row<'_>>, _>(|row| row.0 == "denet_kept");
    assert_eq!(kept, [("denet_kept", 2, Some(4), Some(16), 4096, 0)]);
    assert_eq!(common.len(), 7);
    for row in common {
        assert_eq!(row, shared(row.0));
    }
    let names: Vec<_> = object.data.iter().map(|one| one.name.as_str()).collect();
    assert_eq!(names, [".rodata"]);
    for name in [
        "compat_mask",
        "compat_offset",
        "compat_source",
        "slot_shift",
    ] {
        assert!(object.constants.iter().any(|one| one == name), "{name}");
    }
    let Fact::Known(btf) = &object.btf else {
        panic!("{:?}", object.btf);
    };
    assert!(btf.size > 1000 && btf.types.known().is_some_and(|types| *types > 50));
    // ebpf/build leaves .BTF.ext out: there are no relocations in it.
    assert_eq!(object.core_relocations, Fact::Absent);
    assert_eq!(object.kernel_functions, Fact::Known(vec![]));
    let names: Vec<_> = object
        .sections
        .iter()
        .map(|one| (&*one.name, &*one.kind))
        .collect();
    assert!(names.contains(&(".maps", "PROGBITS")) && names.contains(&(".symtab", "SYMTAB")));
}

#[test]
fn reads_the_objects_beside_it() {
    let object = inspect(samples::lifecycle()).unwrap();
    for (name, target) in [
        ("denet_fork", "sched_process_fork"),
        ("denet_exec", "sched_process_exec"),
        ("denet_exit", "sched_process_exit"),
        ("denet_free", "sched_process_free"),
    ] {
        let program = program(&object, name);
        assert_eq!(program.target, Fact::Known(target.to_owned()));
        assert_eq!(program.hook, Fact::Known(Hook::RawTracepoint));
    }
    let rows = rows(&object);
    assert_eq!(rows.len(), 9);
    for row in rows {
        assert_eq!(row, shared(row.0));
    }

    let object = inspect(samples::calibrate()).unwrap();
    assert_eq!(
        self::rows(&object),
        [("denet_samples", 2, Some(4), Some(24 + 8192), 3, 0)]
    );
    let target = &program(&object, "denet_sample").target;
    assert_eq!(*target, Fact::Known("sys_exit".to_owned()));
}

#[test]
fn facts_survive_json() {
    let object = inspect(samples::lifecycle()).unwrap();
    let text = serde_json::to_string(&object).unwrap();
    assert_eq!(serde_json::from_str::<ObjectFacts>(&text).unwrap(), object);
}

#[test]
fn says_what_the_file_is_instead() {
    assert_eq!(inspect(&[]), Err(ObjectError::Empty));
    let seems = |bytes: &[u8]| match inspect(bytes) {
        Err(ObjectError::NotElf { looks_like }) => looks_like,
        other => panic!("{other:?}"),
    };
    assert_eq!(seems(b"#!/bin/sh\nexit 0\n"), "a script");
    assert_eq!(
        seems(b"\x1f\x8b\x08\0\0\0"),
        "a gzip archive: unpack it first"
    );
    assert_eq!(seems("Grüße\n".as_bytes()), "text");
    assert_eq!(
        seems(b"#include <linux/bpf.h>\n"),
        "C source: compile it with clang -target bpf"
    );
    assert_eq!(seems(&[0; 100]), "other data");
    // This very program.
    let own = std::fs::read(std::env::current_exe().unwrap()).unwrap();
    let Err(ObjectError::Machine { machine, name }) = inspect(&own) else {
        panic!("a test binary is no eBPF object");
    };
    if cfg!(target_arch = "x86_64") {
        assert_eq!((machine, name), (62, "x86-64"));
    }
    let mut linked = samples::calibrate().to_vec();
    linked[16] = 2;
    let name = "EXEC";
    assert_eq!(
        inspect(&linked),
        Err(ObjectError::NotRelocatable { kind: 2, name })
    );
}

#[test]
fn no_prefix_of_an_object_is_an_object() {
    let whole = samples::calibrate();
    for length in 1..whole.len() {
        let read = inspect(&whole[..length]);
        assert!(
            matches!(read, Err(ObjectError::Truncated { .. })),
            "{length}: {read:?}"
        );
    }
}

#[test]
fn bytes_may_lie_anywhere() {
    let mut shifted = vec![0; 16];
    let pad = 8 - shifted.as_ptr().addr() % 8 + 3;
    shifted.resize(pad, 0);
    shifted.reserve_exact(samples::calibrate().len() + 16);
    // Reserving may have moved it.
    let pad = (8 - shifted.as_ptr().addr() % 8) % 8 + 3;
    shifted.resize(pad, 0);
    shifted.extend(samples::calibrate());
    let object = inspect(&shifted[pad..]).unwrap();
    assert_eq!((object.misaligned_by, object.programs.len()), (3, 1));
}

#[test]
fn the_other_byte_order_is_read() {
    let sample = Sample {
        big_endian: true,
        ..Sample::default()
    };
    let object = sample
        .program("count", "kprobe/do_exit", &[14, 5])
        .data("license", *b"GPL\0")
        .data("version", 0x0006_0100_u32.to_be_bytes())
        .data(".BTF", [0xeb, 0x9f, 1, 0])
        .build();
    let object = inspect(&object).unwrap();
    assert_eq!(object.endianness, Endianness::Big);
    assert_eq!(helpers(&object.programs[0].code), [5, 14]);
    assert_eq!(object.kernel_version, Fact::Known(0x0006_0100));
    assert_eq!(object.license, Fact::Known("GPL".to_owned()));
    let foreign = Fact::Failed("BTF of the other byte order".to_owned());
    assert!(object.btf.known().is_some_and(|btf| btf.types == foreign));
}

#[test]
fn maps_of_the_old_kind_are_read() {
    let words = [1u32, 4, 8, 100, 1, 2, 4, 4, 1, 0];
    let data: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    let sample = Sample::default()
        .program("main", "xdp", &[1])
        .data("maps", data)
        .variable("second", 20, 20)
        .variable("first", 0, 20);
    let object = inspect(&sample.build()).unwrap();
    assert_eq!(
        rows(&object),
        [
            ("first", 1, Some(4), Some(8), 100, 1),
            ("second", 2, Some(4), Some(4), 1, 0)
        ]
    );
    let broken = sample.variable("third", 28, 20).build();
    let error = inspect(&broken).map(|_| ()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "malformed: third: it does not lie within its section"
    );
}

#[test]
fn maps_without_types_have_names() {
    let sample = Sample::default()
        .program("main", "xdp", &[])
        .data(".maps", [0; 32])
        .variable("counts", 0, 32)
        .data(".rodata.cst16", [0; 16]);
    let object = inspect(&sample.build()).unwrap();
    let [map] = object.maps.as_slice() else {
        panic!("{:?}", object.maps);
    };
    let why = Fact::Failed("the object has no BTF".to_owned());
    assert_eq!((map.name.as_str(), &map.kind), ("counts", &why));
    assert_eq!((object.btf, object.data.len()), (Fact::Absent, 1));
}

#[test]
fn functions_of_the_kernel_are_named() {
    // 1 "run" 5 "bpf_task_acquire" 22 ".ksyms" 29 "jiffies"
    #[rustfmt::skip]
    let types = [
        0, 13 << 24, 0,                                              // [1] void ()
        5, 12 << 24 | 2, 1,                                          // [2] extern function
        29, 14 << 24, 0, 2,                                          // [3] extern variable
        22, 15 << 24 | 2, 0, 2, 0, 0, 3, 0, 8,                       // [4] .ksyms
    ];
    let btf = blob(&types, &["run", "bpf_task_acquire", ".ksyms", "jiffies"]);
    let sample = Sample::default()
        .program("run", "syscall", &[])
        .data(".BTF", btf);
    let object = inspect(&sample.build()).unwrap();
    let named = KernelFunction {
        name: "bpf_task_acquire".to_owned(),
        optional: false,
    };
    assert_eq!(object.kernel_functions, Fact::Known(vec![named]));
}

#[test]
fn what_contradicts_itself_is_refused() {
    let base = || Sample::default().function("main", "xdp", samples::RETURN_0.to_vec());
    let why = |sample: Sample| match inspect(&sample.build()) {
        Err(error) => error.to_string(),
        Ok(object) => panic!("{object:?}"),
    };
    let mut long = base();
    long.symbols[0].3 = 24;
    assert_eq!(
        why(long),
        "malformed: main: it does not lie within its section xdp"
    );
    let mut odd = base();
    odd.symbols[0].3 = 12;
    assert_eq!(
        why(odd),
        "malformed: main: 12 bytes are no whole instructions"
    );
    let mut many = Sample::default().function("main", "xdp", vec![0xb7; 4096]);
    many.symbols = vec![many.symbols[0]; 50];
    assert!(why(many).ends_with("the functions before it lie over each other"));
    let nameless = base().data("x", vec![]).build();
    let strings = nameless.len() - 64 * 5;
    let mut endless = nameless;
    let at = strings - 1;
    endless[at] = b'x';
    assert!(
        inspect(&endless)
            .unwrap_err()
            .to_string()
            .contains("does not end within")
    );
}
