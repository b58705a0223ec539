//! `traceparent` and `tracestate`.

#![no_main]

use common::Trace;

libfuzzer_sys::fuzz_target!(|headers: (&str, Option<&str>)| {
    if let Some(trace) = Trace::read(headers.0, headers.1) {
        assert_eq!(trace.traceparent(), headers.0);
        assert!(trace.tracestate().is_none_or(|state| state.bytes().all(|byte| (b' '..=b'~').contains(&byte))));
        let _ = (trace.trace_id(), trace.span_id(), trace.flags());
    }
});
