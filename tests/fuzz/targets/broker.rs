#![no_main]

#[path = "../subjects/mod.rs"]
#[allow(dead_code, reason = "each target uses one subject")]
mod subjects;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| subjects::broker(bytes));
