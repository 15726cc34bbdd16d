//! Any bytes as BTF and as `.BTF.ext`: every type is looked at in every way.
#![no_main]

use denet::decode::btf::{Btf, Kind, core_relocations};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _ = core_relocations(bytes);
    let Ok(btf) = Btf::parse(bytes) else {
        return;
    };
    for id in btf.ids().take(1000) {
        let _ = (btf.kind(id), btf.name(id), btf.size(id), btf.resolve(id));
        let _ = (btf.target(id), btf.array(id), btf.member(id, "pid"));
        let named = |member| btf.member_name(&member).map(str::len);
        let _ = btf.members(id).take(1000).filter_map(named).count();
        let _ = btf.variables(id).take(1000).count();
    }
    let _ = btf.member_path("task_struct", &["thread_info", "status"]);
    let _ = btf.find(Kind::Struct, "");
});
