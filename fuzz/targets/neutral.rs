#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| callslip::fuzzing::run("neutral", bytes));
