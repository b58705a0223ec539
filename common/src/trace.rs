//! Where a request belongs in a trace that may have begun elsewhere (<https://www.w3.org/TR/trace-context/>).

/// `00-<32 hex>-<16 hex>-<2 hex>`, the only form of version 0.
const TRACEPARENT_CHARS: usize = 55;

/// The parts of version 0: the trace, the span in it, and the flags.
const TRACE_ID: std::ops::Range<usize> = 3..35;
const SPAN_ID: std::ops::Range<usize> = 36..52;
const FLAGS: std::ops::Range<usize> = 53..55;

/// What tracing systems add must at least be passed on up to this length; more is left out.
const TRACESTATE_MAX_CHARS: usize = 512;

/// A place in a trace, as it is passed on in headers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trace {
    traceparent: String,
    tracestate: Option<String>,
}

impl Trace {
    /// Reads the two headers. None where `traceparent` is not of version 0, as then its trace is begun anew; a
    /// `tracestate` that cannot be passed on is left out.
    pub fn read(traceparent: &str, tracestate: Option<&str>) -> Option<Trace> {
        if !is_traceparent(traceparent.as_bytes()) {
            return None;
        }
        let passed_on = |state: &&str| {
            (1..=TRACESTATE_MAX_CHARS).contains(&state.len()) && state.bytes().all(|byte| matches!(byte, b' '..=b'~'))
        };
        let tracestate = tracestate.filter(passed_on).map(str::to_owned);
        Some(Trace { traceparent: traceparent.to_owned(), tracestate })
    }

    /// The header `traceparent`.
    pub fn traceparent(&self) -> &str {
        &self.traceparent
    }

    /// The header `tracestate`: what tracing systems have added, for them to read.
    pub fn tracestate(&self) -> Option<&str> {
        self.tracestate.as_deref()
    }

    /// The trace, as 32 hexadecimal digits.
    pub fn trace_id(&self) -> &str {
        &self.traceparent[TRACE_ID]
    }

    /// The span, as 16 hexadecimal digits.
    pub fn span_id(&self) -> &str {
        &self.traceparent[SPAN_ID]
    }

    /// The flags; the lowest bit says that the trace is recorded.
    pub fn flags(&self) -> u8 {
        u8::from_str_radix(&self.traceparent[FLAGS], 16).unwrap_or_default()
    }

    /// Whether whoever came before records the trace.
    pub fn is_sampled(&self) -> bool {
        self.flags() & 1 == 1
    }
}

fn is_traceparent(value: &[u8]) -> bool {
    let is_hex =
        |range: std::ops::Range<usize>| value[range].iter().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    let is_some = |range: std::ops::Range<usize>| value[range].iter().any(|byte| *byte != b'0');
    value.len() == TRACEPARENT_CHARS
        && value.starts_with(b"00-")
        && [TRACE_ID.end, SPAN_ID.end].into_iter().all(|at| value[at] == b'-')
        && [TRACE_ID, SPAN_ID, FLAGS].into_iter().all(is_hex)
        && [TRACE_ID, SPAN_ID].into_iter().all(is_some)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAMPLED: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn a_place_in_a_trace() {
        let trace = Trace::read(SAMPLED, Some("vendor=1")).unwrap();
        assert_eq!((trace.traceparent(), trace.tracestate()), (SAMPLED, Some("vendor=1")));
        assert_eq!(trace.trace_id(), "0af7651916cd43dd8448eb211c80319c");
        assert_eq!((trace.span_id(), trace.flags(), trace.is_sampled()), ("b7ad6b7169203331", 1, true));
        assert!(!Trace::read(&SAMPLED.replace("-01", "-02"), None).unwrap().is_sampled());
    }

    #[test]
    fn what_is_none() {
        let rows = [
            String::new(),
            SAMPLED.to_uppercase(),
            SAMPLED.replacen("00-", "01-", 1),
            SAMPLED.replace('-', "_"),
            SAMPLED.replace("0af7651916cd43dd8448eb211c80319c", &"0".repeat(32)),
            SAMPLED.replace("b7ad6b7169203331", &"0".repeat(16)),
            SAMPLED.replace("-01", "-0g"),
            format!("{SAMPLED}-00"),
            // As many bytes, and fewer characters.
            SAMPLED.replace("0af765", "한국"),
        ];
        for row in rows {
            assert_eq!(Trace::read(&row, None), None, "{row}");
        }
    }

    #[test]
    fn what_others_added_is_passed_on_if_it_can_be() {
        let longest = "a".repeat(512);
        let rows = [("a=1,b@c=2", true), (&longest, true), ("", false), (&*"a".repeat(513), false), ("a=\n", false)];
        for (state, kept) in rows {
            let trace = Trace::read(SAMPLED, Some(state)).unwrap();
            assert_eq!(trace.tracestate(), kept.then_some(state), "{state:?}");
        }
    }
}
