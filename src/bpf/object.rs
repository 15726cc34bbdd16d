//! From an embedded object to maps and loaded programs.

use std::collections::{HashMap, HashSet};
use std::ffi::CStr;
use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};

use aya::maps::{MapData, MapError};
use aya_obj::btf::BtfFeatures;
use aya_obj::generated::bpf_insn;
use aya_obj::{EbpfSectionKind, Map, Object};

use super::kernel::{self, KernelError, Kind};
use super::perf;

/// Programs of several objects find each other through maps of the same name.
pub(crate) type Maps = HashMap<String, MapData>;

/// `max_entries` and flags of a map, where they differ from the object's.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct MapSetting {
    pub(crate) name: &'static str,
    pub(crate) max_entries: Option<u32>,
    pub(crate) extra_flags: u32,
}

/// A loaded program.
#[derive(Debug)]
pub(crate) struct Program {
    pub(crate) name: String,
    kind: Kind,
    pub(crate) fd: OwnedFd,
}

impl Program {
    /// Attaches it to the tracepoint.
    pub(crate) fn attach(&self, tracepoint: &CStr) -> Result<OwnedFd, KernelError> {
        let program = self.fd.as_fd();
        let link = match self.kind {
            Kind::Raw => kernel::open_raw_tracepoint(program, Some(tracepoint)),
            Kind::Typed(_) => kernel::open_raw_tracepoint(program, None),
            Kind::Iterator(_) => kernel::link_iterator(program),
            Kind::Event(id) => perf::attach(program, perf::Event::Tracepoint(id)),
            Kind::Function => perf::attach_to_function(program, tracepoint, false),
            Kind::Xdp => {
                let why = "an XDP program belongs at an interface (`link_xdp`)";
                Err(KernelError::new(&self.name, io::Error::other(why)))
            }
        };
        tracing::debug!(program = self.name, ?tracepoint, error = ?link.as_ref().err(), "attach");
        link
    }
}

/// What to load, and how.
#[derive(Clone, Copy)]
pub(crate) struct Request<'a> {
    /// The embedded object.
    pub(crate) bytes: &'a [u8],
    /// Of which programs, and what each is to be.
    pub(crate) programs: &'a [(&'a str, Kind)],
    /// Gives the kernel the object's own types, which a map of kernel pointers needs.
    pub(crate) with_types: bool,
    /// Values of its `const volatile`.
    pub(crate) constants: &'a [(&'a str, u32)],
    /// Types of the kernel's functions that the programs call, by the number that they call them by.
    pub(crate) functions: &'a [(i32, u32)],
    pub(crate) settings: &'a [MapSetting],
}

/// An object whose maps are made: its programs can be loaded.
pub struct Opened {
    object: Object,
    // Until a program is loaded, nothing else keeps them.
    _constants: Maps,
}

/// Makes the maps that `maps` lacks, sets the constants, loads the programs.
pub(crate) fn load(request: &Request<'_>, maps: &mut Maps) -> Result<Vec<Program>, KernelError> {
    Opened::new(request, maps)?.load(request.programs, request.functions)
}

impl Opened {
    /// Makes the maps that `maps` lacks and sets the constants.
    pub(crate) fn new(request: &Request<'_>, maps: &mut Maps) -> Result<Self, KernelError> {
        let mut object = Object::parse(request.bytes).map_err(|error| broken(&error))?;
        let values: Vec<[u8; 4]> = request
            .constants
            .iter()
            .map(|(_, value)| value.to_ne_bytes())
            .collect();
        let globals = request
            .constants
            .iter()
            .zip(&values)
            .map(|((name, _), value)| (*name, (value.as_slice(), false)))
            .collect();
        object
            .patch_map_data(globals)
            .map_err(|error| broken(&error))?;

        let types = if request.with_types {
            Some(load_btf(&mut object)?)
        } else {
            None
        };

        // `.rodata` belongs to this object alone, whatever another object's is called.
        let mut own = Maps::new();
        for (name, map) in &object.maps {
            if map.section_kind() == EbpfSectionKind::Rodata {
                own.insert(name.clone(), constant_map(name, map)?);
            } else if !maps.contains_key(name) {
                let setting = request
                    .settings
                    .iter()
                    .find(|setting| setting.name == name)
                    .copied()
                    .unwrap_or_default();
                maps.insert(name.clone(), create(name, map, setting, types.as_ref())?);
            }
        }
        let text: HashSet<usize> = object
            .functions
            .keys()
            .map(|(section, _)| *section)
            .collect();
        let definitions = object.maps.clone();
        let placed = definitions.iter().filter_map(|(name, definition)| {
            let map = own.get(name).or_else(|| maps.get(name))?;
            Some((name.as_str(), map.fd().as_fd().as_raw_fd(), definition))
        });
        object
            .relocate_maps(placed, &text)
            .map_err(|error| broken(&error))?;
        object
            .relocate_calls(&text)
            .map_err(|error| broken(&error))?;
        Ok(Self {
            object,
            _constants: own,
        })
    }

    /// Loads programs; `functions` as in [`Request`].
    pub(crate) fn load(
        &self,
        programs: &[(&str, Kind)],
        functions: &[(i32, u32)],
    ) -> Result<Vec<Program>, KernelError> {
        let mut loaded = Vec::with_capacity(programs.len());
        for (name, kind) in programs {
            let program = self.object.programs.get(*name);
            let program = program.ok_or_else(|| broken(&io::Error::other(format!("no {name}"))))?;
            let mut instructions = self.object.functions[&program.function_key()]
                .instructions
                .clone();
            call_functions(&mut instructions, functions);
            let fd = kernel::load_program(name, *kind, &self.object.license, &instructions);
            let instructions = instructions.len();
            tracing::debug!(program = name, ?kind, instructions, error = ?fd.as_ref().err(), "load");
            loaded.push(Program {
                name: (*name).to_owned(),
                kind: *kind,
                fd: fd?,
            });
        }
        Ok(loaded)
    }
}

/// Makes calls of the kernel's own functions of what clang took for calls of numbered helpers.
fn call_functions(instructions: &mut [bpf_insn], functions: &[(i32, u32)]) {
    const CALL: u8 = 0x85;
    const BPF_PSEUDO_KFUNC_CALL: u8 = 2;
    for instruction in instructions {
        let function = functions
            .iter()
            .find(|(number, _)| instruction.code == CALL && *number == instruction.imm);
        if let Some((_, id)) = function {
            instruction.set_src_reg(BPF_PSEUDO_KFUNC_CALL);
            instruction.imm = *id as i32;
        }
    }
}

fn create(
    name: &str,
    map: &Map,
    setting: MapSetting,
    types: Option<&OwnedFd>,
) -> Result<MapData, KernelError> {
    let max_entries = setting.max_entries.unwrap_or(map.max_entries());
    let flags = map.map_flags() | setting.extra_flags;
    let wanted = if types.is_some() {
        let mut typed = map.clone();
        typed.set_max_entries(max_entries);
        typed
    } else {
        Map::new_from_params(
            map.map_type(),
            map.key_size(),
            map.value_size(),
            max_entries,
            flags,
        )
    };
    let types = types.map(|fd| fd.as_fd());
    let created = MapData::create(wanted, name, types).map_err(|error| {
        let source = match error {
            MapError::CreateError { io_error, .. } => io_error,
            other => io::Error::other(other),
        };
        KernelError::new(format!("BPF_MAP_CREATE {name}"), source)
    });
    tracing::debug!(map = name, max_entries, error = ?created.as_ref().err(), "create");
    created
}

fn load_btf(object: &mut Object) -> Result<OwnedFd, KernelError> {
    // Kernels that keep pointers to tasks (6.4) know every kind of type that clang writes.
    let all = BtfFeatures::new(true, true, true, true, true, true, true, true);
    let types = object
        .fixup_and_sanitize_btf(&all)
        .map_err(|error| broken(&error))?;
    let bytes = types
        .ok_or_else(|| broken(&io::Error::other("no BTF")))?
        .to_bytes();
    kernel::load_btf(&bytes)
}

fn constant_map(name: &str, map: &Map) -> Result<MapData, KernelError> {
    let constants = create("denet_constants", map, MapSetting::default(), None)?;
    kernel::fill_array(constants.fd().as_fd(), map.data())
        .and_then(|()| kernel::freeze(constants.fd().as_fd()))
        .map_err(|source| KernelError::new(format!("BPF_MAP_UPDATE_ELEM {name}"), source))?;
    Ok(constants)
}

fn broken(error: &dyn std::error::Error) -> KernelError {
    KernelError::new("embedded eBPF object", io::Error::other(error.to_string()))
}
