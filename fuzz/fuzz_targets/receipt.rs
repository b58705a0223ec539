//! Outcomes as Redis keeps them.

#![no_main]

use common::Receipt;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Ok(receipt) = Receipt::decode(bytes) {
        let again = Receipt::decode(&receipt.encode()).expect("what was written can be read");
        assert_eq!(again, receipt);
    }
});
