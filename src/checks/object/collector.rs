//! Adds up what the parts of an object ask for.

use std::collections::BTreeMap;

use super::mechanism::mechanism;
use super::{Attachment, Capability, Demand, KernelBtf, Requirements, findings};
use crate::decode::uapi::{helpers, maps, sections};
use crate::facts::Fact;
use crate::facts::object::{Code, InstructionSet, Map, ObjectFacts, Program};
use crate::sys::capabilities::Cap;
use crate::sys::release::Release;

/// Requirements in the making; found by name, however many a strange object has.
pub(super) struct Collector {
    /// A loader may set constants that decide what code is reached.
    switches: bool,
    demands: BTreeMap<String, Demand>,
    kernel_btf: BTreeMap<String, bool>,
    capabilities: BTreeMap<Cap, Vec<String>>,
    attachments: Vec<Attachment>,
}

impl Collector {
    pub(super) fn new(object: &ObjectFacts) -> Self {
        Self {
            switches: !object.constants.is_empty(),
            demands: BTreeMap::new(),
            kernel_btf: BTreeMap::new(),
            capabilities: BTreeMap::new(),
            attachments: Vec::new(),
        }
    }

    fn demand(&mut self, since: Option<Release>, what: impl Into<String>, of: &str, certain: bool) {
        let what = what.into();
        let demand = || Demand {
            since: since.map_or(Fact::Absent, Fact::Known),
            what: what.clone(),
            of: of.to_owned(),
            certain,
        };
        self.demands
            .entry(what.clone())
            .and_modify(|demand| demand.certain |= certain)
            .or_insert_with(demand);
    }

    fn capability(&mut self, cap: Cap, reason: String) {
        let reasons = self.capabilities.entry(cap).or_default();
        if !reasons.contains(&reason) {
            reasons.push(reason);
        }
    }

    fn kernel_btf(&mut self, reason: String, certain: bool) {
        *self.kernel_btf.entry(reason).or_default() |= certain;
    }

    pub(super) fn program(&mut self, program: &Program) {
        let Some((rule, _)) = sections::rule_of(&program.section) else {
            return;
        };
        let section = format!("programs in sections {}", rule.name);
        self.demand(rule.since, &*section, &program.name, program.autoload);
        self.capability(Cap::Bpf, LOAD.to_owned());
        let load = || format!("loading programs of the type {}", words(rule.kind));
        if rule.kind.needs_perfmon() {
            self.capability(Cap::Perfmon, load());
        }
        if rule.kind.needs_net_admin() {
            self.capability(Cap::NetAdmin, load());
        }
        let way = mechanism(rule.hook);
        if let Some(cap) = way.capability {
            self.capability(cap, format!("attaching: {}", way.words));
        }
        if way.kernel_btf {
            self.kernel_btf(section, program.autoload);
        }
        self.attachments.push(Attachment {
            program: program.name.clone(),
            hook: rule.hook,
            target: program.target.clone(),
            mechanism: way.words.to_owned(),
            tracefs: way.tracefs,
        });
    }

    /// `loaded`: without being asked for.
    pub(super) fn code(&mut self, name: &str, code: &Code, loaded: bool) {
        let reached = loaded && !self.switches;
        for call in &code.helpers {
            if helpers::PLACEHOLDERS.contains(&call.id) {
                let what = "a function of the kernel that denet puts in when it loads";
                self.kernel_btf(what.to_owned(), reached);
                continue;
            }
            let Some(helper) = helpers::helper(call.id) else {
                self.demand(None, format!("helper {}", call.id), name, reached);
                continue;
            };
            let what = format!("helper {}", helper.name);
            self.demand(Some(helper.since), &*what, name, reached);
            if helpers::reads_the_kernel(call.id) {
                self.capability(Cap::Perfmon, format!("the {what}"));
            }
            if helpers::takes_kernel_types(call.id) {
                self.kernel_btf(format!("the {what}"), reached);
            }
        }
        for set in &code.instruction_sets {
            let (since, what) = match set {
                InstructionSet::JumpIfLess => (Release(4, 14), "jumps if less (-mcpu=v2)"),
                InstructionSet::Jump32 => (Release(5, 1), "32-bit jumps (-mcpu=v3)"),
                InstructionSet::Atomics => (Release(5, 12), "atomic operations (-mcpu=v3)"),
                InstructionSet::V4 => (Release(6, 6), "instructions of -mcpu=v4"),
            };
            self.demand(Some(since), what, name, loaded);
        }
        if code.calls_functions {
            let what = "calls between functions";
            self.demand(Some(Release(4, 16)), what, name, loaded);
        }
        if code.instructions > findings::OLD_LIMIT {
            let what = format!("programs of more than {} instructions", findings::OLD_LIMIT);
            self.demand(Some(Release(5, 2)), what, name, loaded);
        }
    }

    pub(super) fn map(&mut self, map: &Map) {
        let name = &map.name;
        self.capability(Cap::Bpf, LOAD.to_owned());
        if let Some(number) = map.kind.known() {
            let kind = maps::map_type(*number);
            let named = kind.map_or(number.to_string(), |kind| kind.name.to_owned());
            let what = format!("maps of the type {named}");
            if kind.is_some_and(|kind| kind.net_admin) {
                self.capability(Cap::NetAdmin, format!("making {what}"));
            }
            if kind.is_some_and(|kind| kind.kernel_btf) {
                self.kernel_btf(what.clone(), true);
            }
            self.demand(kind.map(|kind| kind.since), what, name, true);
        }
        for (flag, since) in maps::flags(map.flags.known().copied().unwrap_or(0)) {
            self.demand(since, flag, name, true);
        }
    }

    pub(super) fn object(&mut self, object: &ObjectFacts) {
        if let Some(data) = object.data.first() {
            self.demand(Some(Release(5, 2)), "global variables", &data.name, true);
        }
        if let Some(relocations) = object.core_relocations.known()
            && relocations.count > 0
        {
            let (count, types) = (relocations.count, relocations.types.join(", "));
            self.kernel_btf(format!("CO-RE relocations: {count}, of {types}"), true);
        }
        for function in object.kernel_functions.known().into_iter().flatten() {
            let (name, certain) = (&function.name, !function.optional);
            let what = "calls of kernel functions";
            self.demand(Some(Release(5, 13)), what, name, certain);
            self.kernel_btf(format!("the kernel function {name}"), certain);
        }
    }

    pub(super) fn finish(self) -> Requirements {
        let mut demands: Vec<Demand> = self.demands.into_values().collect();
        demands.sort_by_key(|demand| std::cmp::Reverse(demand.since.known().copied()));
        let capabilities = self.capabilities.into_iter();
        let kernel_btf = self.kernel_btf.into_iter();
        Requirements {
            demands,
            capabilities: capabilities
                .map(|(cap, reasons)| Capability { cap, reasons })
                .collect(),
            attachments: self.attachments,
            kernel_btf: kernel_btf
                .map(|(reason, certain)| KernelBtf { reason, certain })
                .collect(),
        }
    }
}

const LOAD: &str = "loading programs and making maps";

/// `RawTracepoint` as the kernel writes it: `raw_tracepoint`.
fn words(kind: sections::ProgramKind) -> String {
    let mut out = String::new();
    for c in format!("{kind:?}").chars() {
        if c.is_ascii_uppercase() && !out.is_empty() {
            out.push('_');
        }
        out.push(c.to_ascii_lowercase());
    }
    out
}
