//! Any bytes as an eBPF object: read or refused, and what is read is judged.
#![no_main]

use denet::checks::object::{findings, requirements};
use denet::facts::object::inspect;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    match inspect(bytes) {
        Ok(object) => {
            let required = requirements(&object);
            let kernels = required.demands.iter();
            let newest = kernels.filter_map(|demand| demand.since.known()).max();
            assert!(required.minimum_kernel().as_ref() <= newest);
            let _ = findings(&object);
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
});
