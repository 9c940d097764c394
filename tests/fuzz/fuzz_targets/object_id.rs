//! libFuzzer's way to `fuzz::targets::object_id`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::targets::object_id(data));
