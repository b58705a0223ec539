//! Commands as workers find them in the line.

#![no_main]

use common::Envelope;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _ = Envelope::trace_in(bytes);
    if let Ok(envelope) = Envelope::decode(bytes) {
        assert_eq!(Envelope::decode(&envelope.encode()).expect("what was written can be read"), envelope);
    }
});
