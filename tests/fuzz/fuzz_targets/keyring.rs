//! libFuzzer's way to `fuzz::targets::keyring`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::targets::keyring(data));
